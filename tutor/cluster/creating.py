"""create, add-node, del-node: nodes become a cluster, join one, and leave it."""

from typing import Any

from engine.keyspace.slots import SLOTS
from engine.protocol.errors import ReplyError
from tutor.cluster.checking import check, show_nodes, wait_for_join
from tutor.cluster.moving import single
from tutor.cluster.nodes import BAD_HOST, BUS_PORT_OFFSET, Manager, Member, host_of, parse_address
from tutor.prompt import to_text

MASTERS_MIN = 3
TRIES_PER_NODE = 500  # to place replicas better
SAME_HOST_AS_MASTER = 10000  # what it costs


def create(manager: Manager, args: list[str]) -> bool:
    """Make a cluster of nodes that are empty."""
    if not _collect(manager, args):
        return False
    nodes, replicas = manager.nodes, manager.options.replicas
    masters_count = len(nodes) // (replicas + 1)
    if masters_count < MASTERS_MIN:
        manager.log(
            "err",
            "*** ERROR: Invalid configuration for cluster creation.\n"
            "*** Redis Cluster requires at least 3 master nodes.\n"
            f"*** This is not possible with {len(nodes)} nodes and {replicas} replicas per node.",
        )
        manager.error(f"\n*** At least {MASTERS_MIN * (replicas + 1)} nodes are required.")
        return False
    manager.info(f">>> Performing hash slots allocation on {len(nodes)} nodes...")
    interleaved = _interleaved(nodes)
    masters, others = interleaved[:masters_count], interleaved[masters_count:]
    _allocate(manager, masters)
    _assign_replicas(manager, masters, others[1:] + others[:1])
    _Placement(manager).improve()
    show_nodes(manager)
    if not manager.confirm("Can I set the above configuration?"):
        return True
    for node in nodes:
        if not _flush(manager, node) and node.dirty and node.replicates is None:
            return False
    manager.info(">>> Nodes configuration updated")
    manager.info(">>> Assign a different config epoch to each node")
    for epoch, node in enumerate(nodes, start=1):
        node.call("cluster", "set-config-epoch", epoch)
    manager.info(">>> Sending CLUSTER MEET messages to join the cluster")
    for node in nodes[1:]:
        if not _meet(manager, node, nodes[0]):
            return False
    manager.around.sleep(1)
    wait_for_join(manager)
    for node in nodes:
        if node.dirty and not _flush(manager, node) and node.replicates is None:
            return False
    if not manager.load_from(nodes[0]):
        return False
    check(manager)
    return True


def _collect(manager: Manager, args: list[str]) -> bool:
    for arg in args:
        address = parse_address(arg)
        if address is None:
            manager.around.err(f"Invalid address format: {arg}\n")
            return False
        node = Member(*address[:2])
        if not (manager.connect(node) and manager.is_cluster(node) and manager.load(node) and manager.is_empty(node)):
            return False
        manager.nodes.append(node)
    return True


def _interleaved(nodes: list[Member]) -> list[Member]:
    """Return nodes so that those of one host are not next to each other."""
    by_host: dict[str, list[Member]] = {}
    for node in nodes:
        by_host.setdefault(node.host, []).append(node)
    found: list[Member] = []
    while len(found) < len(nodes):
        found += [group.pop(0) for group in by_host.values() if group]
    return found


def _allocate(manager: Manager, masters: list[Member]) -> None:
    each, cursor, first = single(SLOTS / len(masters)), 0.0, 0
    for number, master in enumerate(masters):
        last = int(single(single(cursor + each) - 1) + 0.5)
        if number == len(masters) - 1:
            last = SLOTS - 1
        last = max(first, last)
        manager.say(f"Master[{number}] -> Slots {first} - {last}")
        master.reset_slots()
        master.slots[first : last + 1] = b"\1" * (last + 1 - first)
        master.slots_count = last + 1 - first
        master.dirty = True
        first = last + 1
        cursor = single(cursor + each)


def _assign_replicas(manager: Manager, masters: list[Member], others: list[Member]) -> None:
    """Give each master its replicas, on other hosts if possible; the rest in turn."""
    replicas = manager.options.replicas
    available = len(others)
    for extra in (False, True):
        if extra and available:
            manager.say("Adding extra replicas...")
        for master in masters:
            assigned = 0
            while assigned < replicas and available:
                chosen = next((node for node in others if node.host != master.host), None)
                if chosen is not None:
                    others.remove(chosen)
                elif others:
                    chosen = others.pop(0)
                else:
                    break
                assigned += 1
                available -= 1
                chosen.replicates, chosen.dirty = master.name, True
                manager.say(f"Adding replica {chosen.address} to {master.address}")
                if extra:
                    break


class _Placement:
    """Where replicas are: not on the host of their master, and not two of the same master on one host."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.by_host: dict[str, list[Member]] = {}
        for node in manager.nodes:
            self.by_host.setdefault(node.host, []).append(node)

    def score(self) -> tuple[int, list[Member]]:
        """Return how bad it is, and replicas that would better be elsewhere."""
        score, offenders = 0, []
        for host, nodes in self.by_host.items():
            shards: dict[str, list[Member]] = {}
            for node in nodes:
                shards.setdefault(node.replicates or node.name, []).append(node)
            for name, members in shards.items():
                if len(members) < 2:
                    continue
                has_master = any(node.replicates is None for node in members)
                score += SAME_HOST_AS_MASTER * (len(members) - 1) if has_master else len(members)
                found = (node for node in self.manager.nodes if node.replicates == name and node.host == host)
                offenders += [node for node in [next(found, None)] if node is not None]
        return score, offenders

    def improve(self) -> None:
        """Exchange the masters of replicas, at random, as long as that makes it better."""
        manager = self.manager
        if not self.score()[0]:
            return
        manager.info(">>> Trying to optimize slaves allocation for anti-affinity")
        for _ in range(TRIES_PER_NODE * len(manager.nodes)):
            score, offenders = self.score()
            if not score or not offenders:
                break
            first = offenders[manager.around.random(len(offenders))]
            others = [node for node in manager.nodes if node is not first and node.replicates is not None]
            if not others:
                break
            second = others[manager.around.random(len(others))]
            first.dirty = second.dirty = True
            first.replicates, second.replicates = second.replicates, first.replicates
            if self.score()[0] > score:
                first.replicates, second.replicates = second.replicates, first.replicates
        score = self.score()[0]
        if not score:
            manager.ok("[OK] Perfect anti-affinity obtained!")
        elif score >= SAME_HOST_AS_MASTER:
            manager.warn("[WARNING] Some slaves are in the same host as their master")
        else:
            manager.warn("[WARNING] Some slaves of the same master are in the same host")


def _flush(manager: Manager, node: Member) -> bool:
    """Tell a node what was decided about it. A replica that does not know its master yet is told later."""
    if not node.dirty:
        return False
    if node.replicates is not None:
        reply = node.call("CLUSTER", "REPLICATE", node.replicates)
        if reply is None or isinstance(reply, ReplyError):
            return False
        node.dirty = False
        return True
    slots = [slot for slot in range(SLOTS) if node.slots[slot]]
    reply = node.call("CLUSTER", "ADDSLOTS", *slots)
    if manager.failed(node, reply):
        return False
    node.dirty = False
    return True


def _meet(manager: Manager, node: Member, first: Member) -> bool:
    address = _resolved(manager, first)
    if address is None:
        return False
    bus_port = [first.bus_port] if first.bus_port and first.bus_port != first.port + BUS_PORT_OFFSET else []
    reply = node.call("cluster", "meet", address, first.port, *bus_port)
    if reply is None:
        manager.around.err("Failed to send CLUSTER MEET command.\n")
    return not manager.failed(node, reply)


def _resolved(manager: Manager, node: Member) -> str | None:
    try:
        return manager.around.resolve(node.host)
    except OSError:
        manager.around.err(f"Invalid IP address or hostname specified: {node.host}\n")
        return None


# --- add-node, del-node ---------------------------------------------------------------------------------------------


def add_node(manager: Manager, args: list[str]) -> bool:
    """Make a node a member of a cluster: a master without slots, or a replica."""
    known, new = host_of(args[1:]), host_of(args[:1])
    if known is None or new is None:
        manager.around.err(BAD_HOST)
        return False
    first, node = Member(*known), Member(*new)
    manager.info(f">>> Adding node {node.address} to cluster {first.address}")
    if not manager.load_from(first) or not check(manager):
        return False
    master = None
    if manager.options.as_replica:
        master = _master_for(manager)
        if master is None:
            return False
    if not manager.connect(node):
        manager.error(f"[ERR] Sorry, can't connect to node {node.address}")
        return False
    if not (manager.is_cluster(node) and manager.load(node) and manager.is_empty(node)):
        return False
    first = manager.nodes[0]
    manager.nodes.append(node)
    if master is None and not _copy_functions(manager, first, node):
        return False
    manager.info(f">>> Send CLUSTER MEET to node {node.address} to make it join the cluster.")
    if not _meet(manager, node, first):
        return False
    if master is not None:
        manager.around.sleep(1)
        wait_for_join(manager)
        manager.info(f">>> Configure node as replica of {master.address}.")
        if manager.failed(node, node.call("CLUSTER", "REPLICATE", master.name)):
            return False
    manager.ok("[OK] New node added correctly.")
    return True


def _master_for(manager: Manager) -> Member | None:
    wanted = manager.options.master_id
    if wanted is None:
        master = _with_least_replicas(manager)
        manager.say(f"Automatically selected master {master.address}")
        return master
    found = manager.by_name(wanted)
    if found is None:
        manager.error(f"[ERR] No such master ID {wanted}")
    return found


def _with_least_replicas(manager: Manager) -> Member:
    return min(manager.masters(), key=lambda node: node.replicas_count)


def _copy_functions(manager: Manager, first: Member, node: Member) -> bool:
    """Give a new master the functions of the others; a replica gets them from its master."""
    manager.info(">>> Getting functions from cluster")
    dump = first.call("FUNCTION", "DUMP")
    if dump is None or isinstance(dump, ReplyError):
        manager.info(
            ">>> Failed retrieving Functions from the cluster, skip this step as Redis version do not support "
            f"function command (error = '{_why(dump)}')"
        )
        return True
    manager.info(f">>> Send FUNCTION LIST to {node.address} to verify there is no functions in it")
    functions = node.call("FUNCTION", "LIST")
    if functions is None or isinstance(functions, ReplyError):
        manager.error(f">>> Failed on CLUSTER LIST (error = '{_why(functions)}')\r")
        return False
    if functions:
        manager.error(
            ">>> New node already contains functions and can not be added to the cluster. Use FUNCTION FLUSH and "
            "try again.\r"
        )
        return False
    manager.info(f">>> Send FUNCTION RESTORE to {node.address}")
    restored = node.call("FUNCTION", "RESTORE", dump)
    if restored is None or isinstance(restored, ReplyError):
        manager.error(f">>> Failed loading functions to the new node (error = '{_why(restored)}')\r")
        return False
    return True


def _why(reply: Any) -> str:
    return to_text(reply.text) if isinstance(reply, ReplyError) else "NULL reply"


def del_node(manager: Manager, args: list[str]) -> bool:
    """Have all nodes forget one, and have it forget them."""
    host, name = host_of(args[:1]), args[1]
    if host is None:
        manager.around.err(BAD_HOST)
        return False
    first = Member(*host)
    manager.info(f">>> Removing node {name} from cluster {first.address}")
    if not manager.load_from(first):
        return False
    gone = manager.by_name(name)
    if gone is None:
        manager.error(f"[ERR] No such node ID {name}")
        return False
    if gone.slots_count:
        manager.error(f"[ERR] Node {gone.address} is not empty! Reshard data away and try again.")
        return False
    manager.info(">>> Sending CLUSTER FORGET messages to the cluster...")
    for node in manager.nodes:
        if node is gone:
            continue
        if node.replicates is not None and node.replicates.lower() == name.lower():
            master = _with_least_replicas(manager)
            manager.info(f">>> {node.address} as replica of {master.address}")
            if manager.failed(node, node.call("CLUSTER", "REPLICATE", master.name)):
                return False
        if manager.failed(node, node.call("CLUSTER", "FORGET", name)):
            return False
    manager.info(">>> Sending CLUSTER RESET SOFT to the deleted node.")
    return not manager.failed(gone, gone.call("CLUSTER", "RESET", "SOFT"))
