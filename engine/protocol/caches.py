"""The caches of results that can be computed again at any time.

A cached object is created in the middle of the load and outlives it, and it keeps the memory around it from being
returned to the system. So all caches are cleared when a server becomes idle. That requires every cache that grows
while a server runs to be registered here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

Cached = TypeVar("Cached", bound="_lru_cache_wrapper[object]")

_clear: list[Callable[[], None]] = []


def cleared_when_idle(cached: Cached) -> Cached:
    """Register a function with a cache (a decorator above `lru_cache`)."""
    _clear.append(cached.cache_clear)
    return cached


def clears_when_idle(clear: Callable[[], None]) -> Callable[[], None]:
    """Register a function that clears a cache of another kind (a decorator)."""
    _clear.append(clear)
    return clear


def clear_all() -> None:
    """Clear all caches."""
    for clear in _clear:
        clear()
