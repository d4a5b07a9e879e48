"""A class that is served by the real command, for each module of tests."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.browser import Browser
from tests.real import free_port
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class ServedClass:
    """A class and its hub."""

    home: Path
    options: list[str] = field(default_factory=list)
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    said: str = ""

    @property
    def folder(self) -> Path:
        return self.home / "classes" / "test"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "REDIS_TUTOR_HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tutor", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=PATIENCE_S,
        )

    def begin(self, *options: str, under: tuple[str, ...] = ()) -> None:
        """Serve the class, under another program if one is given."""
        self.port = self.port or free_port()
        output = self.home / "output"
        serve = ["class", "serve", "test", "--port", str(self.port), *self.options, *options]
        with open(output, "wb") as file:
            self.process = subprocess.Popen(
                [*under, sys.executable, "-m", "tutor", *serve],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )
        wait_until(lambda: "Teacher:" in output.read_text() or self.process.poll() is not None, "the class is served")
        self.said = output.read_text()
        assert "Teacher:" in self.said, self.said

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def code(self) -> str:
        return re.search(r"code (\S+)", self.said)[1]

    @property
    def link(self) -> str:
        return re.search(r"Teacher:\s+(\S+)", self.said)[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
                return
            self.kill()

    def browser(self) -> Browser:
        return Browser(self.address)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


def made(home: Path, settings: str = "") -> ServedClass:
    """Return a class with some settings, which is not served yet."""
    served = ServedClass(home)
    home.mkdir(parents=True, exist_ok=True)
    done = served.run("class", "new", "test")
    assert done.returncode == 0, done.stderr
    (served.folder / "class.yaml").write_text(settings)
    return served


@pytest.fixture(scope="module")
def served(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedClass]:
    """A class that is served; a module's SETTINGS are its class.yaml."""
    served = made(tmp_path_factory.mktemp("class") / "home", getattr(request.module, "SETTINGS", ""))
    served.begin()
    yield served
    served.end()


@pytest.fixture
def own_class(tmp_path: Path) -> Iterator[ServedClass]:
    """A class of a test's own, which is not served yet."""
    served = made(tmp_path / "home")
    yield served
    served.end()
