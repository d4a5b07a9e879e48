"""The memory limit: how much is used of maxmemory, and which keys would be evicted next.

Redis compares a few keys that it picks by chance (`maxmemory-samples`), so the order below is the order among the
keys that were read, and the real choice is one of the first ones. Looking does not make a key younger.
"""

from dataclasses import dataclass

from tutor.pictures.canvas import WIDE, Line, bar, cells, count, duration, fit, fit_right, line, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections, info, is_sentinel
from tutor.prompt.rows import Span

KEYS = 32  # that are looked at
ROWS = 6
NAME = 16


@dataclass(frozen=True, slots=True)
class RankedKey:
    """A key that may be evicted. `rank` orders by the policy: the greatest goes first."""

    name: bytes
    rank: float
    why: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory at one moment."""

    used: int = 0
    limit: int = 0
    policy: str = "noeviction"
    evicted: int = 0
    keys: int = 0
    samples: int = 5
    candidates: tuple[RankedKey, ...] = ()
    sentinel: bool = False  # of a Sentinel, which has neither keys nor a limit


def read_memory(inspect_all: Inspections, db: int) -> Memory:
    """Read memory, limit and some of the keys."""
    if is_sentinel(inspect_all):
        return Memory(sentinel=True)
    memory, stats, size, setting, scanned = inspect_all(
        [
            ((b"INFO", b"memory"), db),
            ((b"INFO", b"stats"), db),
            ((b"DBSIZE",), db),
            ((b"CONFIG", b"GET", b"maxmemory-samples"), db),
            ((b"SCAN", b"0", b"COUNT", b"%d" % KEYS), db),
        ]
    )
    told, counted = info(memory), info(stats)
    policy = told.get("maxmemory_policy", "noeviction")
    names = [bytes(each) for each in scanned[1]][:KEYS] if isinstance(scanned, list) and len(scanned) == 2 else []
    samples = next(iter(setting.values()), b"5") if isinstance(setting, dict) else b"5"
    return Memory(
        int(told.get("used_memory", 0)),
        int(told.get("maxmemory", 0)),
        policy,
        int(counted.get("evicted_keys", 0)),
        size if isinstance(size, int) else 0,
        int(samples),
        _candidates(inspect_all, db, names, policy),
    )


def _candidates(inspect_all: Inspections, db: int, names: list[bytes], policy: str) -> tuple[RankedKey, ...]:
    if policy == "noeviction" or not names:
        return ()
    by_frequency = policy.endswith("lfu")
    looks = [
        (argv, db)
        for name in names
        for argv in (
            (b"OBJECT", b"FREQ" if by_frequency else b"IDLETIME", name),
            (b"PTTL", name),
            (b"MEMORY", b"USAGE", name),
        )
    ]
    found = inspect_all(looks)
    candidates = []
    for name, use, ttl, size in zip(names, found[::3], found[1::3], found[2::3]):
        if policy.startswith("volatile") and not (isinstance(ttl, int) and ttl >= 0):
            continue
        number = use if isinstance(use, int) else 0
        if policy.endswith("ttl"):
            rank, why = -float(ttl), f"expires in {duration(ttl)}"
        elif by_frequency:
            rank, why = -float(number), f"used with frequency {number}"
        elif policy.endswith("random"):
            rank, why = 0.0, "by chance"
        else:
            rank, why = float(number), f"idle for {count(number, 'second')}"
        candidates.append(RankedKey(name, rank, why, size if isinstance(size, int) else 0))
    return tuple(sorted(candidates, key=lambda each: (-each.rank, each.name)))


def size_text(size: int) -> str:
    """Write a number of bytes."""
    return (
        f"{size:,} B"
        if size < 10_000
        else f"{size / 1024:,.1f} kB"
        if size < 1 << 20
        else f"{size / (1 << 20):,.2f} MB"
    )


def draw_memory(before: Memory | None, now: Memory, width: int, cause: Argv = ()) -> Picture:
    """Draw memory used against its limit, and who goes next."""
    wide = width >= WIDE
    if now.sentinel:
        told = line(("  A Sentinel stores no keys.", "dim"))
        return made([heading([("memory", "strong")], cause, width), told], width, "")
    title: list[Span] = [
        ("memory", "strong"),
        (f" · {now.policy} · {count(now.keys, 'key')}" if wide else f" {now.policy}", "dim"),
    ]
    lines = [heading(title, cause, width)]
    grown = now.used - before.used if before is not None else 0
    change = f"  {grown:+,} B" if grown else ""
    if now.limit:
        part = now.used / now.limit
        lines.append(
            line(
                ("  ", "plain"),
                (bar(part, width - 12, "█", "░"), "error" if part >= 1 else "number"),
                (f" {part:.1%}", "strong"),
            )
        )
        lines.append(line((f"  used {size_text(now.used)} of {size_text(now.limit)}", "plain"), (change, "changed")))
    else:
        lines.append(line((f"  used {size_text(now.used)}, no limit", "plain"), (change, "changed")))
    lines += _order(now, wide, width)
    gone = now.evicted - before.evicted if before is not None else 0
    if gone > 0:
        lines.append(line(("- ", "error"), (f"{count(gone, 'key')} evicted, {now.evicted:,} in all", "gone")))
    elif now.evicted:
        lines.append(line((f"  {now.evicted:,} evicted so far", "dim")))
    return made(lines, width, _sentence(before, now, grown, gone))


def _order(now: Memory, wide: bool, width: int) -> list[Line]:
    if not now.limit:
        return [line(("  without maxmemory, no keys are evicted", "dim"))]
    if now.policy == "noeviction":
        return [line(("  at the limit, writes fail with OOM", "dim"))]
    if not now.candidates:
        which = "with a time to live " if now.policy.startswith("volatile") else ""
        return [line((f"  no key {which}to evict: writes would fail", "dim"))]
    lines = [line((f"  evicted next, {now.samples} keys compared:" if wide else "  evicted next:", "dim"))]
    names = min(NAME, max(cells(shown(each.name, NAME)) for each in now.candidates[:ROWS]))
    for at, each in enumerate(now.candidates[:ROWS]):
        size = fit_right(size_text(each.size_bytes), 10) if wide else ""
        lines.append(
            line(
                ("▸ " if not at and each.rank else "  ", "changed"),
                (fit(shown(each.name, names), names), "strong"),
                (size, "dim"),
                (f"  {each.why}", "plain"),
            )
        )
    if len(now.candidates) > ROWS:
        lines.append(line((f"  … {len(now.candidates) - ROWS:,} more of those read", "dim")))
    return lines


def _sentence(before: Memory | None, now: Memory, grown: int, gone: int) -> str:
    if before is None:
        return ""
    if gone > 0:
        return f"{count(gone, 'key')} {'was' if gone == 1 else 'were'} evicted to stay below maxmemory."
    if before.limit != now.limit or before.policy != now.policy:
        limit = f"The memory limit is {size_text(now.limit)}" if now.limit else "There is no memory limit"
        return f"{limit}, and the policy is {now.policy}."
    if not grown or not now.limit:
        return ""
    verb = "grew" if grown > 0 else "shrank"
    return f"Memory {verb} by {abs(grown):,} bytes, to {now.used / now.limit:.1%} of maxmemory."
