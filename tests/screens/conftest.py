"""Snapshots of screens as plain text files: readable in a diff, written anew with `--rewrite`."""

import asyncio
import inspect
import io
import os
from collections.abc import Callable
from pathlib import Path

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # before Textual is imported

import pytest
from rich.console import Console
from textual.app import App

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutines, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


def screen_text(app: App) -> str:
    """Return what is on the screen, line by line."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), record=True, color_system=None, legacy_windows=False
    )
    console.print(app.screen._compositor.render_update(full=True))
    lines = console.export_text(styles=False).splitlines()
    return "\n".join(line.rstrip() for line in lines[:height]) + "\n"


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[App, str], None]:
    """Compare the screen with the file of this name, or write it."""

    def check(app: App, name: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        shown = screen_text(app)
        if request.config.getoption("--rewrite"):
            path.write_text(shown, "utf-8")
            return
        assert path.exists(), f"{path} is missing: run with --rewrite and look at it"
        assert shown == path.read_text("utf-8"), f"the screen differs from {path.name}:\n{shown}"

    return check
