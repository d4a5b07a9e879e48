"""Return freed memory to the system when a server becomes idle after a busy time.

Without this, little of it would be returned. Python's allocator returns memory only as whole arenas of one megabyte.
A few hundred small objects that are created under load and kept (the slow log, counters, caches of numbers and
patterns) are scattered over all arenas, and one object is enough to keep an arena. The interpreter's free lists have
the same effect, and the C library also keeps free memory within its heap.

So caches are cleared, the small objects that are kept are copied next to each other, and the C library is asked to
release what it can. This takes about a tenth of a second, once after each busy time. After that the dictionaries of
the data set get smaller storage (`engine.values.compact`), a few milliseconds at a time.
"""

import contextlib
import dataclasses
import enum
import functools
import gc
import linecache
import pickle
import re
import struct
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.keyspace.databases import Database, Keyspace
from engine.protocol import caches
from engine.scripting.sandbox import renew_free_objects
from engine.table.declarations import Command, CommandTable

if TYPE_CHECKING:
    from engine.node import Node

BUSY_CALLS = 2000  # commands after which there may be memory to return
FREED_BYTES = 1 << 20  # the data set must have shrunk by this much, likewise
LOOK_S = 1.0
QUIET_CALLS = 20  # between two checks of an idle server
QUIET_LOOKS = 2
SLICE_S = 0.005  # for the data set, at each call; the calls are a tenth of a second apart
VALUES_AT_ONCE = 100
PASSES = 3  # each frees arenas whose last objects it copies; the next one finds room for its copies in fuller arenas

_POOL_BYTES = 16 * 1024  # in which Python's allocator stores objects of equal size
_POOL_HEADER_BYTES = 48
_ALIGNMENT = 16
_SMALL_BYTES = 512  # larger objects are allocated by the C library
_BYTES_OVERHEAD = sys.getsizeof(b"")
_NUMBER_BYTES = 32  # looking at the fillers' addresses creates integers, which take up some of the space to fill
_FILLERS_MAX = 1 << 18  # per object size

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_MAPPED_BYTES = (1 << 20) + (64 << 10)  # more than what the event loop reads at once
_TRIM_BYTES = 8 << 20  # of free memory at the heap's end, from which on it is returned at once


class ProcessMemory:
    """Watches the load of a server, and returns memory when the server becomes idle."""

    def __init__(self) -> None:
        self.calls = self.calls_tidied = 0
        self.used_bytes = 0  # peak of the data set since memory was last returned
        self.freed = False  # whether it has shrunk by much since
        self.looked_s = 0.0
        self.to_compact: Iterator[None] = iter(())
        self.quiet_looks = 0

    def cron(self, node: "Node") -> None:
        """Check whether it is time; called several times a second."""
        if node.suspension.depth:  # the command may hold objects to be copied
            return
        now_s = time.monotonic()
        if now_s - self.looked_s < LOOK_S:
            if self.quiet_looks:
                self._compact_some()
            return
        if not self.looked_s:
            _map_large_blocks()
            return_memory()  # its own allocations happen while there is little data around them
        self.looked_s = now_s
        calls = sum([stats.calls for stats in node.stats.commands.values()])
        if calls < self.calls:  # CONFIG RESETSTAT
            self.calls = self.calls_tidied = 0
        self.quiet_looks = self.quiet_looks + 1 if calls - self.calls <= QUIET_CALLS else 0
        self.calls = calls
        used_bytes = node.space.used
        self.used_bytes = max(self.used_bytes, used_bytes)
        freed = self.used_bytes - used_bytes >= FREED_BYTES
        if freed and not self.freed:
            self.quiet_looks = 0  # more may follow, such as SCRIPT FLUSH after FLUSHALL
        self.freed = freed
        if self.quiet_looks >= QUIET_LOOKS and (freed or calls - self.calls_tidied >= BUSY_CALLS):
            self.calls_tidied, self.used_bytes, self.freed = calls, used_bytes, False
            node.scripting.close_idle()
            tidy(node)
            self.to_compact = _compact(node.space)

    def _compact_some(self) -> None:
        """Go on giving back storage of the data set, for a short time."""
        end_s = time.perf_counter() + SLICE_S
        for _ in self.to_compact:
            if time.perf_counter() >= end_s:
                return


def tidy(node: "Node") -> None:
    """Return as much memory as possible to the system."""
    caches.clear_all()
    re.purge()
    linecache.clearcache()  # of what was in a traceback
    struct._clearcache()  # type: ignore[attr-defined]
    _drop_free_objects()
    for _ in range(PASSES):
        fillers = _fill_holes()
        return_memory()
        node.shared.parser.renew()
        node.execution.forget()
        node.scripting.collect_garbage()
        renew_free_objects()
        _renew(node)
        _drop_free_objects()
        del fillers
    return_memory()


def _compact(space: Keyspace) -> Iterator[None]:
    """Give back storage of databases and values that is not needed, in many steps; others may change them between."""
    for db in space.databases:
        at = 0
        while at < len(db.values):
            for value in db.values[at : at + VALUES_AT_ONCE]:
                compact = getattr(value, "compact", None)
                if compact is not None:
                    compact()
            at += VALUES_AT_ONCE
            yield
        db.compact()
        yield
    return_memory()


def _drop_free_objects() -> None:
    """Clear Python's free lists, as a full garbage collection does.

    The collection can skip the existing objects: there are no reference cycles that only a collection could free.
    """
    gc.freeze()
    gc.collect()
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
    clear()  # of the names of attributes that were looked up


def _renew(node: "Node") -> None:
    """Copy the small objects that outlive the load: numbers and strings of the node's parts, and some collections.

    The originals are released only after all copies are made; otherwise the copies would reuse their memory.
    """
    fresh = []
    for part in _parts(node):
        kept = _COLLECTIONS.get(type(part).__name__, ())
        values = {name: held for name, held in _attributes(part) if name in kept or type(held) in _PLAIN}
        fresh.append((part, values, pickle.loads(pickle.dumps(values))))
    for part, _, made in fresh:
        for name, value in made.items():
            setattr(part, name, value)


def _parts(node: "Node") -> list[Any]:
    """Return the node, its clients, and all their parts that change, except the databases."""
    found: dict[int, Any] = {id(part): part for part in (node, *node.clients.values())}
    waiting = list(found.values())
    while waiting:
        for name, held in _attributes(waiting.pop()):
            if id(held) not in found and name != "world" and _changes(held):
                found[id(held)] = held
                waiting.append(held)
    return list(found.values())


def _changes(held: Any) -> bool:
    kind = type(held)
    if not kind.__module__.startswith("engine.") or _LASTING.intersection(kind.__mro__):
        return False
    return not (dataclasses.is_dataclass(kind) and vars(kind)["__dataclass_params__"].frozen)


def _attributes(part: Any) -> list[tuple[str, Any]]:
    slots = [name for kind in type(part).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(part, name)]
    return [*getattr(part, "__dict__", {}).items(), *[(name, getattr(part, name)) for name in slots]]


_LASTING = frozenset((Command, CommandTable, Database, enum.Enum, tuple, type))
_PLAIN = (int, float, bytes, str)
_COLLECTIONS = {
    "LatencyMonitor": ("events",),
    "Acl": ("log",),
    "Scripting": ("scripts", "digests", "libraries", "functions"),
    "SlowLog": ("entries",),
    "Stats": ("commands", "errors", "rates"),
    "Timers": ("_heap", "_live"),
    "Waiting": ("ready",),
}


def _fill_holes() -> list[Any]:
    """Return objects that fill all gaps between other objects, so that the next allocations are contiguous."""
    fillers: list[Any] = []
    for size in range(_ALIGNMENT, _SMALL_BYTES + 1, _ALIGNMENT):
        whole = (_POOL_BYTES - _POOL_HEADER_BYTES) // size - (4 if size == _NUMBER_BYTES else 0)
        pool = run = pools = 0
        for number in range(_FILLERS_MAX):
            filler: Any
            if size > _BYTES_OVERHEAD:
                filler = bytes(size - _BYTES_OVERHEAD)
            else:
                filler = object() if size == _ALIGNMENT else number + (1 << 20)
            fillers.append(filler)
            run = run + 1 if id(filler) // _POOL_BYTES == pool else 1
            pool = id(filler) // _POOL_BYTES
            if run == whole:
                pools += 1
                if size != _NUMBER_BYTES or pools > 3:
                    break  # an empty pool: there are no more gaps
    return fillers


@functools.cache
def _library() -> Any:
    """Return the C library, loaded once: loading creates objects that are never freed, and each keeps an arena."""
    import ctypes  # imported here because it takes time and few servers free so much

    return ctypes.CDLL(None)


def _map_large_blocks() -> None:
    """Have the C library map every block of more than a megabyte by itself, so that it goes back once it is freed.

    On its own glibc raises this limit to the size of each such block that is freed, up to 32 megabytes. Then tables
    of dictionaries come to lie in its heap, which cannot shrink below the last block in use.
    """
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        _library().mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        _library().mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def return_memory() -> None:
    """Ask the C allocator to return its free memory. On its own it only returns the end of its heap."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "darwin":
            _library().malloc_zone_pressure_relief(None, 0)
        else:
            _library().malloc_trim(0)
