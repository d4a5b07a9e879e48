"""Scripts: programs that Sentinel starts to report events or to reconfigure clients.

They wait in a queue and run in its order, 16 at a time. One that exits with 1 or is killed by a signal is tried
again, ten times in all, each time after twice as long a pause; one that takes longer than a minute is killed.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""

from collections.abc import Callable
from typing import Any

from engine.config.kinds import to_bytes
from engine.effects import KillProgram, Output, Reap, Reaped, Spawn
from engine.sentinel.settings import Periods
from engine.timers import Clock

QUEUE_MAX = 256
RUNNING_MAX = 16
RETRIES_MAX = 10
RETRY_STATUS = 1
NOT_STARTED_STATUS = 2  # how a child ends that cannot become the program
FORK_ERROR = 99  # told as if it were a signal


class Job:
    """A call of a script."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.argv = argv
        self.pid = 0  # while it runs
        self.tries = 0
        self.start_ms = 0  # since when it runs, or before when it is not tried again

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.pid != 0


class ScriptQueue:
    """The queue of a Sentinel."""

    event: Callable[[str, str, str], None]  # tells of a script: level, type, text

    def __init__(self, periods: Periods, clock: Clock, output: Output) -> None:
        self.periods = periods
        self.clock = clock
        self.output = output
        self.queue: list[Job] = []

    @property
    def running(self) -> int:
        """How many run."""
        return sum(job.running for job in self.queue)

    def schedule(self, *argv: str) -> None:
        """Have a script called."""
        self.queue.append(Job(argv))
        if len(self.queue) > QUEUE_MAX:
            del self.queue[next(i for i, job in enumerate(self.queue) if not job.running)]

    def cron(self) -> None:
        """Start what is due, take note of what has ended, and kill what takes too long."""
        if not self.queue:
            return
        self._start()
        if self.running:
            for ended in self.output.run_now(Reap()):
                self._ended(ended)
            self._kill()

    def retry_delay_ms(self, tries: int) -> int:
        """Return the pause after so many tries."""
        return self.periods.script_retry_delay << max(0, tries - 1)

    def _start(self) -> None:
        now_ms = self.clock.monotonic_us // 1000
        running = self.running
        for job in list(self.queue):
            if running >= RUNNING_MAX:
                break
            if job.running or (job.start_ms and job.start_ms > now_ms):
                continue
            job.start_ms = now_ms
            job.tries += 1
            try:
                job.pid = self.output.run_now(Spawn(job.argv))
            except (FileNotFoundError, PermissionError, NotADirectoryError):
                self.event("#", "-script-error", f"{job.argv[0]} 0 {NOT_STARTED_STATUS}")
                self.queue.remove(job)
                continue
            except OSError:
                self.event("#", "-script-error", f"{job.argv[0]} {FORK_ERROR} 0")
                continue
            running += 1
            self.event(".", "+script-child", str(job.pid))

    def _ended(self, ended: Reaped) -> None:
        self.event(".", "-script-child", f"{ended.pid} {ended.status} {ended.signal}")
        job = next((job for job in self.queue if job.pid == ended.pid), None)
        if job is None:
            self.output.log(
                "#", f"waitpid() returned a pid ({ended.pid}) we can't find in our scripts execution queue!"
            )
            return
        job.pid = 0
        if (ended.signal or ended.status == RETRY_STATUS) and job.tries != RETRIES_MAX:
            job.start_ms = self.clock.monotonic_us // 1000 + self.retry_delay_ms(job.tries)
            return
        if ended.signal or ended.status:
            self.event("#", "-script-error", f"{job.argv[0]} {ended.signal} {ended.status}")
        self.queue.remove(job)

    def _kill(self) -> None:
        now_ms = self.clock.monotonic_us // 1000
        for job in self.queue:
            if job.running and now_ms - job.start_ms > self.periods.script_max_runtime:
                self.event("#", "-script-timeout", f"{job.argv[0]} {job.pid}")
                self.output.effects.append(KillProgram(job.pid))

    def describe(self) -> list[dict[bytes, Any]]:
        """Return the queue as SENTINEL PENDING-SCRIPTS shows it."""
        now_ms = self.clock.monotonic_us // 1000
        jobs: list[dict[bytes, Any]] = []
        for job in self.queue:
            entry: dict[bytes, Any] = {
                b"argv": [to_bytes(arg) for arg in job.argv],
                b"flags": b"running" if job.running else b"scheduled",
                b"pid": b"%d" % job.pid,
            }
            if job.running:
                entry[b"run-time"] = b"%d" % (now_ms - job.start_ms)
            else:
                entry[b"run-delay"] = b"%d" % max(0, job.start_ms - now_ms if job.start_ms else 0)
            entry[b"retry-num"] = b"%d" % job.tries
            jobs.append(entry)
        return jobs
