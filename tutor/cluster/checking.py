"""Whether the nodes of a cluster agree, which of their slots are open, and whether all slots are covered."""

from engine.keyspace.slots import SLOTS
from tutor.cluster import fixing
from tutor.cluster.nodes import Manager, Member, parse_address, text_of

JOIN_LOOKS = 20  # seconds after which the links are looked at, and some for each node


def signature(node: Member) -> str | None:
    """Return who serves which slots, as a node sees it; None if it does not say."""
    reply = node.call("CLUSTER", "NODES")
    if not isinstance(reply, bytes):
        return None
    configs = []
    for line in text_of(reply).split("\n")[:-1]:
        words = line.split(" ")
        slots = sorted(word for word in words[8:] if word and not word.startswith("["))
        if slots:
            configs.append(f"{words[0]}:{','.join(slots)}")
    return "|".join(sorted(configs)) if configs else None


def is_consistent(manager: Manager) -> bool:
    """Tell whether all nodes say the same about the slots."""
    if len(manager.nodes) <= 1:
        return bool(manager.nodes)
    first: str | None = None
    for node in manager.nodes:
        found = signature(node)
        if found is None or (first is not None and found != first):
            return False
        first = found
    return True


def wait_for_join(manager: Manager) -> None:
    """Wait until all nodes agree."""
    manager.say("Waiting for the cluster to join")
    looks, patience = 0, JOIN_LOOKS + int(len(manager.nodes) * 0.15)
    while not is_consistent(manager):
        manager.around.out(".")
        manager.around.sleep(1)
        looks += 1
        if looks > patience:
            looks = 0
            _tell_unreachable(manager)
    manager.say("")


def _tell_unreachable(manager: Manager) -> None:
    unreachable: dict[str, list[str]] = {}
    for node in manager.nodes:
        reply = node.call("CLUSTER", "NODES")
        if manager.failed(node, reply):
            continue
        for line in text_of(reply).split("\n")[:-1]:
            words = line.split(" ")
            if len(words) < 8 or "myself" in words[2]:
                continue
            if "disconnected" in words[2] or "disconnected" in words[7] or "handshake" in words[2]:
                unreachable.setdefault(words[1], []).append(node.address)
    if not unreachable:
        return
    manager.say("")
    manager.error(f"Warning: {len(unreachable)} node(s) may be unreachable")
    for address, sources in unreachable.items():
        found = parse_address(address)
        if found and found[2]:
            manager.error(f" - The port {found[2]} of node {found[0]} may be unreachable from:")
        else:
            manager.error(f" - Node {address} may be unreachable from:")
        for source in sources:
            manager.error(f"   {source}")
        manager.error(
            "Cluster bus ports must be reachable by every node.\n"
            "Remember that cluster bus ports are different from standard instance ports."
        )


def show_nodes(manager: Manager) -> None:
    """Print all nodes."""
    for node in manager.nodes:
        manager.say(node.describe())


def check(manager: Manager, quiet: bool = False) -> bool:
    """Check the cluster, and fix it if that is asked for; returns whether it is sound."""
    if not manager.nodes:
        return False
    manager.info(f">>> Performing Cluster Check (using node {manager.nodes[0].address})")
    if not quiet:
        show_nodes(manager)
    sound = is_consistent(manager)
    if sound:
        manager.ok("[OK] All nodes agree about slots configuration.")
    else:
        manager.fault("[ERR] Nodes don't agree about configuration!")
    sound = _check_open(manager, sound)
    sound = _check_coverage(manager, sound)
    return _check_owners(manager, sound) if manager.options.search_owners else sound


def _check_open(manager: Manager, sound: bool) -> bool:
    manager.info(">>> Check for open slots...")
    open_slots: dict[str, str] = {}
    for node in manager.nodes:
        for moving, word in ((node.migrating, "migrating"), (node.importing, "importing")):
            if moving:
                open_slots.update(moving)
                slots = ",".join(slot for slot, _ in moving)
                manager.fault(f"[WARNING] Node {node.address} has slots in {word} state {slots}.")
    if not open_slots:
        return sound
    manager.error(f"[WARNING] The following slots are open: {','.join(open_slots)}.")
    if not manager.options.fix:
        return False
    return all(fixing.fix_open(manager, int(slot)) for slot in open_slots)


def _check_coverage(manager: Manager, sound: bool) -> bool:
    manager.info(">>> Check slots coverage...")
    bits = 0  # a byte for each slot: 0 or 1
    for node in manager.nodes:
        bits |= int.from_bytes(node.slots, "big")
    covered = bytearray(bits.to_bytes(SLOTS, "big"))
    if covered.count(1) == SLOTS:
        manager.ok(f"[OK] All {SLOTS} slots covered.")
        return sound
    manager.fault(f"[ERR] Not all {SLOTS} slots are covered by nodes.\n")
    return bool(manager.options.fix and fixing.fix_coverage(manager, covered) > 0)


def _check_owners(manager: Manager, sound: bool) -> bool:
    """Check whether several nodes serve a slot, or have keys of it."""
    manager.info(">>> Check for multiple slot owners...")
    several = 0
    for slot in range(SLOTS):
        owners = [
            node for node in manager.masters() if node.slots[slot] or fixing.count_keys(manager, node, slot) > 0
        ]
        if len(owners) < 2:
            continue
        sound = False
        several += 1
        manager.error(f"[WARNING] Slot {slot} has {len(owners)} owners:")
        for node in owners:
            manager.error(f"    {node.address}")
        if manager.options.fix:
            if not fixing.fix_owners(manager, slot, owners):
                manager.error(f"Failed to fix multiple owners for slot {slot}")
                break
            sound = True
            several -= 1
    if not several:
        manager.ok("[OK] No multiple owners found.")
    return sound
