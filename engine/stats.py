"""What a node counts: per command, per error code, and in all.

The hot path does as little as it can: a command's duration is appended to its list, and the lists are folded into
sums and histogram when they are read or have grown long.
"""

FOLD_AT = 4096


class CommandStats:
    """Calls and times (µs) of one command."""

    __slots__ = ("_calls", "_histogram", "_usec", "durations", "failed", "rejected")

    def __init__(self) -> None:
        self.durations: list[int] = []  # not yet folded
        self.rejected = 0  # errors before execution
        self.failed = 0  # errors of the execution
        self._calls = 0
        self._usec = 0
        self._histogram: dict[int, int] = {}

    def fold(self) -> None:
        """Take the durations since the last fold into the sums."""
        durations = self.durations
        if durations:
            self._calls += len(durations)
            self._usec += sum(durations)
            histogram = self._histogram
            for duration in durations:
                histogram[duration] = histogram.get(duration, 0) + 1
            self.durations = []
            if len(histogram) > 2048:
                self._coarsen()

    def _coarsen(self) -> None:
        # Two significant digits, as Redis's HDR histograms keep.
        coarse: dict[int, int] = {}
        for value, count in self._histogram.items():
            shift = max(0, value.bit_length() - 8)
            key = value >> shift << shift
            coarse[key] = coarse.get(key, 0) + count
        self._histogram = coarse

    @property
    def calls(self) -> int:
        """How often the command ran."""
        return self._calls + len(self.durations)

    @property
    def usec(self) -> int:
        """The time all calls took, in µs."""
        return self._usec + sum(self.durations)

    def histogram(self) -> list[tuple[int, int]]:
        """Return (duration in µs, calls) in ascending order."""
        self.fold()
        return sorted(self._histogram.items())


class Stats:
    """Counters of a node since it started, or since CONFIG RESETSTAT."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set every counter to zero."""
        self.connections_received = 0
        self.rejected_connections = 0
        self.net_input_bytes = 0
        self.net_output_bytes = 0
        self.net_repl_input_bytes = 0
        self.net_repl_output_bytes = 0
        self.evicted_keys = 0
        self.evicted_clients = 0
        self.evicted_scripts = 0
        self.total_error_replies = 0
        self.unexpected_error_replies = 0
        self.sync_full = 0
        self.sync_partial_ok = 0
        self.sync_partial_err = 0
        self.acl_access_denied_auth = 0
        self.acl_access_denied_cmd = 0
        self.acl_access_denied_key = 0
        self.acl_access_denied_channel = 0
        self.forks = 0
        self.reads_processed = 0
        self.writes_processed = 0
        self.output_limit_disconnections = 0
        self.query_limit_disconnections = 0
        self.reply_buffer_shrinks = 0
        self.reply_buffer_expands = 0
        self.active_time_us = 0
        self.active_time_max_us = 0
        self.aof_time_us = 0
        self.cron_time_us = 0
        self.calls_per_round_max = 0
        self.dump_payload_sanitizations = 0
        self.peak_memory_bytes = 0
        self.lazyfreed_objects = 0
        self.expire_cycle_us = 0
        self.latest_fork_us = 0
        self.fork_rate = 0.0  # GB a second that the last fork came to
        self.rounds = 0
        self.errors: dict[bytes, int] = {}  # by code

    def round_ended(self, duration_us: int, requests: int) -> None:
        """Count a round of inputs, with so many requests."""
        self.active_time_us += duration_us
        if duration_us > self.active_time_max_us:
            self.active_time_max_us = duration_us
        if requests > self.calls_per_round_max:
            self.calls_per_round_max = requests


class Sampler:
    """The mean of what a counter gained per unit of another (a second of time, a round), over the last samples."""

    SAMPLES = 16

    def __init__(self) -> None:
        self.gains: list[float] = []
        self.last_value = 0
        self.last_base = 0

    def sample(self, value: int, base: int, factor: int = 1) -> None:
        """Note the counter's `value` when the other one stands at `base`; gains are times `factor`."""
        if self.last_base > 0:
            grown = base - self.last_base
            self.gains.append((value - self.last_value) * factor / grown if grown > 0 else 0.0)
            if len(self.gains) > self.SAMPLES:
                del self.gains[0]
        self.last_value = value
        self.last_base = base

    @property
    def rate(self) -> float:
        """Return the mean; samples not yet taken count as zero."""
        return sum(self.gains) / self.SAMPLES


class Rates:
    """What INFO calls instantaneous: sampled ten times a second, however often the cron runs."""

    PERIOD_MS = 100

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples, as CONFIG RESETSTAT does."""
        self.ops = Sampler()  # commands per second
        self.net_in = Sampler()  # bytes per second, replication's included
        self.net_out = Sampler()
        self.repl_in = Sampler()
        self.repl_out = Sampler()
        self.cycles = Sampler()  # rounds per second
        self.duration = Sampler()  # µs per round

    def sample(self, stats: Stats, calls: int, now_us: int) -> None:
        """Take one sample of everything; `calls` is how many commands ran in all."""
        second = 1_000_000
        self.ops.sample(calls, now_us, second)
        self.net_in.sample(stats.net_input_bytes + stats.net_repl_input_bytes, now_us, second)
        self.net_out.sample(stats.net_output_bytes + stats.net_repl_output_bytes, now_us, second)
        self.repl_in.sample(stats.net_repl_input_bytes, now_us, second)
        self.repl_out.sample(stats.net_repl_output_bytes, now_us, second)
        self.cycles.sample(stats.rounds, now_us, second)
        self.duration.sample(stats.active_time_us, stats.rounds)


class ScriptingMemory:
    """What scripts and functions take, in bytes, and how many there are."""

    def __init__(self) -> None:
        self.vm_eval = 31_744
        self.vm_functions = 32_768
        self.scripts = 0
        self.cached = 0
        self.functions = 0
        self.libraries = 0
        self.function_bytes = 216
