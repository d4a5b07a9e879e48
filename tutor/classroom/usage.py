"""What the processes of learners use: memory and processor time, from `/proc`. Elsewhere nothing is known."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def families(roots: Iterable[int]) -> dict[int, list[int]]:
    """Return, for each process, its own ID and those of all its descendants."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(_PROC):
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    fields = (_PROC / entry.name / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = {}
    for root in roots:
        family = [root]
        for pid in family:
            family += children.get(pid, [])
        found[root] = family
    return found


def memory_kb(pid: int) -> int:
    """Return the memory of a process, its share of what it shares included (PSS)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def free_mb() -> int:
    """Return the memory that is available on this machine; 0: unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return 0


def folder_mb(path: Path) -> float:
    """Return what the files of a folder take."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total / (1 << 20)
