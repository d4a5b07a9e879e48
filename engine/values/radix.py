"""How many nodes a radix tree of stream IDs has, which XINFO STREAM tells.

Redis keeps the nodes of a stream in a radix tree under their master IDs, 16 bytes each. It has a node at the end of
each key, one at each place where keys part, and one for each stretch of bytes before these that all keys below share;
the root, at the start, may be any of the three. For example, of the IDs 1-0 and 1-1:

    (00 00 00 00 00 00 00 01 00 00 00 00 00 00 00) ── (parting) ┬ 00 ── (end)
                                                                └ 01 ── (end)           four nodes

There is no tree here, only the IDs in order; keys beside each other tell where they part. What one key adds is found
with two bisections, so that the number is kept up to date as the stream grows and shrinks.

https://redis.io/docs/latest/commands/xinfo-stream/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

Id = tuple[int, int]

_KEY_BYTES = 16
_MASK64 = 2**64 - 1


def _shared(a: Id, b: Id) -> int:
    """Return how many bytes two keys have in common at the start."""
    difference = a[0] ^ b[0]
    if difference:
        return 8 - (difference.bit_length() + 7) // 8
    return _KEY_BYTES - ((a[1] ^ b[1]).bit_length() + 7) // 8


def count_nodes(keys: Sequence[Id]) -> int:
    """Return how many nodes the tree of these keys, in order, has."""
    nodes = len(keys)
    above = -1  # the depth in bytes at which a key leaves the one before it
    path: list[int] = []  # depths at which keys part, on the way down to the last key
    for depth in [*[_shared(a, b) for a, b in pairwise(keys)], -1] if keys else []:
        nodes += max(above, depth) < _KEY_BYTES - 1  # a stretch before the key's end
        while path and path[-1] > depth:
            parting = path.pop()
            nodes += 1 + (parting > max(depth, path[-1] if path else -1) + 1)
        if depth >= 0 and (not path or path[-1] < depth):
            path.append(depth)
        above = depth
    return max(1, nodes)


def nodes_of_key(keys: Sequence[Id], at: int, start: int = 0) -> int:
    """Return how many nodes the key at a place adds to those of the others from `start` on."""
    key = keys[at]
    before = _shared(keys[at - 1], key) if at > start else -1
    after = _shared(key, keys[at + 1]) if at + 1 < len(keys) else -1
    depth = max(before, after)
    if depth < 0:
        return 1  # the only key: its end, after a stretch that is the root
    own = 1 + (depth < _KEY_BYTES - 1)
    if before == after:
        return own  # others part here already
    # The keys that have as much in common with this one are all on one side of it: from the nearest to the farthest.
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
    # They share a stretch, which the key makes part: one stretch becomes a parting with what remains around it.
    above = min(before, after)
    if start <= beyond < len(keys):
        above = max(above, _shared(key, keys[beyond]))
    return own + (depth > above + 1) + (below > depth + 1)
