"""Conversion of plain data to msgspec structures, from any thread.

msgspec builds and caches a description of each type when it first converts to it. Other threads can find the
incomplete description, and two concurrent first conversions crash the process. A lock therefore serializes
conversions.
"""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_turn = threading.Lock()


def convert(data: Any, kind: type[T]) -> T:
    """Return data as the structure it should be. Raises msgspec.ValidationError."""
    with _turn:
        return msgspec.convert(data, kind)
