"""Statistics of a node: by command, by error code, and totals.

The hot path does as little as possible: it increments the number of calls with the same duration in µs. Only calls
that take longer than all before them, or longer than 256 µs, cost more. The number of different durations is bounded.
"""

from array import array
from typing import ClassVar

from engine.protocol.errors import ReplyError

ERROR_CODES_MAX = 128
_EXACT_BITS = 8  # durations below 256 µs are exact, longer ones are cut to their eight highest bits
_EXACT_US = 1 << _EXACT_BITS
_HALF = _EXACT_US // 2  # the smallest number that has eight bits


class CommandStats:
    """The calls of one command and their durations (µs)."""

    __slots__ = ("_rounded_off_us", "calls_by_us", "failed", "longer", "rejected")

    def __init__(self) -> None:
        self.calls_by_us: list[int] = []  # the number of calls at each duration so far, up to 255 µs
        self.rejected = 0  # calls refused before execution
        self.failed = 0  # calls that returned an error
        self.longer: dict[int, list[int]] = {}  # number of bits cut off -> calls by the eight that are left
        self._rounded_off_us = 0

    def count(self, duration_us: int) -> None:
        """Count a call. Hot loops increment `calls_by_us[duration_us]` themselves and call this on an IndexError."""
        if duration_us < _EXACT_US:
            calls = self.calls_by_us
            calls.extend([0] * (duration_us + 1 - len(calls)))
            calls[duration_us] += 1
            return
        cut = duration_us.bit_length() - _EXACT_BITS
        kept = duration_us >> cut
        if cut not in self.longer:
            self.longer[cut] = [0] * _HALF
        self.longer[cut][kept - _HALF] += 1
        self._rounded_off_us += duration_us - (kept << cut)

    @property
    def calls(self) -> int:
        """The number of calls."""
        exact = sum(self.calls_by_us)
        return exact + sum([sum(calls) for calls in self.longer.values()]) if self.longer else exact

    @property
    def usec(self) -> int:
        """The total time of all calls in µs."""
        return sum([duration * calls for duration, calls in self.histogram()]) + self._rounded_off_us

    def histogram(self) -> list[tuple[int, int]]:
        """Return (duration in µs, calls) in ascending order."""
        found = [(duration, calls) for duration, calls in enumerate(self.calls_by_us) if calls]
        for cut, counts in sorted(self.longer.items()):
            found += [(kept + _HALF << cut, calls) for kept, calls in enumerate(counts) if calls]
        return found


class Stats:
    """Counters of a node since it started, or since CONFIG RESETSTAT."""

    def __init__(self) -> None:
        self.commands: dict[bytes, CommandStats] = {}  # by name
        self.rates = Rates()
        self.round_began_us = 0  # time of the first input of the round; 0 if there was none yet
        self.round_requests = 0
        # Not reset by CONFIG RESETSTAT.
        self.acl_access_denied_auth = 0
        self.acl_access_denied_cmd = 0
        self.acl_access_denied_key = 0
        self.acl_access_denied_channel = 0
        self.peak_memory_bytes = 0
        self.output_limit_disconnections = 0
        self.query_limit_disconnections = 0
        self.reset()

    def reset(self) -> None:
        """Set the counters to zero that CONFIG RESETSTAT resets."""
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
        self.forks = 0
        self.reads_processed = 0
        self.writes_processed = 0
        self.reply_buffer_shrinks = 0
        self.reply_buffer_expands = 0
        self.active_time_us = 0
        self.active_time_max_us = 0
        self.aof_time_us = 0
        self.cron_time_us = 0
        self.calls_per_round_max = 0
        self.dump_payload_sanitizations = 0
        self.lazyfreed_objects = 0
        self.expire_cycle_us = 0
        self.latest_fork_us = 0
        self.fork_rate = 0.0  # throughput of the last fork in GB per second
        self.rounds = 0
        self.errors: dict[bytes, int] = {}  # by code

    def of(self, command: bytes) -> CommandStats:
        """Return the statistics of a command."""
        stats = self.commands.get(command)
        if stats is None:
            stats = self.commands[command] = CommandStats()
        return stats

    def calls(self) -> int:
        """Return the number of calls of all commands."""
        total = 0
        for stats in self.commands.values():
            total += stats.calls if stats.longer else sum(stats.calls_by_us)
        return total

    def count_error(self, error: ReplyError) -> None:
        """Count an error reply by its code (INFO errorstats)."""
        self.total_error_replies += 1
        code = error.text.split(b" ", 1)[0]
        errors = self.errors
        if code in errors or len(errors) < ERROR_CODES_MAX:
            errors[code] = errors.get(code, 0) + 1

    def round_ended(self, stopwatch_us: int) -> None:
        """Count the round of inputs that began at `round_began_us`."""
        duration_us = stopwatch_us - self.round_began_us
        self.active_time_us += duration_us
        if duration_us > self.active_time_max_us:
            self.active_time_max_us = duration_us
        if self.round_requests > self.calls_per_round_max:
            self.calls_per_round_max = self.round_requests
        self.round_began_us = self.round_requests = 0


_TIME, _CALLS, _IN, _OUT, _REPL_IN, _REPL_OUT, _ROUNDS, _ACTIVE = range(8)  # the counters of a sample
_COUNTERS = 8


class Rates:
    """The instantaneous metrics of INFO, sampled ten times a second regardless of `hz`.

    A sample is just the counters: rates are computed when they are asked for, which is rare. A rate is the average
    of the increases between the last samples.
    """

    PERIOD_MS: ClassVar[int] = 100
    SAMPLES = 16

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Delete all samples, as CONFIG RESETSTAT does."""
        self._samples = array("q")  # no numbers that are created under load and kept

    def sample(self, stats: Stats, calls: int, now_us: int) -> None:
        """Take one sample of everything; `calls` is the total number of commands executed."""
        repl_in, repl_out = stats.net_repl_input_bytes, stats.net_repl_output_bytes
        samples = self._samples
        samples.extend(
            (
                now_us,
                calls,
                stats.net_input_bytes + repl_in,
                stats.net_output_bytes + repl_out,
                repl_in,
                repl_out,
                stats.rounds,
                stats.active_time_us,
            )
        )
        if len(samples) > _COUNTERS * (self.SAMPLES + 1):
            del samples[:_COUNTERS]

    def _rate(self, counter: int, base: int = _TIME, factor: int = 1_000_000) -> float:
        """Return by how much a counter increases while another one, the base, increases by `factor`."""
        values, bases = self._samples[counter::_COUNTERS], self._samples[base::_COUNTERS]
        gains = []
        for index in range(1, len(values)):
            if bases[index - 1] > 0:
                grown = bases[index] - bases[index - 1]
                gains.append((values[index] - values[index - 1]) * factor / grown if grown > 0 else 0.0)
        return sum(gains) / self.SAMPLES  # missing samples count as zero

    @property
    def ops(self) -> float:
        """Commands per second."""
        return self._rate(_CALLS)

    @property
    def net_in(self) -> float:
        """Bytes received per second, including replication."""
        return self._rate(_IN)

    @property
    def net_out(self) -> float:
        """Bytes sent per second, including replication."""
        return self._rate(_OUT)

    @property
    def repl_in(self) -> float:
        """Bytes received from the master per second."""
        return self._rate(_REPL_IN)

    @property
    def repl_out(self) -> float:
        """Bytes sent to replicas per second."""
        return self._rate(_REPL_OUT)

    @property
    def cycles(self) -> float:
        """Rounds per second."""
        return self._rate(_ROUNDS)

    @property
    def duration(self) -> float:
        """The duration of a round in µs."""
        return self._rate(_ACTIVE, _ROUNDS, 1)


class ScriptingMemory:
    """The memory used by scripts and functions in bytes, and their number."""

    def __init__(self) -> None:
        self.vm_eval = 31_744
        self.vm_functions = 32_768
        self.scripts = 0
        self.cached = 0
        self.functions = 0
        self.libraries = 0
        self.function_bytes = 216
