"""Lines that are read from standard input and printed to standard output."""

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Callable

from tutor.prompt.words import LINE, shorten


def writer() -> Callable[[str], object]:
    """Return what prints a line: broken between words in a terminal, as it is in a pipe."""
    return print_wrapped if sys.stdout.isatty() else print


def print_wrapped(text: str) -> None:
    """Print a line, broken between words at the terminal's width."""
    width = shutil.get_terminal_size().columns
    if len(text) < width:
        print(text)
        return
    indent = text[: len(text) - len(text.lstrip(" "))]
    for row in textwrap.wrap(text, width - 1, subsequent_indent=indent, break_on_hyphens=False):
        print(row)


def read_silently(prompt: str) -> str | None:
    """Read a line without repeating it."""
    return sys.stdin.readline() or None


def read_line(prompt: str) -> str | None:
    """Read a line of the learner's; None at the end of the input."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (input() has a history with it)
        try:
            return input(prompt)
        except EOFError:
            return None
    line = sys.stdin.readline()
    if not line:
        return None
    print(f"{prompt}{shorten(line.rstrip(), LINE)}")  # in a pipe, the input has not been echoed
    return line
