"""reshard and rebalance: move slots, as many as asked for or as many as make masters equal."""

from engine.keyspace.slots import SLOTS
from tutor.cluster.checking import check
from tutor.cluster.moving import Item, MoveError, move, plan, single
from tutor.cluster.nodes import BAD_HOST, Manager, Member, host_of
from tutor.prompt.state import c_int

LINE_MAX = 255


def reshard(manager: Manager, args: list[str]) -> bool:
    """Move slots to one node, from others."""
    host = host_of(args)
    if host is None:
        manager.around.err(BAD_HOST)
        return False
    if not manager.load_from(Member(*host)):
        return False
    check(manager)
    if manager.errors:
        manager.around.err("*** Please fix your cluster problems before resharding\n")
        return False
    slots = manager.options.slots or _ask_for_slots(manager)
    name = manager.options.target
    while name is None:
        name = _ask(manager, "What is the receiving node ID? ", LINE_MAX) or None
    target, _ = _node_for(manager, name, None)
    if target is None:
        return False
    sources = _sources(manager, target)
    if sources is None:
        return False
    if not sources:
        manager.around.err("*** No source nodes given, operation aborted.\n")
        return False
    manager.say(f"\nReady to move {slots} slots.")
    manager.say("  Source nodes:")
    for source in sources:
        manager.say(source.describe(4))
    manager.say("  Destination node:")
    manager.say(target.describe(4))
    items = plan(sources, slots)
    manager.say("  Resharding plan:")
    for item in items:
        manager.say(f"    Moving slot {item.slot} from {item.source.name}")
    if not manager.options.yes:
        manager.around.out("Do you want to proceed with the proposed reshard plan (yes/no)? ")
        if manager.around.read(4)[:3] != b"yes":
            return False
    for item in items:
        try:
            move(manager, item.source, target, item.slot)
        except MoveError as error:
            if str(error):
                manager.error(f"clusterManagerMoveSlot failed: {error}")
            return False
    return True


def _ask(manager: Manager, question: str, size: int) -> str:
    """Ask for a line."""
    manager.around.out(question)
    return manager.around.read(size).decode("utf-8", "surrogateescape")[:-1]


def _ask_for_slots(manager: Manager) -> int:
    slots = 0
    while not 0 < slots <= SLOTS:
        slots = c_int(_ask(manager, f"How many slots do you want to move (from 1 to {SLOTS})? ", 6))
    return slots


def _node_for(manager: Manager, name: str, target: Member | None) -> tuple[Member | None, bool]:
    """Return the master with an ID, and whether it is an error that there is none."""
    node = manager.by_name(name)
    if node is None or node.is_replica:
        manager.error(f"*** The specified node ({name}) is not known or not a master, please retry.")
        return None, True
    if target is not None and node is target:
        manager.error("*** It is not possible to use the target node as source node.")
        return None, False
    return node, False


def _sources(manager: Manager, target: Member) -> list[Member] | None:
    """Return the nodes that give slots; None after an error."""
    sources: list[Member] = []
    given = manager.options.source
    names = given.split(",") if given is not None else None
    if names is None:
        manager.say("Please enter all the source node IDs.")
        manager.say("  Type 'all' to use all the nodes as source nodes for the hash slots.")
        manager.say("  Type 'done' once you entered all the source nodes IDs.")
    while True:
        if names is None:
            name = _ask(manager, f"Source node #{len(sources) + 1}: ", LINE_MAX)
            if name == "done":
                return sources
        elif not names or names == [""]:
            return sources
        else:
            name = names.pop(0)
        if name == "all":
            return [node for node in manager.nodes if not node.serves_nothing and node.name != target.name]
        node, wrong = _node_for(manager, name, target)
        if wrong:
            return None
        if node is not None:
            sources.append(node)


# --- rebalance ------------------------------------------------------------------------------------------------------


def rebalance(manager: Manager, args: list[str]) -> bool:
    """Move slots until each master has its share, by its weight."""
    host = host_of(args)
    if host is None:
        manager.around.err(BAD_HOST)
        return False
    if not manager.load_from(Member(*host)) or not _weigh(manager):
        return False
    involved: list[Member] = []
    total = 0.0
    for node in manager.nodes:
        if node.serves_nothing:
            continue
        if not manager.options.use_empty_masters and not node.slots_count:
            node.weight = 0
            continue
        total = single(total + node.weight)
        involved.append(node)
    check(manager, quiet=True)
    if manager.errors:
        manager.error("*** Please fix your cluster problems before rebalancing")
        return False
    if not _out_of_balance(manager, involved, total):
        threshold = manager.options.threshold
        manager.warn(f"*** No rebalancing needed! All nodes are within the {threshold:.2f}% threshold.")
        return True
    left = sum(node.balance for node in involved)
    while left > 0:  # rounded down: what is left over goes to those who get slots
        for node in involved:
            if node.balance <= 0 and left > 0:
                node.balance -= 1
                left -= 1
    involved.sort(key=lambda node: node.balance)
    manager.info(f">>> Rebalancing across {len(involved)} nodes. Total weight = {total:.2f}")
    if manager.options.verbose:
        for node in involved:
            manager.say(f"{node.address} balance is {node.balance} slots")
    return _even_out(manager, involved)


def _weigh(manager: Manager) -> bool:
    for word in manager.options.weights or ():
        name, _, weight = word.partition("=")
        node = manager.by_abbreviation(name)
        if node is None:
            manager.error(f"*** No such master node {name}")
            return False
        try:
            node.weight = single(float(weight))
        except ValueError:
            node.weight = 0.0
    return True


def _out_of_balance(manager: Manager, involved: list[Member], total: float) -> bool:
    """Note how many slots each node has too many (or too few); returns whether that is beyond the threshold."""
    threshold, beyond = manager.options.threshold, False
    for node in involved:
        expected = int(single(single(SLOTS / total) * node.weight)) if total else 0
        node.balance = node.slots_count - expected
        if threshold > 0:
            if node.slots_count:
                beyond |= abs(100 - 100.0 * expected / node.slots_count) > threshold
            else:
                beyond |= expected > 1
    return beyond


def _even_out(manager: Manager, nodes: list[Member]) -> bool:
    low, high = 0, len(nodes) - 1
    while low < high:
        target, source = nodes[low], nodes[high]
        count = min(abs(target.balance), abs(source.balance))
        if count and not _move_some(manager, source, target, count):
            return False
        target.balance += count
        source.balance -= count
        low += target.balance == 0
        high -= source.balance == 0
    return True


def _move_some(manager: Manager, source: Member, target: Member, count: int) -> bool:
    manager.say(f"Moving {count} slots from {source.address} to {target.address}")
    items: list[Item] = plan([source], count)
    if len(items) != count:
        manager.log("err", "*** Assertion failed: Reshard table != number of slots")
        return False
    if manager.options.simulate:
        manager.say("#" * count)
        return True
    for item in items:
        try:
            move(manager, item.source, target, item.slot, quiet=True, dots=False, update=True)
        except MoveError as error:
            manager.error(f"*** clusterManagerMoveSlot: {error}")
            return False
        manager.around.out("#")
    manager.say("")
    return True
