"""Lists: a chain of nodes, each a listpack of bounded size (Redis's quicklist).

A small list is one listpack (`encoding` listpack). When it would exceed list-max-listpack-size, it becomes a
quicklist: nodes that are each within the limit. Pushing and popping touch the first or last node only; finding a
position in the middle takes one step per node, not per element. A quicklist that shrinks to half of the limit of one
listpack becomes a listpack again; the gap prevents a list near the limit from converting back and forth.

    quicklist   [a b c] <-> [d e f g] <-> [h]        each node: elements, and the size its listpack would have

Splitting, merging and filling nodes follow Redis, because the result is visible in OBJECT ENCODING, DEBUG OBJECT and
RDB files. Therefore sizes are those of real listpacks (see `engine.values.listpack`).

A `fill` (list-max-listpack-size) of -1 to -5 limits a node to 4, 8, 16, 32 or 64 KiB; a positive one to that many
elements and 8 KiB.

https://redis.io/docs/latest/develop/data-types/lists/
"""

from collections import deque
from collections.abc import Iterable, Iterator, MutableSequence
from itertools import islice
from typing import ClassVar, Final

from engine.values.listpack import HEADER_BYTES, entry_size

LISTPACK: Final = b"listpack"
QUICKLIST: Final = b"quicklist"

NODE_BYTES: Final = 32  # overhead of a quicklist node, without its listpack
_SIZES: Final = (0, 4096, 8192, 16384, 32768, 65536)  # by -fill
_SAFE_SIZE: Final = 8192  # limit in bytes of a node that is limited by its element count
_ESTIMATE: Final = 8  # what Redis adds to an element's length when it checks whether it fits in a node
_NO_LIMIT: Final = 1 << 62


def node_limits(fill: int) -> tuple[int, int]:
    """Return the maximum size of a node in bytes and in elements."""
    if fill >= 0:
        return _NO_LIMIT, max(1, fill)
    return _SIZES[min(-fill, 5)], _NO_LIMIT


def exceeds_limit(fill: int, size: int, count: int) -> bool:
    """Return whether a node of that size (bytes) and count would be too large."""
    if fill < 0:
        return size > _SIZES[-fill if fill >= -5 else 5]
    return size > _SAFE_SIZE or count > (fill or 1)


class QuicklistNode:
    """A node: its elements, and the size of their listpack in bytes. A plain node holds one huge element."""

    __slots__ = ("items", "plain", "size")

    def __init__(self, items: Iterable[bytes] = (), plain: bool = False) -> None:
        self.items = list(items)
        self.plain = plain
        if plain:
            self.size = len(self.items[0])
        else:
            self.size = HEADER_BYTES + sum(map(entry_size, self.items))

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold."""
        if self.plain:
            assert len(self.items) == 1
            assert self.size == len(self.items[0])
        else:
            assert self.size == HEADER_BYTES + sum(map(entry_size, self.items))


class ListValue:
    """A list of bytes. Positions start at 0; callers have resolved negative ones."""

    __slots__ = ("encoding", "fill", "length", "memory", "nodes")

    type_name: ClassVar[str] = "list"

    # An element of at least this size (bytes) gets a node of its own that is not a listpack. DEBUG
    # QUICKLIST-PACKED-THRESHOLD lowers it, for all lists of the process as in Redis.
    packed_threshold: ClassVar[int] = 1 << 30

    def __init__(self, items: Iterable[bytes] = ()) -> None:
        node = QuicklistNode(items)
        # A deque in a quicklist; a listpack has a list with one node, because small lists are common.
        self.nodes: MutableSequence[QuicklistNode] = [node]
        self.encoding = LISTPACK
        self.fill = 0  # of a quicklist: it keeps the setting that it was created with
        self.length = len(node.items)
        self.memory = node.size + NODE_BYTES

    @classmethod
    def from_nodes(cls, nodes: list[QuicklistNode], fill: int) -> "ListValue":
        """Return a list of these nodes (of an RDB file), in the encoding that fits `fill`."""
        value = cls()
        value.nodes = deque(nodes)
        value.length = sum(len(node.items) for node in nodes)
        value.memory = sum(node.size + NODE_BYTES for node in nodes)
        value.encoding = QUICKLIST
        value.fill = max(-5, min(fill, 32767))
        value.shrink(fill, built=True)
        return value

    @classmethod
    def from_items(cls, items: Iterable[bytes], fill: int, settle: bool = True) -> "ListValue":
        """Return a list of these elements in the encoding that fits `fill`, or as a quicklist (not `settle`)."""
        value = cls()
        value.encoding = QUICKLIST
        value.fill = max(-5, min(fill, 32767))
        value.nodes = deque()
        value.memory = 0
        for item in items:
            value.push(item, False)
        if settle:
            value.shrink(fill, built=True)
        return value

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        for node in self.nodes:
            yield from node.items

    def copy(self) -> "ListValue":
        """Return an equal list that shares nothing with this one."""
        other = ListValue()
        other.nodes = deque() if self.encoding == QUICKLIST else []
        for node in self.nodes:
            twin = QuicklistNode()
            twin.items = node.items.copy()
            twin.plain = node.plain
            twin.size = node.size
            other.nodes.append(twin)
        other.encoding = self.encoding
        other.fill = self.fill
        other.length = self.length
        other.memory = self.memory
        return other

    # --- encoding -----------------------------------------------------------------------------------------------

    def grow(self, added_bytes: int, added: int, fill: int) -> None:
        """Convert to a quicklist if elements of that many bytes, about to be added, do not fit in a listpack."""
        if self.encoding == LISTPACK:
            node = self.nodes[0]
            if exceeds_limit(fill, node.size + added_bytes, len(node.items) + added):
                self.encoding = QUICKLIST
                self.fill = max(-5, min(fill, 32767))
                self.nodes = deque(self.nodes)
                if not node.items:
                    self.nodes.clear()
                    self.memory = 0

    def shrink(self, fill: int, built: bool = False) -> None:
        """Convert to a listpack if small enough: half of the limit, or the whole limit for a list just `built`."""
        if self.encoding == LISTPACK or len(self.nodes) != 1:
            return
        node = self.nodes[0]
        if node.plain:
            return
        size, count = node_limits(fill)
        if not built:
            size //= 2
            count //= 2
        if node.size <= size and len(node.items) <= count:
            self.encoding = LISTPACK
            self.nodes = [node]

    # --- both ends ----------------------------------------------------------------------------------------------

    def push(self, item: bytes, head: bool) -> None:
        """Add an element at an end. Call `grow` first."""
        nodes = self.nodes
        if self.encoding == QUICKLIST:
            node = (nodes[0] if head else nodes[-1]) if nodes else None
            if node is None or not self._has_room(node, len(item)):
                node = QuicklistNode((item,), len(item) >= self.packed_threshold)
                if head:
                    nodes.insert(0, node)
                else:
                    nodes.append(node)
                self.length += 1
                self.memory += node.size + NODE_BYTES
                return
        else:
            node = nodes[0]
        if head:
            node.items[:0] = (item,)  # faster than insert
        else:
            node.items.append(item)
        size = entry_size(item)
        node.size += size
        self.length += 1
        self.memory += size

    def pop(self, head: bool) -> bytes:
        """Remove the element at an end and return it. Call `shrink` afterwards."""
        nodes = self.nodes
        if head:
            node = nodes[0]
            item = node.items.pop(0)
        else:
            node = nodes[-1]
            item = node.items.pop()
        self.length -= 1
        if node.items or self.encoding == LISTPACK:
            size = entry_size(item)
            node.size -= size
            self.memory -= size
        else:
            self._drop(node)
            if head:
                del nodes[0]
            else:
                nodes.pop()
        return item

    def trim(self, count: int, head: bool) -> None:
        """Remove `count` elements from an end. Call `shrink` afterwards."""
        nodes = self.nodes
        while count > 0 and self.length:
            node = nodes[0 if head else -1]
            held = len(node.items)
            if count >= held:
                self.length -= held
                count -= held
                if self.encoding == LISTPACK:
                    self._resize(node, HEADER_BYTES)
                    node.items.clear()
                else:
                    self._drop(node)
                    if head:
                        del nodes[0]
                    else:
                        nodes.pop()
            else:
                gone = slice(0, count) if head else slice(held - count, held)
                self._resize(node, node.size - sum(map(entry_size, node.items[gone])))
                del node.items[gone]
                self.length -= count
                count = 0

    # --- anywhere -----------------------------------------------------------------------------------------------

    def range(self, start: int, stop: int) -> list[bytes]:
        """Return the elements from `start` to `stop` inclusive; 0 <= start <= stop < length."""
        nodes = self.nodes
        items = nodes[0].items
        if stop < len(items):
            return items[start : stop + 1]
        count = stop - start + 1
        at, offset = self._seek(start)
        result: list[bytes] = []
        left = len(nodes) - at
        # Start at the nearer end: walking to the tail of a million elements costs more than reading it.
        following = islice(nodes, at, None) if at < left else reversed(list(islice(reversed(nodes), left)))
        for node in following:
            items = node.items
            end = offset + count - len(result)
            if offset or end < len(items):
                result += items[offset:end]
                if end <= len(items):
                    break
            else:
                result += items
            offset = 0
        return result

    def get(self, index: int) -> bytes:
        """Return the element at an existing position."""
        at, offset = self._seek(index)
        return self.nodes[at].items[offset]

    def replace(self, index: int, item: bytes) -> None:
        """Replace the element at an existing position. Call `grow` before and `shrink` afterwards."""
        at, offset = self._seek(index)
        node = self.nodes[at]
        plain = len(item) >= self.packed_threshold and self.encoding == QUICKLIST
        if not plain and not node.plain:
            self._resize(node, node.size + entry_size(item) - entry_size(node.items[offset]))
            node.items[offset] = item
        elif plain and node.plain:
            self._resize(node, len(item))
            node.items[0] = item
        elif node.plain:
            self._insert(at, 0, item, True)
            self._drop(node)
            del self.nodes[at]
            self.length -= 1
        else:
            # A huge element replaces a small one: it splits the node into two and gets a node between them.
            self._insert(at, offset, item, True)
            if len(node.items) == 1:
                self._drop(node)
                del self.nodes[at]
            else:
                self._resize(node, node.size - entry_size(node.items.pop()))
            self.length -= 1

    def find(self, item: bytes) -> tuple[int, int] | None:
        """Return node and offset of the first element equal to `item`, for `insert`; None if there is none."""
        for at, node in enumerate(self.nodes):
            try:
                return at, node.items.index(item)
            except ValueError:
                continue
        return None

    def positions(self, item: bytes, rank: int, count: int, maxlen: int) -> list[int]:
        """Return positions of elements equal to `item`: `count` of them (0: all), starting with the `rank`th match.

        A negative rank searches from the tail. `maxlen` limits how many elements are compared (0: all).
        """
        backwards = rank < 0
        skip = abs(rank) - 1
        limit = count or self.length
        left = maxlen or self.length
        found: list[int] = []
        base = 0
        for node in reversed(self.nodes) if backwards else self.nodes:
            if left <= 0:
                break
            # Counting is fast, so nodes without a match cost little.
            if node.items.count(item):
                for offset, other in enumerate(islice(reversed(node.items) if backwards else node.items, left)):
                    if other == item:
                        if skip:
                            skip -= 1
                            continue
                        found.append(self.length - 1 - base - offset if backwards else base + offset)
                        if len(found) == limit:
                            return found
            base += len(node.items)
            left -= len(node.items)
        return found

    def insert(self, place: tuple[int, int], item: bytes, after: bool) -> None:
        """Insert an element before or after the one that `find` returned. Call `grow` before `find`."""
        at, offset = place
        if self.encoding == LISTPACK:
            node = self.nodes[0]
            node.items.insert(offset + after, item)
            self._resize(node, node.size + entry_size(item))
            self.length += 1
        else:
            self._insert(at, offset, item, after)

    def remove(self, item: bytes, count: int) -> int:
        """Remove up to `count` elements equal to `item` (0: all), from the tail if negative. Returns how many.

        Call `shrink` afterwards.
        """
        backwards = count < 0
        left = abs(count) or self.length
        removed = 0
        size = entry_size(item)
        emptied = False
        for node in reversed(self.nodes) if backwards else self.nodes:
            if not left:
                break
            found = node.items.count(item)
            if not found:
                continue
            if found <= left:
                node.items = [other for other in node.items if other != item]
            else:
                found = left
                if backwards:
                    node.items.reverse()
                for _ in range(left):
                    node.items.remove(item)
                if backwards:
                    node.items.reverse()
            left -= found
            removed += found
            if node.items or self.encoding == LISTPACK:
                self._resize(node, node.size - found * size)
            else:
                self._drop(node)
                emptied = True
        if emptied:
            self.nodes = deque([node for node in self.nodes if node.items])
        self.length -= removed
        return removed

    # --- nodes --------------------------------------------------------------------------------------------------

    def _resize(self, node: QuicklistNode, size: int) -> None:
        self.memory += size - node.size
        node.size = size

    def _drop(self, node: QuicklistNode) -> None:
        self.memory -= node.size + NODE_BYTES

    def _has_room(self, node: QuicklistNode, length: int) -> bool:
        if node.plain or length >= self.packed_threshold:
            return False
        fill = self.fill
        size = node.size + length + _ESTIMATE
        if fill < 0:
            return size <= _SIZES[-fill]
        return size <= _SAFE_SIZE and len(node.items) < (fill or 1)

    def _seek(self, index: int) -> tuple[int, int]:
        """Return the node and the offset within it of a position, walking from the nearer end."""
        nodes = self.nodes
        if index < self.length // 2 or index < len(nodes[0].items):
            for at, node in enumerate(nodes):
                held = len(node.items)
                if index < held:
                    return at, index
                index -= held
        else:
            index = self.length - 1 - index
            for at, node in enumerate(reversed(nodes), 1):
                held = len(node.items)
                if index < held:
                    return len(nodes) - at, held - 1 - index
                index -= held
        raise AssertionError("position beyond the list")

    def _add_node(self, at: int, node: QuicklistNode) -> None:
        self.nodes.insert(at, node)
        self.memory += node.size + NODE_BYTES

    def _put(self, node: QuicklistNode, offset: int, item: bytes) -> None:
        node.items.insert(offset, item)
        self._resize(node, node.size + entry_size(item))

    def _split(self, at: int, offset: int, after: bool) -> QuicklistNode:
        """Move the elements after (or before) the one at `offset` into a new node, and return that node."""
        node = self.nodes[at]
        items = node.items
        cut = offset + 1 if after else offset
        node.items, moved = (items[:cut], items[cut:]) if after else (items[cut:], items[:cut])
        new = QuicklistNode(moved)
        self._resize(node, node.size - new.size + HEADER_BYTES)
        return new

    def _insert(self, at: int, offset: int, item: bytes, after: bool) -> None:
        """Insert into a quicklist, choosing the node as Redis does."""
        nodes = self.nodes
        node = nodes[at]
        length = len(item)
        beside = at + 1 if after else at - 1
        at_edge = offset == (len(node.items) - 1 if after else 0)
        self.length += 1
        if length >= self.packed_threshold:
            new = QuicklistNode((item,), True)
            if node.plain or at_edge:
                self._add_node(at + after, new)
            else:
                rest = self._split(at, offset, after)
                self._add_node(at + after, new)
                self._add_node(at + 2 if after else at, rest)
        elif self._has_room(node, length):
            self._put(node, offset + after, item)
        elif at_edge and 0 <= beside < len(nodes) and self._has_room(nodes[beside], length):
            neighbour = nodes[beside]
            self._put(neighbour, 0 if after else len(neighbour.items), item)
        elif at_edge:
            self._add_node(at + after, QuicklistNode((item,)))
        else:
            rest = self._split(at, offset, after)
            rest.items.insert(0 if after else len(rest.items), item)
            rest.size += entry_size(item)
            self._add_node(at + after, rest)
            self._merge_around(at if after else at + 1)

    def _merge_around(self, at: int) -> None:
        """Merge a node that was split with its neighbors, and those with theirs, if they fit together."""
        if at >= 2 and self._merge(at - 2):
            at -= 1
        if at + 2 < len(self.nodes):
            self._merge(at + 1)
        if at >= 1 and self._merge(at - 1):
            at -= 1
        if at + 1 < len(self.nodes):
            self._merge(at)

    def _merge(self, at: int) -> bool:
        """Merge the nodes `at` and `at + 1` if both together are within the limit."""
        first, second = self.nodes[at], self.nodes[at + 1]
        if first.plain or second.plain:
            return False
        size = first.size + second.size - HEADER_BYTES
        if exceeds_limit(self.fill, size, len(first.items) + len(second.items)):
            return False
        self._drop(second)
        del self.nodes[at + 1]
        first.items += second.items
        self._resize(first, size)
        return True

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        for node in self.nodes:
            node.check()
            assert node.items or self.encoding == LISTPACK
        assert self.length == sum(len(node.items) for node in self.nodes)
        assert self.memory == sum(node.size + NODE_BYTES for node in self.nodes)
        if self.encoding == LISTPACK:
            assert len(self.nodes) == 1
            assert not self.nodes[0].plain
