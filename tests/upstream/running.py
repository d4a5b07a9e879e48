"""What the runners of Redis's own suites share: its tools, one run of it, and its end."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def link_tools(source: Path, folder: Path, tools: Iterable[str]) -> None:
    """Link the suite's tools into a folder: those of a built source tree, or those in PATH."""
    for tool in tools:
        built = source / "src" / tool
        found = str(built) if built.exists() else shutil.which(tool)
        if found is not None:
            (folder / tool).symlink_to(found)


def run(command: list[str], folder: Path, limit_s: int, log: Path) -> tuple[str, int | None]:
    """Run a command with its output in a log; return the output, without colors, and the status (None: too long)."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        status: int | None
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process.pid)
            process.wait()
    return _COLOUR.sub("", log.read_bytes().replace(b"\0", b"").decode("utf-8", "replace")), status


def _end(group: int) -> None:
    """End what the suite started: its processes share its process group."""
    try:
        os.killpg(group, 9)
    except ProcessLookupError:
        return
