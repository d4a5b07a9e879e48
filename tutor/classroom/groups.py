"""Control groups of Linux: what all processes of a learner may use together, and all learners.

A hub makes its groups below the group that it runs in, where it may: as root, in a container, or as a service with
`Delegate=yes`. Elsewhere `rlimits` (`confine.py`) and the hub's own looks (`watch.py`) have to do. Both versions of
control groups are served:

    version 2   OWN/redis-tutor-PID/hub, …/learners/7       one tree for all controllers
    version 1   OWN/redis-tutor-PID/7                       in each of the trees memory and pids

In version 2 a group with limits for its children has no processes of its own, so the hub moves into `hub`; if other
processes share its group, there are no groups.

The processor is not divided by groups. With ten endless scripts on two cores, the key of another learner was painted
after 35 ms (95th percentile) with `nice` alone, and after 80 to 310 ms with a group for each learner.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids")
END_SECONDS = 2.0
_MB = 1 << 20
_PREFIX = "redis-tutor-"


@dataclass
class LearnerGroup:
    """The groups of one learner: a folder in each tree."""

    folders: list[Path]

    @property
    def files(self) -> list[str]:
        """The files into which a process writes its ID to be in these groups."""
        return [str(each / "cgroup.procs") for each in self.folders]

    def processes(self) -> set[int]:
        """Return the processes in the groups."""
        found: set[int] = set()
        for each in self.folders:
            with contextlib.suppress(OSError, ValueError):
                found |= {int(line) for line in (each / "cgroup.procs").read_text().split()}
        return found

    def was_out_of_memory(self) -> bool:
        """Return whether the system has ended a process of the group since it had no more memory."""
        for each in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    for line in (each / name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1]) > 0
        return False

    def end(self) -> None:
        """Kill what is left of the processes, and remove the groups."""
        until = time.monotonic() + END_SECONDS
        while True:
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if _remove(self.folders) or time.monotonic() > until:
                return
            time.sleep(0.02)


@dataclass
class ControlGroups:
    """The groups of a hub. `controllers` are those that work."""

    controllers: list[str]
    _parents: dict[str, Path] = field(default_factory=dict)  # by controller
    _own: list[Path] = field(default_factory=list)  # folders to remove at the end, the innermost first
    _home: Path | None = None  # the hub's earlier group, in version 2

    @classmethod
    def make(cls, total_mb: int = 0) -> "ControlGroups | None":
        """Make the groups of this process, for learners who use at most so much together; None if that fails."""
        paths = own_groups()
        found = _version_1(paths) or _version_2(paths)
        if found is not None and total_mb and "memory" in found.controllers:
            _limit_memory(found._parents["memory"], total_mb)
        return found

    def add(self, name: str, memory_mb: int, processes: int) -> LearnerGroup:
        """Make the group of a learner. Raises OSError."""
        folders = list(dict.fromkeys(self._parents[each] / name for each in self.controllers))
        for folder in folders:
            folder.mkdir(exist_ok=True)
            if (folder / "pids.max").exists():
                (folder / "pids.max").write_text(str(processes))
            _limit_memory(folder, memory_mb)
        return LearnerGroup(folders)

    def close(self) -> None:
        """Remove the groups."""
        if self._home is not None:
            with contextlib.suppress(OSError):
                _enable(self._home, self.controllers, "-")
            with contextlib.suppress(OSError):
                (self._home / "cgroup.procs").write_text(str(os.getpid()))
        _remove(self._own)


def join_groups(files: Iterable[str]) -> None:
    """Have this process, and all that it will start, be in groups."""
    for each in files:
        with contextlib.suppress(OSError):
            Path(each).write_text(str(os.getpid()))


def own_groups() -> dict[str, Path]:
    """Return the groups of this process, by controller; the one of version 2 has no name."""
    found: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for name in names.split(","):
                if not name and (ROOT / "cgroup.controllers").exists():
                    found[""] = ROOT / path.lstrip("/")
                elif name in CONTROLLERS:
                    found[name] = ROOT / name / path.lstrip("/")
    return {name: path for name, path in found.items() if path.is_dir()}


def _version_1(paths: dict[str, Path]) -> ControlGroups | None:
    groups = ControlGroups([])
    for name in CONTROLLERS:
        if name in paths:
            with contextlib.suppress(OSError):
                _clear(paths[name])
                folder = paths[name] / f"{_PREFIX}{os.getpid()}"
                folder.mkdir()
                groups.controllers.append(name)
                groups._parents[name] = folder
                groups._own.append(folder)
    return groups if groups.controllers else None


def _version_2(paths: dict[str, Path]) -> ControlGroups | None:
    own = paths.get("")
    if own is None:
        return None
    made: list[Path] = []
    try:
        usable = [each for each in CONTROLLERS if each in (own / "cgroup.controllers").read_text().split()]
        if not usable:
            return None
        _clear(own)
        top = own / f"{_PREFIX}{os.getpid()}"
        for folder in (top, top / "hub", top / "learners"):
            folder.mkdir()
            made.insert(0, folder)
        (top / "hub" / "cgroup.procs").write_text(str(os.getpid()))
        for folder in (own, top, top / "learners"):
            _enable(folder, usable, "+")
    except OSError:  # such as EBUSY: other processes are in the hub's group
        with contextlib.suppress(OSError):
            (own / "cgroup.procs").write_text(str(os.getpid()))
        _remove(made)
        return None
    return ControlGroups(usable, dict.fromkeys(usable, top / "learners"), made, own)


def _enable(folder: Path, controllers: Iterable[str], sign: str) -> None:
    (folder / "cgroup.subtree_control").write_text(" ".join(f"{sign}{each}" for each in controllers))


def _limit_memory(folder: Path, memory_mb: int) -> None:
    """Limit the memory of a group, swap included where that is counted."""
    for name, value in (
        ("memory.max", memory_mb * _MB),
        ("memory.swap.max", 0),
        ("memory.limit_in_bytes", memory_mb * _MB),
        ("memory.memsw.limit_in_bytes", memory_mb * _MB),
    ):
        if (folder / name).exists():
            with contextlib.suppress(OSError):
                (folder / name).write_text(str(value))


def _clear(own: Path) -> None:
    """Remove the groups of hubs that were killed."""
    for folder in own.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX)
        if pid.isdigit() and not Path("/proc", pid).exists():
            _remove(sorted((each for each in (folder, *folder.rglob("*")) if each.is_dir()), reverse=True))


def _remove(folders: Iterable[Path]) -> bool:
    """Remove groups, those inside before those around them; returns whether all are gone."""
    gone = True
    for each in folders:
        try:
            each.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone
