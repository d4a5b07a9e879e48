"""Snapshots of screens as plain text files: readable in a diff, written anew with `--rewrite`."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # before Textual is imported
os.environ["REDIS_TUTOR_ASCII"] = "0"  # whatever the locale is

import pytest
from textual.app import App

from tests.screens.driving import run, screen_text
from tests.snapshots import compare
from tests.waiting import PATIENCE_S

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutines, each in a loop of its own (see `tests/screens/driving.py`)."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command count as slow, and its time be shown, because the machine is busy."""
    monkeypatch.setattr("tutor.lesson.terminal.SLOW_SECONDS", PATIENCE_S)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test files of its own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(folder))
    return folder


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[App, str], None]:
    """Compare the screen with the file of this name, or write it."""

    def check(app: App, name: str) -> None:
        compare(request.config, SNAPSHOTS / f"{name}.txt", screen_text(app))

    return check


@pytest.fixture(autouse=True)
def in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the laboratory do a step at once, however slow the machine is; tests of its progress take this back."""
    monkeypatch.setattr("tutor.screens.laboratory.player.MOMENT_S", 1e9)
