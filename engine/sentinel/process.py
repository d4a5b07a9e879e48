"""A Sentinel as a process: a node whose clients find a Sentinel's commands, and that watches instead of keeping data.

What it shares with a server it inherits: clients, users, pub/sub, the way of a command, the server's directives. It
has no keys, so nothing is loaded, saved or replicated.
"""

from collections.abc import Callable

from engine.commands.reconfigure import rewrite_config
from engine.config import Config
from engine.config.rewriting import Draft
from engine.effects import Exit
from engine.node import Node
from engine.sentinel import commands
from engine.sentinel.monitor import Monitor
from engine.sentinel.settings import SimulatedCrashError
from engine.sentinel.watched import Watched
from engine.table.declarations import SENTINEL

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SentinelNode(Node):
    """A Sentinel."""

    program = "Sentinel"
    keeps_data = False

    def __init__(self, config: Config, watched: Watched, seed: int, now: int, clock_offset_us: int = 0) -> None:
        config.save = ()
        super().__init__(config, seed, now, clock_offset_us, SENTINEL)
        self.monitor = Monitor(self.core, watched, self.pubsub)
        self.monitor.failover.process = self
        self.monitor.file.rewrite = self.rewrite_file

    @property
    def mode(self) -> str:
        """See `Server.mode`."""
        return "sentinel"

    def rewrite_file(self, lines: Callable[[Draft], None]) -> None:
        """Write the configuration file, with these lines besides the server's directives; raises OSError."""
        rewrite_config(self, more=lines, without=("save",))

    def start(self, now: int) -> None:
        """The ports are open: begin to watch."""
        self.set_time(now)
        self.execution.clock_us = self.clock.stopwatch()
        self.monitor.start()
        self.cron.stop()  # one timer is enough
        self.cron_due_us = now
        self.timers.at(now, "tick")

    def tick(self) -> int:
        """Do what is due; returns when to do so again."""
        if self.clock.monotonic_us >= self.cron_due_us:
            self.cron_due_us = self.cron.tick()
            self.cron.round()
        return self.monitor.tick()

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        try:
            super().received(link, data, now)
        except SimulatedCrashError:
            return  # `crash` has ended the process

    def wake(self, now: int) -> None:
        """See `Node.wake`."""
        try:
            super().wake(now)
        except SimulatedCrashError:
            return  # `crash` has ended the process

    def local_time(self, monotonic_ms: int) -> str:
        """See `engine.sentinel.failover.Process`."""
        seconds = (monotonic_ms * 1000 + self.clock.offset_us) // 1_000_000 + self.facts().get("utc_offset_s", 0)
        return c_time(seconds)

    def crash(self, status: int) -> None:
        """See `engine.sentinel.failover.Process`."""
        self.ending.fail(Exit(status))


def c_time(seconds: int) -> str:
    """Return a time since 1970 as C's `ctime` shows it, without the line break."""
    days, second = divmod(seconds, 86400)
    year, month, day = _date(days)
    return (
        f"{_DAYS[(days + 3) % 7]} {_MONTHS[month - 1]} {day:2d} "
        f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} {year}"
    )


def _date(days: int) -> tuple[int, int, int]:
    """Return the date that is so many days after the first of January 1970."""
    era, day_of_era = divmod(days + 719468, 146097)  # eras of 400 years, which begin in March
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


__all__ = ["SentinelNode", "commands"]
