"""Slots from one node to another, with their keys."""

from collections.abc import Sequence
from math import ceil, floor
from struct import pack, unpack
from typing import Any, NamedTuple

from engine.keyspace.slots import SLOTS
from engine.protocol.errors import ReplyError
from tutor.cluster.nodes import Manager, Member
from tutor.prompt import to_text

NOT_A_MASTER = "ERR Please use SETSLOT only with masters."
NO_DIGEST = "0" * 40


class MoveError(Exception):
    """A slot could not be moved; the text is what a node has replied, or nothing."""


class Item(NamedTuple):
    """A slot that is to be moved."""

    source: Member
    slot: int


def single(number: float) -> float:
    """Return a number with the precision of C's float."""
    return float(unpack("f", pack("f", number))[0])


def plan(sources: Sequence[Member], count: int) -> list[Item]:
    """Return which slots to take, from each node in proportion to what it has."""
    total = sum(node.slots_count for node in sources)
    items: list[Item] = []
    for index, node in enumerate(sorted(sources, key=lambda node: -node.slots_count)):
        share = single(single(count / total) * node.slots_count) if total else 0.0
        most = ceil(share) if index == 0 else floor(share)
        taken = 0
        for slot in range(SLOTS):
            if not node.slots[slot]:
                continue
            if taken >= most or len(items) >= count:
                break
            items.append(Item(node, slot))
            taken += 1
    return items


def set_slot_aloud(manager: Manager, node: Member, other: Member, slot: int, status: str) -> bool:
    """Set the state of a slot at a node; an error is printed."""
    reply = node.call("CLUSTER", "SETSLOT", slot, status, other.name)
    return not manager.failed(node, reply)


def owner_of(manager: Manager, node: Member, slot: int) -> tuple[Member | None, str | None]:
    """Return who serves a slot, as a node sees it, and what it has replied if that was an error."""
    reply = node.call("CLUSTER", "SLOTS")
    if isinstance(reply, ReplyError):
        return None, to_text(reply.text)
    for first, last, master, *_ in reply or ():
        if first <= slot <= last:
            found = manager.by_name(to_text(master[2]))
            if found is not None:
                return found, None
    return None, None


def move(
    manager: Manager,
    source: Member,
    target: Member,
    slot: int,
    *,
    cold: bool = False,
    dots: bool = True,
    quiet: bool = False,
    update: bool = False,
    aloud: bool = False,
) -> None:
    """Move a slot; `cold` moves only its keys. Raises MoveError; errors are printed if `aloud`."""
    if not quiet:
        manager.around.out(f"Moving slot {slot} from {source.address} to {target.address}: ")
    if not cold:
        for node, other, status in ((target, source, "importing"), (source, target, "migrating")):
            _demand(_set_slot(manager, node, other, slot, status, aloud))
    failure = _migrate(manager, source, target, slot, dots)
    if not quiet:
        manager.say("")
    _demand(failure)
    if not cold:
        # The target first: it tells the others, and without it the slot could be left without an owner.
        _demand(_set_slot(manager, target, target, slot, "node", aloud))
        failure = _set_slot(manager, source, target, slot, "node", aloud)
        # A source that has lost its last slot replicates the target now, and refuses.
        if failure is not None and not failure.startswith(NOT_A_MASTER) and not aloud:
            _demand(failure)
        for node in manager.masters():
            if node is not target and node is not source:
                _demand(_set_slot(manager, node, target, slot, "node", aloud))
    if update:
        source.slots[slot] = 0
        target.slots[slot] = 1


def _set_slot(manager: Manager, node: Member, other: Member, slot: int, status: str, aloud: bool) -> str | None:
    """Set the state of a slot at a node; returns what is wrong, None if nothing."""
    reply = node.call("CLUSTER", "SETSLOT", slot, status, other.name)
    if reply is None:
        return "CLUSTER SETSLOT failed to run"
    if not isinstance(reply, ReplyError):
        return None
    if aloud:
        manager.failed(node, reply)
    return to_text(reply.text)


def _demand(failure: str | None) -> None:
    if failure is not None:
        raise MoveError(failure)


def _migrate(manager: Manager, source: Member, target: Member, slot: int, dots: bool) -> str | None:
    """Move the keys of a slot; returns what is wrong, None if nothing."""
    while True:
        keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, manager.options.pipeline)
        if keys is None:
            return ""
        if isinstance(keys, ReplyError):
            manager.print_reply_error(source, to_text(keys.text))
            return to_text(keys.text)
        if not keys:
            return None
        reply = _call_migrate(manager, source, target, keys, False)
        if isinstance(reply, ReplyError):
            failure = _retry(manager, source, target, slot, keys, reply)
            if failure is not None:
                return failure
        elif reply is None:
            return ""
        if dots:
            manager.around.out("." * len(keys))


def _call_migrate(manager: Manager, source: Member, target: Member, keys: list[bytes], replace: bool) -> Any:
    options = manager.options
    words: list[bytes | str | int] = ["MIGRATE", target.host, target.port, "", 0, options.timeout_ms]
    words += ["REPLACE"] if replace else []
    if options.password is not None:
        words += ["AUTH2", options.user, options.password] if options.user else ["AUTH", options.password]
    return source.call(*words, "KEYS", *keys)


def _retry(
    manager: Manager, source: Member, target: Member, slot: int, keys: list[bytes], reply: ReplyError
) -> str | None:  # fmt: skip
    """Handle what MIGRATE refuses, if that is possible; returns what is wrong, None if nothing any more."""
    busy = b"BUSYKEY" in reply.text
    not_served = False
    if not busy:
        owner, failure = owner_of(manager, source, slot)
        not_served = owner is None and failure is None
        if failure is not None:
            manager.print_reply_error(source, failure)
    again: Any = reply
    if busy or not_served:
        if manager.options.fix and not_served:
            manager.warn(f"*** Slot was not served, setting owner to node {target.address}.")
            set_slot_aloud(manager, source, target, slot, "node")
        if busy:
            manager.warn("\n*** Target key exists")
            if not manager.options.replace and not _same_values(manager, source, target, keys):
                return ""
            manager.warn("*** Replacing target keys...")
        again = _call_migrate(manager, source, target, keys, busy)
    if again is None:
        return ""
    if isinstance(again, ReplyError):
        manager.say("")
        manager.print_reply_error(source, to_text(again.text))
        return to_text(again.text)
    return None


def _same_values(manager: Manager, source: Member, target: Member, keys: list[bytes]) -> bool:
    """Tell whether keys that both nodes have are equal; says which are not."""
    manager.warn("*** Checking key values on both nodes...")
    replies = [node.call("DEBUG", "DIGEST-VALUE", *keys) for node in (source, target)]
    failed = [manager.failed(node, reply) for node, reply in zip((source, target), replies, strict=True)]
    if any(failed):
        manager.error("*** Value check failed!")
        return False
    different = [
        key
        for key, one, other in zip(keys, *replies, strict=True)
        if NO_DIGEST not in (to_text(one), to_text(other)) and one != other
    ]
    if not different:
        return True
    manager.error(
        f"*** Found {len(different)} key(s) in both source node and target node having different values.\n"
        f"    Source node: {source.address}\n"
        f"    Target node: {target.address}\n"
        "    Keys(s):"
    )
    for key in different:
        manager.error(f"    - {to_text(key)}")
    manager.error(
        "Please fix the above key(s) manually and try again or relaunch the command \n"
        "with --cluster-replace option to force key overriding."
    )
    return False
