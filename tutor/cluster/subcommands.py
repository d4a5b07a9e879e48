"""The subcommands of --cluster, and those of them that look at all nodes of a cluster."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.keyspace.slots import SLOTS, key_slot
from engine.protocol.errors import ReplyError
from tutor.client import Connection, LinkError
from tutor.cluster.checking import check
from tutor.cluster.creating import add_node, create, del_node
from tutor.cluster.moving import single
from tutor.cluster.nodes import BAD_HOST, Manager, Member, host_of, info_field, text_of
from tutor.cluster.options import ClusterOptions
from tutor.cluster.resharding import rebalance, reshard
from tutor.cluster.surroundings import ClusterSurroundings, Stopped
from tutor.prompt import OutputMode, format_reply, to_bytes, to_text
from tutor.prompt.state import c_int

TIMEOUT_MIN_MS = 100
SCAN_COUNT = 1000
MARK_BYTES = 40
ANY_HOST = "<host:port> or <host> <port> - separated by either colon or space"
PADDING = 15


def run(options: ClusterOptions, around: ClusterSurroundings) -> int:
    """Run a subcommand; returns the exit status."""
    subcommand = SUBCOMMANDS.get(options.name)
    if subcommand is None:
        around.err("Unknown --cluster subcommand\n")
        return 1
    arity, count = subcommand.arity, len(options.args)
    if (arity > 0 and count != arity) or (arity < 0 and count < -arity):
        around.err("[ERR] Wrong number of arguments for specified --cluster sub command\n")
        return 1
    manager = Manager(options, around)
    try:
        return 0 if subcommand.run(manager, options.args) else 1
    except Stopped as stopped:
        return stopped.status
    finally:
        for node in manager.nodes:
            if node.connection is not None:
                node.connection.close()


def _loaded(manager: Manager, args: list[str]) -> bool:
    """Find the nodes of the cluster of a host."""
    host = host_of(args)
    if host is None:
        manager.around.err(BAD_HOST)
        return False
    return manager.load_from(Member(*host))


# --- info, check, fix -----------------------------------------------------------------------------------------------


def _show_info(manager: Manager) -> None:
    masters = keys = 0
    for node in manager.masters():
        if not node.name:
            continue
        replicas = sum(other.is_replica and other.replicates == node.name for other in manager.nodes)
        size = node.call("DBSIZE")
        if not isinstance(size, int):
            manager.print_reply_error(node, to_text(size.text) if isinstance(size, ReplyError) else "")
            return
        manager.say(
            f"{node.address} ({node.name[:8]}...) -> {size} keys | {node.slots_count} slots | {replicas} slaves."
        )
        masters += 1
        keys += size
    manager.ok(f"[OK] {keys} keys in {masters} masters.")
    manager.say(f"{single(keys / SLOTS):.2f} keys per slot on average.")


def _info(manager: Manager, args: list[str]) -> bool:
    if not _loaded(manager, args):
        return False
    _show_info(manager)
    return True


def _check(manager: Manager, args: list[str]) -> bool:
    if not _loaded(manager, args):
        return False
    _show_info(manager)
    return check(manager)


def _fix(manager: Manager, args: list[str]) -> bool:
    manager.options.fix = True
    return _check(manager, args)


# --- set-timeout, call ----------------------------------------------------------------------------------------------


def _set_timeout(manager: Manager, args: list[str]) -> bool:
    host = host_of(args[:1])
    if host is None:
        manager.around.err(BAD_HOST)
        return False
    timeout_ms = c_int(args[1])
    if timeout_ms < TIMEOUT_MIN_MS:
        manager.around.err("Setting a node timeout of less than 100 milliseconds is a bad idea.\n")
        return False
    if not manager.load_from(Member(*host)):
        return False
    manager.info(">>> Reconfiguring node timeout in every cluster node...")
    done = failed = 0
    for node in manager.nodes:
        reply = node.call("CONFIG", "SET", "cluster-node-timeout", timeout_ms)
        if reply is not None and not isinstance(reply, ReplyError):
            reply = node.call("CONFIG", "REWRITE")
        if reply is None or isinstance(reply, ReplyError):
            why = to_text(reply.text) if isinstance(reply, ReplyError) else ""
            manager.error(f"ERR setting node-timeout for {node.address}: {why}")
            failed += 1
        else:
            manager.warn(f"*** New timeout set for {node.address}")
            done += 1
    manager.info(f">>> New node timeout set. {done} OK, {failed} ERR.")
    return True


def _call(manager: Manager, args: list[str]) -> bool:
    if not _loaded(manager, args[:1]):
        return False
    words = args[1:]
    manager.log("info", ">>> Calling")
    manager.say("".join(f" {word}" for word in words))
    for node in manager.nodes:
        if manager.options.only_masters and node.replicates is not None:
            continue
        if manager.options.only_replicas and node.replicates is None:
            continue
        assert node.connection is not None
        try:
            reply = node.connection.call(*map(to_bytes, words))
        except LinkError:
            manager.say(f"{node.address}: Failed!")
            continue
        shown = to_text(format_reply(reply, OutputMode.RAW, reply_delimiter=b""))
        manager.say(f"{node.address}: {shown}")
    return True


# --- import ---------------------------------------------------------------------------------------------------------


def _import(manager: Manager, args: list[str]) -> bool:
    options, around = manager.options, manager.around
    host = host_of(args)
    if host is None:
        around.err(BAD_HOST)
        return False
    if options.source is None:
        around.err("[ERR] Option '--cluster-from' is required for subcommand 'import'.\n")
        return False
    source = host_of([options.source])
    if source is None:
        around.err("[ERR] Invalid --cluster-from host. You need to pass a valid address (ie. 120.0.0.1:7000).\n")
        return False
    origin, first = Member(*source), Member(*host)
    manager.info(f">>> Importing data from {origin.address} to cluster {first.address}")
    if not manager.load_from(first) or not check(manager):
        return False
    try:
        origin.connection = around.connect(*source)
    except LinkError as error:
        around.err(f"Could not connect to Redis at {origin.address}: {error}.\n")
        return False
    try:
        return _import_from(manager, origin)
    finally:
        origin.connection.close()


def _asked(manager: Manager, origin: Member, *words: str | int) -> Any:
    reply = origin.call(*words)
    if isinstance(reply, ReplyError):
        manager.error(f"Source {origin.address} replied with error:\n{to_text(reply.text)}")
        return None
    return reply


def _import_from(manager: Manager, origin: Member) -> bool:
    options = manager.options
    if options.from_password is not None:
        words = [options.from_password] if options.from_user is None else [options.from_user, options.from_password]
        reply = origin.call("AUTH", *words)
        if reply is None or isinstance(reply, ReplyError):
            why = to_text(reply.text) if isinstance(reply, ReplyError) else ""
            manager.around.err(f"AUTH failed: {why}\n" if reply is not None else "\nI/O error\n")
            return False
    info = _asked(manager, origin, "INFO")
    if info is None:
        return False
    if info_field(text_of(info), "cluster_enabled"):
        manager.error("[ERR] The source node should not be a cluster node.")
        return False
    size = _asked(manager, origin, "DBSIZE")
    if size is None:
        return False
    manager.warn(f"*** Importing {size} keys from DB 0")
    owners: list[Member | None] = [None] * SLOTS
    for node in reversed(list(manager.masters())):
        for slot in range(SLOTS):
            if node.slots[slot]:
                owners[slot] = node
    cursor = "0"
    while True:
        reply = _asked(manager, origin, "SCAN", cursor, "COUNT", SCAN_COUNT)
        if reply is None:
            return False
        cursor = to_text(reply[0])
        for key in reply[1]:
            target = owners[key_slot(key)]
            if target is None or not _import_key(manager, origin, target, key):
                return False
        if cursor == "0":
            return True


def _import_key(manager: Manager, origin: Member, target: Member, key: bytes) -> bool:
    options = manager.options
    manager.around.out(f"Migrating {to_text(key)} to {target.address}: ")
    words: list[bytes | str | int] = ["MIGRATE", target.host, target.port, key, 0, options.timeout_ms]
    if options.password is not None:
        words += ["AUTH2", options.user, options.password] if options.user else ["AUTH", options.password]
    words += ["COPY"] if options.copy else []
    words += ["REPLACE"] if options.replace else []
    reply = origin.call(*words)
    if reply is None or isinstance(reply, ReplyError):
        if reply is not None:
            manager.error(f"Source {origin.address} replied with error:\n{to_text(reply.text)}")
        return False
    manager.ok("OK")
    return True


# --- backup ---------------------------------------------------------------------------------------------------------


def _backup(manager: Manager, args: list[str]) -> bool:
    if not _loaded(manager, args[:1]):
        return False
    sound = check(manager)
    faults = 0 if sound else len(manager.errors)
    folder = args[1] if args[1].endswith("/") else args[1] + "/"
    texts = []
    for node in manager.nodes:
        texts.append(_as_json(node, faults))
        if node.replicates is not None:
            continue
        manager.info(f">>> Node {node.address} -> Saving RDB...")
        assert node.connection is not None
        _save(manager, node.connection, f"{folder}redis-node-{node.host}-{node.port}-{node.name}.rdb")
    path = f"{folder}nodes.json"
    manager.info(f"Saving cluster configuration to: {path}")
    try:
        manager.around.write_file(path, to_bytes("[\n" + ",\n".join(texts) + "\n]"))
    except OSError:
        manager.error(f"Could not save nodes to: {path}")
        manager.ok("[ERR] Failed to back cluster!")
        return False
    if not sound:
        manager.warn(
            "*** Cluster seems to have some problems, please be aware of it if you're going to restore this backup."
        )
    manager.ok(f"[OK] Backup created into: {args[1]}")
    return True


def _as_json(node: Member, faults: int) -> str:
    replicates = f'"{node.replicates}"' if node.replicates is not None else "null"
    slots = node.slots_text().replace("-", ",")
    flags = ",".join(flag for flag in node.flags if flag != "myself")
    lines = [
        f'    "name": "{node.name}"',
        f'    "host": "{node.host}"',
        f'    "port": {node.port}',
        f'    "replicate": {replicates}',
        f'    "slots": [{slots}]',
        f'    "slots_count": {node.slots_count}',
        f'    "flags": "{flags}"',
        f'    "current_epoch": {node.epoch}',
    ]
    if faults:
        lines.append(f'    "cluster_errors": {faults}')
    for name, moving in (("migrating", node.migrating), ("importing", node.importing)):
        if moving:
            inside = ",".join(f'"{slot}": "{other}"' for slot, other in moving)
            lines.append(f'    "{name}": {{{inside}}}')
    return "  {\n" + ",\n".join(lines) + "\n  }"


def _save(manager: Manager, connection: Connection, path: str) -> None:
    """Fetch a snapshot of a node. Raises Stopped."""
    around = manager.around
    connection.send_raw(b"SYNC\r\n")
    line = _line(manager, connection)
    if line.startswith(b"-"):
        around.err(f"SYNC with master failed: {to_text(line)}\n")
        raise Stopped(1)
    mark = line[5 : 5 + MARK_BYTES] if line.startswith(b"$EOF:") else b""
    size = 0 if mark else max(0, c_int(to_text(line[1:])))
    if mark:
        around.err(f"SYNC sent to master, writing bytes of bulk transfer until EOF marker to '{path}'\n")
    else:
        around.err(f"SYNC sent to master, writing {size} bytes to '{path}'\n")
    data = b"".join(_payload(manager, connection, size, mark))
    try:
        around.write_file(path, data)
    except OSError as error:
        around.err(f"Error opening '{path}': {error.strerror}\n")
        raise Stopped(1) from None
    if mark:
        around.err(f"Transfer finished with success after {len(data)} bytes\n")
    else:
        around.err("Transfer finished with success.\n")


def _line(manager: Manager, connection: Connection) -> bytes:
    line = b""
    while True:
        byte = connection.receive_raw(1)
        if not byte:
            manager.around.err("Error reading bulk length while SYNCing\n")
            raise Stopped(1)
        if byte != b"\n":
            line += byte
        elif line:
            return line.rstrip(b"\r")


def _payload(manager: Manager, connection: Connection, size: int, mark: bytes) -> Iterator[bytes]:
    tail = b""
    while size > 0 or mark:
        chunk = connection.receive_raw(65536 if mark else min(size, 65536))
        if not chunk:
            manager.around.err("I/O Error reading RDB payload from socket\n")
            raise Stopped(1)
        if not mark:
            size -= len(chunk)
            yield chunk
            continue
        tail += chunk
        yield tail[:-MARK_BYTES]
        tail = tail[-MARK_BYTES:]
        if tail == mark:
            return


# --- help -----------------------------------------------------------------------------------------------------------


def _help(manager: Manager, args: list[str]) -> bool:
    manager.say("Cluster Manager Commands:")
    for name, subcommand in SUBCOMMANDS.items():
        manager.say(f"  {name:<{PADDING}}{subcommand.args}")
        for option in subcommand.options:
            manager.say(f"{'':{PADDING}}  --cluster-{option}")
    manager.say(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup you can specify the "
        "host and port of any working node in the cluster."
    )
    manager.say("\nCluster Manager Options:")
    manager.say(f"  {'--cluster-yes':<{PADDING}}Automatic yes to cluster commands prompts\n")
    return False


class Subcommand(NamedTuple):
    """A subcommand: how many arguments it takes (negative: at least so many), and what its help says."""

    run: Callable[[Manager, list[str]], bool]
    arity: int
    args: str = ""
    options: tuple[str, ...] = ()


SUBCOMMANDS = {
    "create": Subcommand(create, -2, "host1:port1 ... hostN:portN", ("replicas <arg>",)),
    "check": Subcommand(_check, -1, ANY_HOST, ("search-multiple-owners",)),
    "info": Subcommand(_info, -1, ANY_HOST),
    "fix": Subcommand(_fix, -1, ANY_HOST, ("search-multiple-owners", "fix-with-unreachable-masters")),
    "reshard": Subcommand(
        reshard, -1, ANY_HOST,
        ("from <arg>", "to <arg>", "slots <arg>", "yes", "timeout <arg>", "pipeline <arg>", "replace"),
    ),
    "rebalance": Subcommand(
        rebalance, -1, ANY_HOST,
        ("weight <node1=w1...nodeN=wN>", "use-empty-masters", "timeout <arg>", "simulate", "pipeline <arg>",
         "threshold <arg>", "replace"),
    ),
    "add-node": Subcommand(
        add_node, 2, "new_host:new_port existing_host:existing_port", ("slave", "master-id <arg>")
    ),
    "del-node": Subcommand(del_node, 2, "host:port node_id"),
    "call": Subcommand(_call, -2, "host:port command arg arg .. arg", ("only-masters", "only-replicas")),
    "set-timeout": Subcommand(_set_timeout, 2, "host:port milliseconds"),
    "import": Subcommand(
        _import, 1, "host:port",
        ("from <arg>", "from-user <arg>", "from-pass <arg>", "from-askpass", "copy", "replace"),
    ),
    "backup": Subcommand(_backup, 2, "host:port backup_directory"),
    "help": Subcommand(_help, 0),
}  # fmt: skip
