"""What the processes of a test do; each leaves notes in a folder."""

import os
import signal
from pathlib import Path

from tests.waiting import wait_until

Job = tuple[str, Path]  # what to do, and where to leave notes

_notes: list[Path] = []


def work(job: Job) -> str:
    """Do one of the jobs of these tests."""
    name, folder = job
    _notes.append(folder / f"ended {os.getpid()}")
    (folder / f"begun {name} {os.getpid()}").touch()
    if name == "die":
        os._exit(3)
    if name == "last":  # waits for all others: it has to be begun early
        wait_until(lambda: len(list(folder.glob("begun *"))) == 5, "all others begin")
    if name == "endless":
        while True:
            signal.pause()
    return name.upper()


def at_end() -> None:
    for path in _notes:
        path.touch()
