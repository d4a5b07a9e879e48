"""Our server as its users start it: `serve`, in a process of its own, on a free port."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.real import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class Served:
    """A running server."""

    port: int
    process: "subprocess.Popen[str]"


@contextlib.contextmanager
def serve(*arguments: str) -> Iterator[Served]:
    """Run our server; stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="served-") as directory:
        port = free_port()
        command = [sys.executable, "-m", "tutor", "serve", "--port", str(port), "--save", "", "--dir", directory]
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        try:
            log = []
            for line in process.stdout:
                log.append(line)
                if "Ready to accept connections" in line:
                    break
            else:
                raise AssertionError("our server did not start: " + "".join(log))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield Served(port, process)
        finally:
            process.terminate()
            process.wait(10)
