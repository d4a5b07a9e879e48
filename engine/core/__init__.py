"""The core of a server: the parts that most of its components use.

`Core` holds the configuration, the clocks and timers, the output, the keyspace and the sinks of statistics and
events. The constructor of a component receives it, and keeps the parts that the component uses. Whatever else a
component uses, it receives by name.
"""

from typing import Final, TypedDict

from engine.config import Config
from engine.effects import Output
from engine.keyspace.databases import Keyspace
from engine.links import Dialer
from engine.observe.events import Events
from engine.observe.latency import LatencyMonitor
from engine.observe.slowlog import SlowLog
from engine.observe.stats import Stats
from engine.timers import Clock, Timers
from engine.values.rng import Rng


class Core:
    """What most components of a server share. Not a dataclass: to generate one takes a hundredth of the startup."""

    __slots__ = (
        "clock",
        "config",
        "dialer",
        "events",
        "latency",
        "output",
        "rng",
        "slowlog",
        "space",
        "stats",
        "timers",
    )

    def __init__(
        self,
        config: Config,
        clock: Clock,
        timers: Timers,
        rng: Rng,
        output: Output,
        dialer: Dialer,
        space: Keyspace,
        stats: Stats,
        latency: LatencyMonitor,
        slowlog: SlowLog,
        events: Events,
    ) -> None:
        self.config: Final = config
        self.clock: Final = clock
        self.timers: Final = timers
        self.rng: Final = rng
        self.output: Final = output
        self.dialer: Final = dialer
        self.space: Final = space
        self.stats: Final = stats
        self.latency: Final = latency
        self.slowlog: Final = slowlog
        self.events: Final = events


class ServerProcess:
    """The operating system's process that a server runs in."""

    __slots__ = ("oom_score_base", "run_id", "started_us")

    def __init__(self, run_id: bytes, started_us: int) -> None:
        self.run_id = run_id
        self.started_us = started_us
        self.oom_score_base: int | None = None  # the kernel's value before oom-score-adj changed it


class ProcessFacts(TypedDict, total=False):
    """What the world knows about the process, for INFO and names of files. A world may know less."""

    pid: int
    rss: int  # resident set size in bytes
    cpu_sys: float  # seconds
    cpu_user: float
    cpu_sys_children: float
    cpu_user_children: float
    utc_offset_s: int
    os: str
    arch_bits: int
    python: str
    executable: str
    total_memory: int  # of the machine, in bytes
    open_files_max: int | None  # None: unlimited
    multiplexing: str
    migrate_cached_sockets: int
    debugger: bool  # whether scripts can be debugged
