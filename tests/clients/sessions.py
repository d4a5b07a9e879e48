"""Sessions of clients: programs in a client's own language that print what they see, and wait where they are told to.

Without Node or Ruby and their clients, the tests of those are skipped and say so.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from tests.clients.packages import node_modules
from tests.waiting import PATIENCE_S

NOBODY = "1"  # a port where nobody listens


def has_redis_rb() -> bool:
    """Return whether Ruby and its client are installed."""
    ruby = shutil.which("ruby")
    return ruby is not None and not subprocess.run([ruby, "-e", "require 'redis'"], capture_output=True).returncode


def command(client: str, folder: Path) -> list[str]:
    """Return the command that runs a client's session of a folder, or skip."""
    if client == "redis-py":
        return [sys.executable, str(folder / "redis_py.py")]
    if client == "redis-rb":
        if not has_redis_rb():
            pytest.skip("Ruby with redis-rb is not installed")
        return ["ruby", str(folder / "redis_rb.rb")]
    node_modules()
    return ["node", str(folder / "sessions.js"), client]


def play(argv: list[str], ports: Iterable[int | str], deeds: Mapping[str, Callable[[], str]]) -> list[str]:
    """Run a session. Where it prints the name of a deed, do it and send the answer; returns what else it prints."""
    env = os.environ | ({"NODE_PATH": str(node_modules())} if argv[0] == "node" else {})
    with subprocess.Popen(
        [*argv, *map(str, ports)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        printed = []
        for line in process.stdout:
            if (deed := deeds.get(line.rstrip("\n"))) is None:
                printed.append(line.rstrip())
                continue
            process.stdin.write(f"{deed()}\n")
            process.stdin.flush()
        watchdog.cancel()
        assert process.wait(PATIENCE_S) == 0, printed
    return printed
