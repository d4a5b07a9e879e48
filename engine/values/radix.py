"""The number of nodes in the radix tree of a stream's IDs, as shown by XINFO STREAM.

Redis keeps the nodes of a stream in a radix tree, keyed by their master IDs of 16 bytes. The tree has one node for
the end of each key, one for each position where keys diverge, and one for each compressed run of bytes before these
that all keys below share; the root may be any of the three. For example, for the IDs 1-0 and 1-1:

    (00 00 00 00 00 00 00 01 00 00 00 00 00 00 00) ── (branch) ─┬ 00 ── (end)
                                                                └ 01 ── (end)           four nodes

There is no tree here, only the sorted IDs; adjacent keys show where they diverge. The nodes that one key adds are
found with two bisections, so the number is kept up to date as the stream grows and shrinks.

https://redis.io/docs/latest/commands/xinfo-stream/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

Id = tuple[int, int]

_KEY_BYTES: Final = 16
_MASK64: Final = 2**64 - 1


def _shared(a: Id, b: Id) -> int:
    """Return the length of the common prefix of two keys, in bytes."""
    difference = a[0] ^ b[0]
    if difference:
        return 8 - (difference.bit_length() + 7) // 8
    return _KEY_BYTES - ((a[1] ^ b[1]).bit_length() + 7) // 8


def count_nodes(keys: Sequence[Id]) -> int:
    """Return the number of nodes in the tree of these sorted keys."""
    nodes = len(keys)
    above = -1  # the depth in bytes at which a key diverges from the previous one
    path: list[int] = []  # depths of the branches on the path to the last key
    for depth in [*[_shared(a, b) for a, b in pairwise(keys)], -1] if keys else []:
        nodes += max(above, depth) < _KEY_BYTES - 1  # a run before the key's end
        while path and path[-1] > depth:
            parting = path.pop()
            nodes += 1 + (parting > max(depth, path[-1] if path else -1) + 1)
        if depth >= 0 and (not path or path[-1] < depth):
            path.append(depth)
        above = depth
    return max(1, nodes)


def nodes_of_key(keys: Sequence[Id], at: int, start: int = 0) -> int:
    """Return how many nodes the key at index `at` adds to the tree of the other keys, starting at index `start`."""
    key = keys[at]
    before = _shared(keys[at - 1], key) if at > start else -1
    after = _shared(key, keys[at + 1]) if at + 1 < len(keys) else -1
    depth = max(before, after)
    if depth < 0:
        return 1  # the only key: its end, and a run, which is the root
    own = 1 + (depth < _KEY_BYTES - 1)
    if before == after:
        return own  # the tree already branches here
    # The keys that share the longest prefix with this one are all on one side: from the nearest to the farthest.
    rest = (1 << 8 * (_KEY_BYTES - depth)) - 1
    number = key[0] << 64 | key[1]
    if before > after:
        lowest = number & ~rest
        farthest = bisect_left(keys, (lowest >> 64, lowest & _MASK64), start, at)
        nearest, beyond = at - 1, farthest - 1
    else:
        highest = number | rest
        farthest = bisect_right(keys, (highest >> 64, highest & _MASK64), at + 1) - 1
        nearest, beyond = at + 1, farthest + 1
    below = _KEY_BYTES if nearest == farthest else _shared(keys[nearest], keys[farthest])
    if below == depth:
        return own
    # They share a run, which the key splits: one run becomes a branch and the rest of the run around it.
    above = min(before, after)
    if start <= beyond < len(keys):
        above = max(above, _shared(key, keys[beyond]))
    return own + (depth > above + 1) + (below > depth + 1)
