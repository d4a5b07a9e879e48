"""Sorted sets: bars ordered by score, with the rank from both ends; and geo indexes as a small map."""

from dataclasses import dataclass
from itertools import pairwise
from math import cos, isfinite, radians

from tutor.pictures.canvas import (
    WIDE,
    Line,
    bar,
    cells,
    clauses,
    fit,
    fit_right,
    line,
    listed,
    mark,
    named,
    number,
    shown,
    were,
)
from tutor.pictures.picture import Picture, encoding_lines, key_heading, made, told, ttl_lines
from tutor.pictures.readings import Argv, Key, Ranked, SortedSetExcerpt
from tutor.prompt.rows import Span

ENDS = 6  # rows of each end that are drawn
MEMBER = 16
MAP_ROWS = 9
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of members, as far as they were read."""

    added: tuple[bytes, ...] = ()
    moved: tuple[tuple[bytes, Ranked, Ranked], ...] = ()  # another score
    gone: tuple[Ranked, ...] = ()


def _value(key: Key | None) -> SortedSetExcerpt:
    value = key.value if key is not None else None
    return value if isinstance(value, SortedSetExcerpt) else SortedSetExcerpt(())


def changes_of(before: Key | None, key: Key) -> Changes:
    """Return what changed between two readings."""
    if before is None:
        return Changes()
    old, new = _value(before), _value(key)
    old_whole, new_whole = len(old.rows) == before.size or not before.exists, len(new.rows) == key.size
    earlier = {each.member: each for each in old.rows}
    now = {each.member: each for each in new.rows}
    sought = {member for member, rank in old.sought if rank is None}
    added = [each for each in now if each not in earlier and (old_whole or each in sought)]
    moved = [
        (each, earlier[each], now[each]) for each in now if each in earlier and earlier[each].score != now[each].score
    ]
    absent = {member for member, rank in new.sought if rank is None}
    gone = [earlier[each] for each in earlier if each not in now and (new_whole or each in absent)]
    return Changes(tuple(added), tuple(moved), tuple(gone))


def draw_sorted_set(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a sorted set."""
    changes = changes_of(before, key)
    moved = {member: old for member, old, _ in changes.moved}
    rows = _kept(_value(key).rows, key.size, [*changes.added, *moved])
    wide = width >= WIDE
    members = [each.member for each in rows] + [each.member for each in changes.gone]
    member_width = max(
        6, min(MEMBER if wide else 10, max([cells(shown(each, MEMBER)) for each in members], default=6))
    )
    scores = [_score_text(each, moved.get(each.member)) for each in rows]
    score_width = max(5, min(24 if wide else 10, max([len(each) for each in scores], default=5)))
    rank_width = max(4, len(str(key.size - 1)))
    head = 2 + rank_width + (rank_width + 2 if wide else 0) + 2 + member_width + 1 + score_width + 2
    bar_width = max(4, min(36, width - head - (18 if wide else 6)))
    low, high = _scale([*(each.score for each in rows), *(each.score for each in moved.values())])
    lines = [key_heading(before, key, cause, width)]
    reverse = f" {'rev':>{rank_width}} " if wide else ""
    lines.append(
        line(
            (
                f"  {'rank':>{rank_width}}{reverse}  {fit('member', member_width)} {fit_right('score', score_width)}",
                "dim",
            )
        )
    )
    ties = _ties(rows, "by bytes" if wide else "tie")
    for at, (row, text) in enumerate(zip(rows, scores)):
        if at and row.rank != rows[at - 1].rank + 1:
            lines.append(line((f"  … {row.rank - rows[at - 1].rank - 1:,} more …", "dim")))
        old = moved.get(row.member)
        style = "new" if row.member in changes.added else "changed" if old is not None else "plain"
        spans: list[Span] = [mark(style), (f"{row.rank:>{rank_width}}", "dim")]
        if wide:
            spans.append((f" {key.size - 1 - row.rank:>{rank_width}} ", "dim"))
        spans += [
            (
                "  " + fit(shown(row.member, member_width), member_width) + " ",
                style if style != "plain" else "strong",
            ),
            (fit_right(text, score_width) + "  ", "number" if style == "plain" else style),
            *_bar(row.score, old.score if old is not None else None, low, high, bar_width, style),
        ]
        note = f"was rank {old.rank}" if old is not None and old.rank != row.rank else ""
        if not wide and note:
            note = f"was {old.rank}" if old is not None else ""
        spans.append((" " + " ".join(filter(None, (ties.get(row.rank, ""), note))), "dim"))
        lines.append(tuple(spans))
    if rows and rows[-1].rank < key.size - 1:
        lines.append(line((f"  … {key.size - 1 - rows[-1].rank:,} more", "dim")))
    for gone in changes.gone[:ENDS]:
        member = fit(shown(gone.member, member_width), member_width)
        spans = [
            ("- ", "error"),
            (f"{gone.rank:>{rank_width}}", "dim"),
            (" " * (rank_width + 2) if wide else "", "dim"),
        ]
        spans += [
            ("  " + member + " ", "gone"),
            (fit_right(number(gone.score), score_width), "gone"),
            ("  gone", "dim"),
        ]
        lines.append(tuple(spans))
    if wide and rows:
        axis = f"{_short(low)}{_short(high):>{max(1, bar_width - len(_short(low)))}}"
        lines.append(line((" " * head + axis, "dim")))
    lines += [*encoding_lines(before, key, width), *ttl_lines(before, key, width)]
    return made(lines, width, sorted_set_sentence(before, key, cause))


def _kept(rows: tuple[Ranked, ...], size: int, wanted: list[bytes]) -> list[Ranked]:
    """Return the rows to draw: both ends, and what changed with its neighbors."""
    if size <= 2 * ENDS:
        return list(rows)
    ranks = {each.rank for each in rows if each.rank < ENDS or each.rank >= size - ENDS}
    for each in rows:
        if each.member in wanted[:ENDS]:
            ranks |= {each.rank - 1, each.rank, each.rank + 1}
    return [each for each in rows if each.rank in ranks]


def _score_text(row: Ranked, old: Ranked | None) -> str:
    return f"{number(old.score)} → {number(row.score)}" if old is not None else number(row.score)


def _short(value: float) -> str:
    return f"{value:g}"


def _scale(scores: list[float]) -> tuple[float, float]:
    """Return what the ends of a bar stand for: zero is one of them, unless all scores are far from it."""
    finite = [each for each in scores if isfinite(each)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low > 0 and low > 0.9 * high and high - low > 0:  # such as times: what they have in common says nothing
        low -= (high - low) * 0.2
    else:
        low = min(0.0, low)
    high = max(0.0, high)
    return (low, high) if high > low else (low, low + 1)


def _part(score: float, low: float, high: float) -> float:
    if score == float("inf"):
        return 1.0
    return 0.0 if score == float("-inf") else (score - low) / (high - low)


def _bar(score: float, old: float | None, low: float, high: float, width: int, style: str) -> list[Span]:
    now = len(bar(_part(score, low, high), width))
    was = len(bar(_part(old, low, high), width)) if old is not None else now
    solid = min(now, was)
    spans: list[Span] = [("█" * solid, style)]
    if now > solid:
        spans.append(("▒" * (now - solid), style))  # gained
    elif was > solid:
        spans.append(("·" * (was - solid), "dim"))  # lost
    spans.append((" " * (width - max(now, was)), "plain"))
    return spans


def _ties(rows: list[Ranked], note: str) -> dict[int, str]:
    """Return, by rank, the brackets of members with equal scores."""
    ties: dict[int, str] = {}
    for above, below in pairwise(rows):
        if above.score == below.score and above.rank + 1 == below.rank:
            ties[above.rank] = "┤" if above.rank in ties else "┐"
            ties[below.rank] = f"┘ {note}"
    return ties


def sorted_set_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a sorted set."""
    changes = changes_of(before, key)
    value = _value(key)
    parts = []
    if changes.added and (key.size == len(value.rows) or (before is not None and before.exists)):
        first = value.find(changes.added[0])
        if len(changes.added) == 1 and first is not None:
            parts.append(f"{named(first.member)} was added with score {number(first.score)}, rank {first.rank}")
        else:
            parts.append(f"{listed([named(each) for each in changes.added])} were added")
    for member, old, new in changes.moved[:2]:
        rank = f" and its rank from {old.rank} to {new.rank}" if old.rank != new.rank else f", still rank {new.rank}"
        parts.append(f"the score of {named(member)} changed from {number(old.score)} to {number(new.score)}{rank}")
    if len(changes.moved) > 2:
        parts.append(f"{len(changes.moved) - 2} more scores changed")
    if changes.gone:
        parts.append(f"{listed([named(each.member) for each in changes.gone])} {were(changes.gone)} removed")
    return told(before, key, "; ".join(parts), cause)


# --- places ------------------------------------------------------------------------------------------------------


def draw_places(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a geo index as a map: north is up, and the places have letters."""
    value = _value(key)
    places = value.positions[: len(LETTERS)]
    changes = changes_of(before, key)
    moved = {member for member, _, _ in changes.moved}
    lines = [key_heading(before, key, cause, width, "geo index")]
    if not places:
        return made([*lines, line(("  no places were read", "dim"))], width, sorted_set_sentence(before, key, cause))
    wide = width >= WIDE
    names = [shown(member, MEMBER) for member, _, _ in places]
    beside = max(map(cells, names)) + 23  # what the legend takes
    map_width = min(38, max(16, width - 6 - beside)) if wide else width - 4
    legend = []
    for letter, name, (member, longitude, latitude) in zip(LETTERS, names, places):
        style = "new" if member in changes.added else "changed" if member in moved else "plain"
        legend.append(
            line(
                mark(style),
                (f"{letter} ", style),
                (fit(name, max(map(cells, names))), "strong"),
                (f" {latitude:.3f}, {longitude:.3f}", "dim"),
            )
        )
    drawn = _map(places, map_width, changes.added, moved)
    if wide:
        for at in range(max(len(drawn), len(legend))):
            left = drawn[at] if at < len(drawn) else line(" " * (map_width + 2))
            right = legend[at] if at < len(legend) else ()
            lines.append((("  ", "plain"), *left, ("  ", "plain"), *right))
    else:
        lines += [(("  ", "plain"), *each) for each in drawn] + legend
    for gone in changes.gone[:ENDS]:
        lines.append(line(("- ", "error"), (shown(gone.member, MEMBER), "gone")))
    if key.size > len(places):
        lines.append(line((f"  … and {key.size - len(places):,} more places", "dim")))
    lines.append(line(("  a sorted set: the scores are geohashes", "dim")))
    lines += ttl_lines(before, key, width)
    return made(lines, width, _places_sentence(before, key, cause, changes))


def _map(
    places: tuple[tuple[bytes, float, float], ...], width: int, added: tuple[bytes, ...], moved: set[bytes]
) -> list[Line]:
    """Draw letters where the places are. A cell is twice as high as wide, and a degree of longitude shorter."""
    west, east = min(each[1] for each in places), max(each[1] for each in places)
    south, north = min(each[2] for each in places), max(each[2] for each in places)
    shrink = max(0.05, cos(radians((south + north) / 2)))
    across, up = max((east - west) * shrink, 1e-6), max(north - south, 1e-6)
    scale = min((width - 1) / across, 2 * (MAP_ROWS - 1) / up)
    grid: dict[tuple[int, int], Span] = {}
    left, top = (width - 1 - across * scale) / 2, (MAP_ROWS - 1 - up * scale / 2) / 2
    for letter, (member, longitude, latitude) in zip(LETTERS, places):
        x = round(left + (longitude - west) * shrink * scale)
        y = round(top + (north - latitude) * scale / 2)
        style = "new" if member in added else "changed" if member in moved else "strong"
        grid[(y, x)] = (letter if (y, x) not in grid else "*", style)
    lines = [line(("┌" + "─" * width + "┐", "dim"))]
    for y in range(MAP_ROWS):
        spans: list[Span] = [("│", "dim")]
        for x in range(width):
            spans.append(grid.get((y, x), ("·" if y % 4 == 0 and x % 8 == 0 else " ", "ghost")))
        lines.append((*spans, ("│", "dim")))
    return [*lines, line(("└" + "─" * width + "┘", "dim"))]


def _places_sentence(before: Key | None, key: Key, cause: Argv, changes: Changes) -> str:
    value = _value(key)
    where = {member: (longitude, latitude) for member, longitude, latitude in value.positions}
    parts = []
    if len(changes.added) == 1 and changes.added[0] in where:
        longitude, latitude = where[changes.added[0]]
        parts.append(f"{named(changes.added[0])} was added at latitude {latitude:.3f}, longitude {longitude:.3f}")
    elif changes.added:
        parts.append(f"{listed([named(each) for each in changes.added])} were added")
    if changes.moved:
        parts.append(f"{listed([named(each) for each, _, _ in changes.moved])} moved")
    if changes.gone:
        parts.append(f"{listed([named(each.member) for each in changes.gone])} {were(changes.gone)} removed")
    return told(before, key, clauses(parts), cause)
