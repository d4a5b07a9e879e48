"""What the hub sees of its learners' processes, and whom it has to stop so that the others can work.

Every few seconds it looks in `/proc` (elsewhere nothing is known). A process that was computing at each look for a
long time, such as a server with an endless script, is ended; it was never at its prompt meanwhile. A learner whose
processes together use too much memory, or are too many, is stopped, also where there are no control groups. If all
learners together use more than they may, those who are away are stopped first, and then who uses most.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tutor.classroom.usage import families, memory_kb

OVER = 1.1  # of what all may use; newcomers are refused earlier


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be used: by a learner's processes together, and by all."""

    learner_mb: int
    processes: int
    busy_seconds: float
    total_mb: int


@dataclass
class Looked:
    """What was seen."""

    used_mb: dict[int, float] = field(default_factory=dict)  # by learner
    stop: dict[int, str] = field(default_factory=dict)  # learners to stop, and why
    ended: list[int] = field(default_factory=list)  # processes that were ended since they were computing all the time


@dataclass
class Watch:
    """Looks at processes, and remembers since when each is computing."""

    allowed: Allowed
    _busy: dict[tuple[int, str], float] = field(default_factory=dict)  # by process and its start: since when

    def look(self, roots: Mapping[int, int], away: Iterable[int]) -> Looked:
        """Look at the processes of learners (by number: the process of the tutor), of whom some are away."""
        seen = Looked()
        found = families(roots.values())
        busy: dict[tuple[int, str], float] = {}
        now = time.monotonic()
        for learner, root in roots.items():
            family = found.get(root, [])
            seen.used_mb[learner] = used = sum(map(memory_kb, family)) / 1024
            if used > self.allowed.learner_mb:
                seen.stop[learner] = f"its servers use {used:.0f} MB, and the limit is {self.allowed.learner_mb} MB"
            elif len(family) > self.allowed.processes:
                seen.stop[learner] = f"it has {len(family)} processes, and the limit is {self.allowed.processes}"
            for pid in family:
                if (started := computing(pid)) is None:
                    continue
                since = busy[pid, started] = self._busy.get((pid, started), now)
                if now - since >= self.allowed.busy_seconds:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                        seen.ended.append(pid)
        self._busy = busy
        left = {learner: mb for learner, mb in seen.used_mb.items() if learner not in seen.stop}
        over = sum(left.values()) - self.allowed.total_mb * OVER if self.allowed.total_mb else 0.0
        gone = set(away)
        for learner in sorted(left, key=lambda each: (each not in gone, -left[each])):
            if over <= 0:
                break
            over -= left[learner]
            seen.stop[learner] = f"all learners together use more than {self.allowed.total_mb:,} MB"
        return seen


def computing(pid: int) -> str | None:
    """Return when a process started (in ticks) if it is computing right now."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        return fields[19] if fields[0] == "R" else None
    return None
