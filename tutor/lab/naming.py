"""A name that is not known: one line that says so, with the nearest of those that are."""

from collections.abc import Iterable

from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten

NAMES_SHOWN = 8


def unknown(kind: str, name: str, among: Iterable[str]) -> str:
    """Return what to say when there is no node (client, scenario …) of a name."""
    known = list(among)
    told = f"there is no {kind} {shorten(name)}"
    same = [each for each in known if each.casefold() == name.casefold()]
    near = same[0] if same else nearest(name, (each for each in known if len(each) > 2)) if len(name) > 1 else ""
    if near:
        return f"{told}: did you mean {near}?"
    if not known:
        return told
    more = ", …" if len(known) > NAMES_SHOWN else ""
    return f"{told}: there {'is' if len(known) == 1 else 'are'} {', '.join(known[:NAMES_SHOWN])}{more}"
