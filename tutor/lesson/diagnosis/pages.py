"""Pages of error replies: what each means, and what to do.

`pages.txt` has three lines for each: a regular expression that the reply matches (the first that matches counts), the
cause, and what to do. In the last two, `{name}` is the command, `{key}` its first key, `{1}` … are the expression's
groups. `errors` adds what the server's state shows.
"""

import re
from pathlib import Path
from typing import NamedTuple


class ErrorPage(NamedTuple):
    """The explanation of an error reply."""

    pattern: re.Pattern[str]
    cause: str
    remedy: str


def _read() -> tuple[ErrorPage, ...]:
    pages = []
    for block in Path(__file__).with_name("pages.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        pattern, cause, remedy = block.split("\n")
        pages.append(ErrorPage(re.compile(pattern), cause, remedy))
    return tuple(pages)


PAGES = _read()


def find(error: str) -> tuple[ErrorPage, re.Match[str]] | None:
    """Return the page of an error reply, with what its expression matched."""
    for page in PAGES:
        if found := page.pattern.match(error):
            return page, found
    return None
