"""Slots that are open, not covered, or have several owners: closed, covered, given to one."""

from typing import Any

from engine.keyspace.slots import SLOTS
from engine.protocol.errors import ReplyError
from tutor.cluster.moving import MoveError, move, owner_of, set_slot_aloud
from tutor.cluster.nodes import Manager, Member, ranges_text
from tutor.cluster.surroundings import Stopped
from tutor.prompt import to_text

_DANGEROUS = (
    "*** Fixing {} with {} unreachable masters is dangerous: redis-cli will assume that slots about masters that are "
    "not reachable are not covered, and will try to reassign them to the reachable nodes. This can cause data loss "
    "and is rarely what you want to do. If you really want to proceed use the --cluster-fix-with-unreachable-masters "
    "option."
)
ADDSLOTS_AT = 1  # its place in the transaction: of the replies, only this one matters


class _UnfixableError(Exception):
    """It cannot be fixed; why has been said."""


def _ensure_reachable(manager: Manager, what: str) -> None:
    if manager.unreachable_masters and not manager.options.fix_with_unreachable:
        manager.warn(_DANGEROUS.format(what, manager.unreachable_masters))
        raise Stopped(1)


def count_keys(manager: Manager, node: Member, slot: int) -> int:
    """Return how many keys of a slot a node has; -1 if it does not say."""
    reply = node.call("CLUSTER", "COUNTKEYSINSLOT", slot)
    return reply if not manager.failed(node, reply) and isinstance(reply, int) else -1


def _demand(done: bool) -> None:
    if not done:
        raise _UnfixableError


def _move(
    manager: Manager, source: Member, target: Member, slot: int, *, cold: bool = False, update: bool = False
) -> None:
    try:
        move(manager, source, target, slot, cold=cold, update=update, aloud=True)
    except MoveError:
        raise _UnfixableError from None


def _stable(manager: Manager, node: Member, slot: int) -> None:
    _demand(not manager.failed(node, node.call("CLUSTER", "SETSLOT", slot, "STABLE")))


def _release(manager: Manager, node: Member, slot: int) -> bool:
    """Unassign a slot at a node; it is no error if it was not assigned."""
    reply = node.call("CLUSTER", "DELSLOTS", slot)
    if not isinstance(reply, ReplyError):
        return reply is not None
    owner, failure = owner_of(manager, node, slot)
    if owner is None and failure is None:
        return True
    if failure is not None:
        manager.print_reply_error(node, failure)
    manager.print_reply_error(node, to_text(reply.text))
    return False


def own(manager: Manager, node: Member, slot: int, close: bool = False) -> None:
    """Make a node the owner of a slot, under a new epoch. Raises _UnfixableError."""
    _demand(not manager.failed(node, node.call("MULTI")))
    # All of it is queued: what is answered here says only that.
    node.call("CLUSTER", "DELSLOTS", slot)
    manager.failed(node, node.call("CLUSTER", "ADDSLOTS", slot))
    if close:
        manager.failed(node, node.call("CLUSTER", "SETSLOT", slot, "STABLE"))
    manager.failed(node, node.call("CLUSTER", "BUMPEPOCH"))
    replies: Any = node.call("EXEC")
    _demand(not manager.failed(node, replies) and isinstance(replies, list))
    for at, reply in enumerate(replies):
        if isinstance(reply, ReplyError) and at == ADDSLOTS_AT:
            manager.print_reply_error(node, to_text(reply.text))
            raise _UnfixableError
    node.slots[slot] = 1


def _with_most_keys(manager: Manager, nodes: list[Member], slot: int) -> Member | None:
    found, most = None, 0
    for node in nodes:
        if node.serves_nothing:
            continue
        reply = node.call("CLUSTER", "COUNTKEYSINSLOT", slot)
        if manager.failed(node, reply):
            return None
        if found is None or reply > most:
            found, most = node, reply
    return found


# --- uncovered slots ------------------------------------------------------------------------------------------------


def fix_coverage(manager: Manager, covered: bytearray) -> int:
    """Give uncovered slots to nodes; returns how many, -1 after an error."""
    _ensure_reachable(manager, "slots coverage")
    manager.info(">>> Fixing slots coverage...")
    try:
        return _Coverage(manager, covered).fix()
    except _UnfixableError:
        return -1


class _Coverage:
    """Uncovered slots, and the nodes that have keys of them."""

    def __init__(self, manager: Manager, covered: bytearray) -> None:
        self.manager = manager
        self.holders: dict[int, list[Member]] = {}
        for slot in range(SLOTS):
            if covered[slot]:
                continue
            holders = self.holders[slot] = []
            for node in manager.nodes:
                if node.serves_nothing:
                    continue
                reply = node.call("CLUSTER", "GETKEYSINSLOT", slot, 1)
                _demand(not manager.failed(node, reply))
                if reply:
                    holders.append(node)

    def _asked(self, slots: list[int], told: str, question: str) -> bool:
        if not slots:
            return False
        chosen = bytearray(SLOTS)
        for slot in slots:
            chosen[slot] = 1
        self.manager.say(told)
        self.manager.say(ranges_text(chosen))
        return self.manager.confirm(question, even_so=True)

    def fix(self) -> int:
        """Fix them, as far as that is agreed to."""
        manager, fixed = self.manager, 0
        none = [slot for slot, nodes in self.holders.items() if not nodes]
        one = [slot for slot, nodes in self.holders.items() if len(nodes) == 1]
        several = [slot for slot, nodes in self.holders.items() if len(nodes) > 1]
        if self._asked(
            none,
            "The following uncovered slots have no keys across the cluster:",
            "Fix these slots by covering with a random node?",
        ):
            masters = list(manager.masters())
            for slot in none:
                self._cover(masters[manager.around.random(len(masters))], slot)
                fixed += 1
        if self._asked(
            one,
            "The following uncovered slots have keys in just one node:",
            "Fix these slots by covering with those nodes?",
        ):
            for slot in one:
                self._cover(self.holders[slot][0], slot)
                fixed += 1
        if self._asked(
            several,
            "The following uncovered slots have keys in multiple nodes:",
            "Fix these slots by moving keys into a single node?",
        ):
            for slot in several:
                self._gather(slot)
                fixed += 1
        return fixed

    def _cover(self, node: Member, slot: int) -> None:
        self.manager.info(f">>> Covering slot {slot} with {node.address}")
        own(self.manager, node, slot)

    def _gather(self, slot: int) -> None:
        manager = self.manager
        target = _with_most_keys(manager, self.holders[slot], slot)
        if target is None:
            raise _UnfixableError
        manager.info(f">>> Covering slot {slot} moving keys to {target.address}")
        own(manager, target, slot, close=True)
        for source in self.holders[slot]:
            if source is target:
                continue
            _demand(set_slot_aloud(manager, source, target, slot, "NODE"))
            # Importing, although its keys go: MIGRATE is not redirected then.
            _demand(set_slot_aloud(manager, source, target, slot, "IMPORTING"))
            _move(manager, source, target, slot, cold=True)
            _stable(manager, source, slot)


# --- slots that are open --------------------------------------------------------------------------------------------


def fix_open(manager: Manager, slot: int) -> bool:
    """Close a slot that is migrating or importing somewhere; returns whether that was done."""
    _ensure_reachable(manager, "open slots")
    manager.info(f">>> Fixing open slot {slot}")
    try:
        _OpenSlot(manager, slot).fix()
    except _UnfixableError:
        return False
    return True


class _OpenSlot:
    """A slot that is open: who serves it or has keys of it, and where it is migrating and importing."""

    def __init__(self, manager: Manager, slot: int) -> None:
        self.manager = manager
        self.slot = slot
        self.owners: list[Member] = []
        self.migrating: list[Member] = []
        self.importing: list[Member] = []

    def _has_keys(self, node: Member) -> bool:
        reply = node.call("CLUSTER", "COUNTKEYSINSLOT", self.slot)
        _demand(not self.manager.failed(node, reply))
        return bool(reply > 0)

    def fix(self) -> None:
        """Close it. Raises _UnfixableError."""
        manager, slot = self.manager, self.slot
        for node in manager.masters():
            if node.slots[slot]:
                self.owners.append(node)
            elif self._has_keys(node):
                manager.warn(f"*** Found keys about slot {slot} in non-owner node {node.address}!")
                self.owners.append(node)
        owner = self.owners[0] if len(self.owners) == 1 else None
        self._look_for_states(owner)
        told = [",".join(node.address for node in nodes) for nodes in (self.migrating, self.importing)]
        for word, nodes in zip(("migrating", "importing"), told, strict=True):
            if nodes:
                manager.say(f"Set as {word} in: {nodes}")
        if owner is None:
            owner = self._choose_owner()
        if len(self.owners) > 1:
            self._leave_one(owner)
        if len(self.migrating) == 1 and len(self.importing) == 1:
            source, target = self.migrating[0], self.importing[0]
            manager.info(f">>> Case 1: Moving slot {slot} from {source.address} to {target.address}")
            _move(manager, source, target, slot, update=True)
        elif not self.migrating and self.importing:
            self._return_keys(owner)
        elif len(self.migrating) == 1 and len(self.importing) > 1:
            self._close_importing(owner, told)
        else:
            self._close_migrating(owner, told)

    def _look_for_states(self, owner: Member | None) -> None:
        manager, number = self.manager, str(self.slot)
        for node in manager.masters():
            if any(slot == number for slot, _ in node.migrating):
                self.migrating.append(node)
            elif any(slot == number for slot, _ in node.importing):
                self.importing.append(node)
            elif node is not owner and self._has_keys(node):
                manager.warn(f"*** Found keys about slot {self.slot} in node {node.address}!")
                self.importing.append(node)

    def _choose_owner(self) -> Member:
        manager, slot = self.manager, self.slot
        manager.info(">>> No single clear owner for the slot, selecting an owner by # of keys...")
        owner = _with_most_keys(manager, manager.nodes, slot)
        if owner is None:
            manager.error("[ERR] Can't select a slot owner. Impossible to fix.")
            raise _UnfixableError
        manager.warn(f"*** Configuring {owner.address} as the slot owner")
        _stable(manager, owner, slot)
        own(manager, owner, slot)
        for nodes in (self.migrating, self.importing):
            if owner in nodes:
                nodes.remove(owner)
        return owner

    def _leave_one(self, owner: Member) -> None:
        """Leave a slot with several owners to one of them; the others import it."""
        manager, slot = self.manager, self.slot
        for node in self.owners:
            if node is owner:
                continue
            _demand(_release(manager, node, slot))
            node.slots[slot] = 0
            _demand(set_slot_aloud(manager, node, owner, slot, "node"))
            _demand(set_slot_aloud(manager, node, owner, slot, "importing"))
            if node in self.importing:
                self.importing.remove(node)
            self.importing.append(node)
            if node in self.migrating:
                self.migrating.remove(node)

    def _return_keys(self, owner: Member) -> None:
        """Nodes import the slot, and nobody gives it: the keys belong to the owner."""
        manager, slot = self.manager, self.slot
        manager.info(f">>> Case 2: Moving all the {slot} slot keys to its owner {owner.address}")
        for node in self.importing:
            if node is owner:
                continue
            _move(manager, node, owner, slot, cold=True)
            manager.info(f">>> Setting {slot} as STABLE in {node.address}")
            _stable(manager, node, slot)
        for node in manager.masters():
            if node is not owner:
                _demand(set_slot_aloud(manager, node, owner, slot, "NODE"))

    def _close_importing(self, owner: Member, told: list[str]) -> None:
        """Several nodes import what one gives: the right one gets it if none of them has keys."""
        manager, slot = self.manager, self.slot
        source = self.migrating[0]
        wanted = next(other for moving, other in source.migrating if int(moving) == slot)
        target = None
        for node in self.importing:
            if count_keys(manager, node, slot) > 0:
                self._give_up(owner, told)
            if node.name == wanted:
                target = node
        if target is not None:
            manager.info(
                f">>> Case 3: Moving slot {slot} from {source.address} to {target.address} and closing it on all the "
                "other importing nodes."
            )
            _move(manager, source, target, slot)
            for node in self.importing:
                if node is not target:
                    _stable(manager, node, slot)
            return
        manager.info(f">>> Case 3: Closing slot {slot} on both migrating and importing nodes.")
        for node in (source, *self.importing):
            _stable(manager, node, slot)

    def _close_migrating(self, owner: Member, told: list[str]) -> None:
        """A node gives the slot, and nobody imports it."""
        manager, slot = self.manager, self.slot
        if self.importing or len(self.migrating) != 1:
            self._give_up(owner, told)
        node = self.migrating[0]
        if owner is not node:
            reply = node.call("CLUSTER", "GETKEYSINSLOT", slot, 10)
            _demand(not manager.failed(node, reply))
            if reply:
                self._give_up(owner, told)
        manager.info(f">>> Case 4: Closing slot {slot} on {node.address}")
        _stable(manager, node, slot)

    def _give_up(self, owner: Member, told: list[str]) -> None:
        self.manager.error(
            "[ERR] Sorry, redis-cli can't fix this slot yet (work in progress). Slot is set as migrating in "
            f"{told[0]}, as importing in {told[1]}, owner is {owner.address}"
        )
        raise _UnfixableError


# --- slots with several owners --------------------------------------------------------------------------------------


def fix_owners(manager: Manager, slot: int, owners: list[Member]) -> bool:
    """Give a slot to one of its owners; returns whether that was done."""
    manager.info(f">>> Fixing multiple owners for slot {slot}...")
    owner = _with_most_keys(manager, owners, slot) or owners[0]
    manager.info(f">>> Setting slot {slot} owner: {owner.address}")
    try:
        own(manager, owner, slot)
        for node in manager.masters():
            if node is owner:
                continue
            count = count_keys(manager, node, slot)
            _demand(count >= 0)
            _release(manager, node, slot)
            _demand(set_slot_aloud(manager, node, owner, slot, "node"))
            if count > 0:
                _move(manager, node, owner, slot, cold=True)
    except _UnfixableError:
        return False
    return True
