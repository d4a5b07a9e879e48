"""Our server as a process of its own, on a free port.

It is forked from a process that has imported it: `forked=False` starts it as its users do, for tests of just that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.real import free_port
from tests.waiting import PATIENCE_S
from tutor.lesson_server.forkserver import ForkedProcess, ForkServer

ROOT = Path(__file__).parents[2]
_servers = ForkServer("engine.live.server")


def start_ours(arguments: list[str], output: int) -> ForkedProcess:
    """Start our server with redis-server's arguments; it writes to the descriptor `output`."""
    with open(os.devnull) as null:
        return _servers.start(arguments, [null.fileno(), output, output], os.getcwd(), dict(os.environ))


@dataclass
class Served:
    """A running server."""

    port: int
    process: "ForkedProcess | subprocess.Popen[bytes]"
    log: list[str]
    reader: threading.Thread  # of what the log goes on to say; it ends with the server


@contextlib.contextmanager
def serve(*arguments: str, forked: bool = True) -> Iterator[Served]:
    """Run our server; stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="served-") as directory:
        port = free_port()
        words = ["--port", str(port), "--save", "", "--dir", directory, *arguments]
        reading, writing = os.pipe()
        output: TextIO = os.fdopen(reading)
        process: ForkedProcess | subprocess.Popen[bytes]
        try:
            if forked:
                process = start_ours(words, writing)
            else:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tutor", "serve", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=writing,
                    stderr=writing,
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
                )
        finally:
            os.close(writing)
        try:
            log = []
            for line in output:
                log.append(line)
                if "Ready to accept connections" in line:
                    break
            else:
                raise AssertionError("our server did not start: " + "".join(log))
            reader = threading.Thread(target=log.extend, args=(output,), daemon=True)
            reader.start()
            yield Served(port, process, log, reader)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
