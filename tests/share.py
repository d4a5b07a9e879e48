"""Which share of a large proof the tests run: enough to meet its kinds of faults, or all where EVERYTHING is set."""

import os
from collections.abc import Iterable
from typing import TypeVar

EVERYTHING = bool(os.environ.get("EVERYTHING"))
T = TypeVar("T")


def share(items: Iterable[T], one_in: int) -> list[T]:
    """Return every so many items, the first one among them, or all of them where EVERYTHING is set."""
    return list(items)[:: 1 if EVERYTHING else one_in]
