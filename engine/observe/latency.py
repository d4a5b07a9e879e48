"""Latency events: operations that took at least latency-monitor-threshold, by kind of event.

https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/
"""

from dataclasses import dataclass

HISTORY = 160


@dataclass(slots=True)
class Sample:
    """The worst latency of an event within one second."""

    time_s: int
    latency_ms: int


class Series:
    """The most recent samples of one event."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.max_ms = 0

    def note(self, time_s: int, latency_ms: int) -> None:
        """Add a sample; only the worst one of each second is kept."""
        self.max_ms = max(self.max_ms, latency_ms)
        if self.samples and self.samples[-1].time_s == time_s:
            self.samples[-1].latency_ms = max(self.samples[-1].latency_ms, latency_ms)
            return
        self.samples.append(Sample(time_s, latency_ms))
        if len(self.samples) > HISTORY:
            del self.samples[0]


class LatencyMonitor:
    """Events of a node that took at least `threshold_ms` (latency-monitor-threshold; 0 disables recording)."""

    def __init__(self) -> None:
        self.threshold_ms = 0
        self.events: dict[bytes, Series] = {}

    def note(self, event: bytes, time_s: int, latency_ms: int) -> None:
        """Add a sample of an event."""
        self.events.setdefault(event, Series()).note(time_s, latency_ms)

    def took(self, event: bytes, duration_us: int, now_us: int) -> None:
        """Record an event if it reached the threshold."""
        if self.threshold_ms and duration_us >= self.threshold_ms * 1000:
            self.note(event, now_us // 1_000_000, duration_us // 1000)

    def reset(self, names: list[bytes] | None) -> int:
        """Delete the samples of events (None: of all events). Returns how many events were deleted."""
        chosen = list(self.events) if names is None else [name for name in names if name in self.events]
        for name in chosen:
            del self.events[name]
        return len(chosen)


_BARS = b"_-`"


def graph(name: bytes, series: Series, now_s: int) -> bytes:
    """Draw an event's samples as columns of characters, with the age of each sample written vertically below it."""
    samples = series.samples
    low = min(sample.latency_ms for sample in samples)
    high = max(sample.latency_ms for sample in samples)
    rows = 4
    steps = len(_BARS) * rows
    width = len(samples)
    grid = [bytearray(b" " * width) for _ in range(rows)]
    span = high - low
    for column, sample in enumerate(samples):
        relative = sample.latency_ms - low
        level = min(steps - 1, relative * steps // span) if span else 0
        top = rows - 1 - level // len(_BARS)
        grid[top][column] = _BARS[level % len(_BARS)]
        for row in range(top + 1, rows):
            grid[row][column] = ord("|")
    labels = [_elapsed(now_s - sample.time_s) for sample in samples]
    height = max(map(len, labels))
    for i in range(height):
        grid.append(bytearray(b"".join([label[i : i + 1] or b" " for label in labels])))
    head = b"%b - high %d ms, low %d ms (all time high %d ms)\n" % (name, high, low, series.max_ms)
    return head + b"-" * 80 + b"\n" + b"".join([bytes(row).rstrip() + b"\n" for row in grid])


def _elapsed(seconds: int) -> bytes:
    if seconds < 60:
        return b"%ds" % seconds
    if seconds < 3600:
        return b"%dm" % (seconds // 60)
    if seconds < 86400:
        return b"%dh" % (seconds // 3600)
    return b"%dd" % (seconds // 86400)
