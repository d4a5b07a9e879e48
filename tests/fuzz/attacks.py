"""What is thrown at a node: broken requests, damaged values and files, scripts, and commands that make no sense.

Each attack is a function of a generator of chance and a `Target`; what it sends is kept in `target.sent`, so that a
finding can be told. What must never be: an error that is our own fault, an end of the server, a value whose
invariants do not hold, or a step that takes very long.
"""

import contextlib
import time
from collections.abc import Callable
from random import Random

from engine.cluster import nodes_conf
from engine.cluster.messages import MEET, Extension, Gossip, Message
from engine.cluster.nodes_conf import NodesConfReader
from engine.cluster.state import ClusterState, to_bytes
from engine.config import Config
from engine.effects import Exit, Hangup, Log, Send
from engine.links import FIRST_DIALLED
from engine.node import Node
from engine.persistence.aof.loading import AofLoadError
from engine.persistence.snapshots import LoadError
from engine.protocol.resp import encode_command
from engine.values.rng import Rng
from tests.inprocess import check_space
from tests.node.test_anything import requests
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
SLOW_S = 5.0
KILLER = 1  # the connection on which late scripts are killed


class FindingError(Exception):
    """Something happened that must not."""


class ScriptWorld(QuietWorld):
    """A world in which every look at the clock costs a second, and that kills a script that is late."""

    def stopwatch(self) -> int:
        self.looks += 1
        return self.looks * 1_000_000

    def service(self, node: Node) -> None:
        if b"UNKILLABLE" in self.ask(node, b"SCRIPT", b"KILL") + self.ask(node, b"FUNCTION", b"KILL"):
            node.ending.exiting = True  # as SHUTDOWN NOSAVE would: what has written cannot be killed

    def ask(self, node: Node, *argv: bytes) -> bytes:
        """Give a command on a connection of its own; returns the reply."""
        if KILLER not in node.links:
            node.opened(KILLER, "127.0.0.1:1", "tcp", node.clock.now_us)
        node.received(KILLER, encode_command(list(argv)), node.clock.now_us)
        client = node.links[KILLER]
        reply, client.out = b"".join(client.out), []
        node.shared.outbox.clients = [each for each in node.shared.outbox.clients if each is not client]
        return reply


class Target:
    """A node under attack."""

    def __init__(self, seed: int, world: QuietWorld | None = None, cluster: bool = False) -> None:
        self.now = NOW
        config = Config()
        config.save = ()
        if cluster:
            config.cluster_enabled, config.databases = True, 1
        self.node = Node(config, seed, NOW)
        self.world = world or QuietWorld()
        self.node.attach(self.world)
        if self.node.cluster is not None:
            self.node.cluster.start()
        self.node.start(NOW)
        if self.node.cluster is not None:
            self.node.cluster.loaded()
        self.link = 2
        self.node.opened(2, "127.0.0.1:2", "tcp", NOW)
        self.sent: list[bytes] = []

    def connect(self) -> None:
        """Go on with a new connection."""
        if self.link in self.node.links and self.link != 2:
            self.node.closed(self.link, self.now)
        self.link += 1
        self.node.opened(self.link, f"127.0.0.1:{self.link}", "tcp", self.now)

    def send(self, data: bytes, cuts: int = 0, rng: Random | None = None) -> bytes:
        """Send bytes, cut into pieces, and return what came back; raises FindingError."""
        self.sent.append(data)
        places = sorted(rng.randrange(len(data) + 1) for _ in range(cuts)) if rng is not None else []
        started = time.process_time()
        replies = b""
        for start, stop in zip([0, *places], [*places, len(data)]):
            if start == stop:
                continue
            client = self.node.links.get(self.link)
            if client is None or client.halted:
                self.connect()
            self.node.received(self.link, data[start:stop], self.now)
            self.node.ending.exiting = False
            replies += self.settle()
        if time.process_time() - started > SLOW_S:
            raise FindingError("it took very long")
        return replies

    def command(self, *argv: bytes) -> bytes:
        """Send a command."""
        return self.send(encode_command(list(argv)))

    def settle(self) -> bytes:
        """End the round; return what the client was sent. Raises FindingError."""
        replies = b""
        if self.now >= self.node.deadline():
            self.node.wake(self.now)
        for effect in self.node.end_round(self.now):
            if isinstance(effect, Exit):
                raise FindingError("the server ended")
            if isinstance(effect, Log) and "Internal error in command" in effect.text:
                raise FindingError(effect.text)
            if isinstance(effect, Send) and effect.link == self.link:
                replies += effect.data
            elif isinstance(effect, Hangup) and effect.link == self.link:
                self.connect()
        return replies

    def check(self) -> None:
        """Check what values and databases promise of themselves."""
        check_space(self.node.space)


def damaged(rng: Random, data: bytes, changes: int = 3) -> bytes:
    """Return bytes with a few places changed, removed, doubled or added."""
    held = bytearray(data)
    for _ in range(rng.randrange(1, changes + 1)):
        at = rng.randrange(len(held) + 1)
        how = rng.random()
        if how < 0.5 and at < len(held):
            held[at] = rng.choice([rng.randrange(256), held[at] ^ 1 << rng.randrange(8), 0, 255, 128])
        elif how < 0.65:
            del held[at : at + rng.randrange(1, 9)]
        elif how < 0.8:
            held[at:at] = held[at : at + rng.randrange(1, 17)]
        else:
            held[at:at] = rng.randbytes(rng.randrange(1, 5))
    return bytes(held)


def protocol(rng: Random, target: Target) -> None:
    """Requests that are damaged, cut anywhere."""
    data = b"".join(encode_command(argv) for argv in requests(rng, rng.randrange(1, 6)))
    target.send(damaged(rng, data) if rng.random() < 0.8 else data, cuts=rng.randrange(4), rng=rng)


def commands(rng: Random, target: Target) -> None:
    """Commands of all kinds with arguments that rarely make sense."""
    for argv in requests(rng, 50):
        target.now += rng.choice([0, 1000, 100_000])
        target.command(*argv)


def _value(rng: Random, target: Target) -> bytes:
    """Make a value of any type and size, and return its DUMP payload."""
    target.command(b"DEL", b"made")
    count = rng.choice([1, 3, 20, 200])
    items = [
        rng.choice([b"%d" % rng.randrange(-(2**40), 2**40), rng.randbytes(rng.randrange(90))]) for _ in range(count)
    ]
    kind = rng.randrange(7)
    if kind == 0:
        target.command(b"SET", b"made", b"".join(items))
    elif kind == 1:
        target.command(b"RPUSH", b"made", *items)
    elif kind == 2:
        target.command(b"SADD", b"made", *items)
    elif kind == 3:
        target.command(b"SADD", b"made", *[b"%d" % rng.randrange(-(2**33), 2**33) for _ in range(count)])
    elif kind == 4:
        target.command(b"HSET", b"made", *[part for item in items for part in (item, b"value")])
    elif kind == 5:
        target.command(b"ZADD", b"made", *[part for i, item in enumerate(items) for part in (b"%d" % i, item)])
    else:
        for item in items[:30]:
            target.command(b"XADD", b"made", b"*", b"field", item)
        target.command(b"XGROUP", b"CREATE", b"made", b"group", b"0")
        target.command(b"XREADGROUP", b"GROUP", b"group", b"me", b"COUNT", b"3", b"STREAMS", b"made", b">")
        target.command(b"XDEL", b"made", b"0-1")
    reply = target.command(b"DUMP", b"made")
    return reply[reply.index(b"\r\n") + 2 : -2]


_READERS = """
    TYPE|OBJECT ENCODING k|STRLEN|LRANGE k 0 -1|SMEMBERS|HGETALL|ZRANGE k 0 -1 WITHSCORES|XRANGE k - +|DUMP
    XINFO STREAM k FULL|SRANDMEMBER k 3|HRANDFIELD k -3|ZPOPMIN|LPOP|RPOP|LINSERT k BEFORE x y|SADD k new 17
    HSET k new 1|ZADD k 1 new|XADD k * a b|XREADGROUP GROUP group me STREAMS k >|XPENDING k group - + 10
    XAUTOCLAIM k group me 0 0|XTRIM k MAXLEN 1|SETRANGE k 3 xyz|APPEND k x|MEMORY USAGE k|COPY k other REPLACE
    SORT k ALPHA|LREM k 0 x|SPOP
"""
READERS = [reader for line in _READERS.splitlines() for reader in line.split("|") if reader.strip()]


def payloads(rng: Random, target: Target) -> None:
    """RESTORE of damaged values, and whatever may be asked of those that were taken."""
    target.node.persistence.skip_checksum_validation = True
    target.node.config.sanitize_dump_payload = rng.choice(["no", "yes"])
    payload = damaged(rng, _value(rng, target))
    if target.command(b"RESTORE", b"k", b"0", payload, b"REPLACE").startswith(b"+OK"):
        for reader in rng.sample(READERS, 8):
            words = reader.encode().split()
            target.command(*(words if len(words) > 1 else [*words, b"k"]))
    target.command(b"DEL", b"k", b"other")


def files(rng: Random, target: Target) -> None:
    """RDB files and append-only files that are damaged, loaded by another node."""
    for _ in range(rng.randrange(1, 4)):
        _value(rng, target)
        target.command(b"RENAME", b"made", b"kept%d" % rng.randrange(9))
    target.command(b"SELECT", b"0")
    world = QuietWorld()
    config = Config()
    if rng.random() < 0.5:
        world.files["dump.rdb"] = damaged(rng, b"".join(target.node.snapshot_chunks("rdb")))
        config.rdbchecksum = False
    else:
        target.node.config.aof_use_rdb_preamble = False
        config.appendonly = True
        data = b"".join(target.node.snapshot_chunks("aof"))
        world.files["appendonlydir/appendonly.aof.1.incr.aof"] = damaged(rng, data)
        world.files["appendonlydir/appendonly.aof.manifest"] = b"file appendonly.aof.1.incr.aof seq 1 type i\n"
    target.sent.append(next(iter(world.files.values())))
    node = Node(config, 1, NOW)
    node.attach(world)
    started = time.process_time()
    with contextlib.suppress(LoadError, AofLoadError):
        node.start(NOW)
    if time.process_time() - started > SLOW_S:
        raise FindingError("loading took very long")


_ATOMS = """
    redis.call redis.pcall redis.sha1hex redis.error_reply redis.status_reply redis.log redis.setresp
    redis.set_repl redis.acl_check_cmd redis.breakpoint redis.register_function KEYS ARGV KEYS[1] ARGV[1] _G
    string.rep string.format string.byte string.char string.find string.gsub string.sub string.dump
    table.concat table.insert table.sort table.remove table.getn unpack select next pairs ipairs pcall xpcall
    error assert tostring tonumber type rawget rawset rawequal setmetatable getmetatable setfenv getfenv load
    loadstring collectgarbage coroutine.create coroutine.resume coroutine.wrap coroutine.yield
    coroutine.running cjson.encode cjson.decode cmsgpack.pack cmsgpack.unpack struct.pack struct.unpack
    struct.size bit.tobit bit.band bit.lshift bit.tohex os.clock math.random math.huge math.floor debug io
    os.execute require newproxy gcinfo print dofile 0 1 -1 2^53 1e308 0/0 nil true false "" "x" "\\0\\255"
    "get" "set" "lrange" "*" "k" {} {1,2,3} {ok="x"} {err="y"} {double=1.5} {map={a=1}} function() end
"""
ATOMS = _ATOMS.split()
OPERATORS = ("+", "-", "*", "/", "%", "..", "==", "<", "and", "or")
PLACES = ("x", "_G.x", "string.x", "KEYS.x", "redis.call", "table[1]")


def _expression(rng: Random, depth: int) -> str:
    if depth <= 0 or rng.random() < 0.3:
        return rng.choice(ATOMS).replace("function()", "function() end").replace(" end end", " end")
    inner = [_expression(rng, depth - 1) for _ in range(rng.randrange(4))]
    form = rng.randrange(9)
    if form <= 3:
        return f"({rng.choice(ATOMS)})({', '.join(inner)})"
    if form == 4:
        return (
            f"({_expression(rng, depth - 1)} {rng.choice(['+', '-', '*', '/', '%', '..', '==', '<', 'and', 'or'])} 1)"
        )
    if form == 5:
        return "{" + ", ".join(inner) + "}"
    if form == 6:
        return f"(function(...) {_statement(rng, depth - 1)} end)"
    if form == 7:
        return f"({_expression(rng, depth - 1)})[{_expression(rng, 0)}]"
    return f"pcall({', '.join([rng.choice(ATOMS), *inner])})"


def _statement(rng: Random, depth: int) -> str:
    form = rng.randrange(8)
    if form <= 2:
        return f"local a = {_expression(rng, depth)}"
    if form == 3:
        return f"for i = 1, {rng.choice(['3', '1e9', 'math.huge', '#KEYS'])} do {_statement(rng, depth - 1)} end"
    if form == 4 and depth > 0:
        return f"while {rng.choice(['true', 'false', 'a'])} do {_statement(rng, depth - 1)} end"
    if form == 5:
        return (
            f"{rng.choice(['x', '_G.x', 'string.x', 'KEYS.x', 'redis.call', 'table[1]'])} = {_expression(rng, depth)}"
        )
    if form == 6:
        return f"pcall(function() {_statement(rng, depth - 1)} end)" if depth > 0 else "local b = 1"
    return f"do return {_expression(rng, depth)} end"


def scripts(rng: Random, target: Target) -> None:
    """Scripts made of everything that is there, and of what must not be."""
    source = " ".join(_statement(rng, 3) for _ in range(rng.randrange(1, 5)))
    if rng.random() < 0.15:
        source = damaged(rng, source.encode()).decode("latin-1")
    target.command(b"EVAL", source.encode("utf-8", "surrogateescape"), b"1", b"k", b"argument")
    if rng.random() < 0.05:
        library = f"#!lua name=lib\n{source}\nredis.register_function('f', function() {source} end)"
        target.command(b"FUNCTION", b"LOAD", b"REPLACE", library.encode("utf-8", "surrogateescape"))
        target.command(b"FCALL", b"f", b"0")


def bus(rng: Random, target: Target) -> None:
    """Messages on the cluster bus, sound and damaged, of nodes that are known and of strangers."""
    node = target.node
    cluster = node.cluster
    assert cluster is not None
    state = cluster.state
    link = 1000 + rng.randrange(4)
    if link not in node.links:
        node.opened(link, f"10.0.0.{link - 1000}:1", "bus", target.now, "10.0.0.9:2")
    dialled = [number for number in node.links if number >= FIRST_DIALLED]
    if dialled and rng.random() < 0.5:
        link = rng.choice(dialled)
        if rng.random() < 0.3:
            node.opened(link, "10.0.0.1:1", "dialled", target.now, "10.0.0.9:2")
        elif rng.random() < 0.1:
            node.refused(link, "Connection refused", target.now)
    data = b"".join(bus_message(rng, list(state.nodes)).encode() for _ in range(rng.randrange(1, 4)))
    if rng.random() < 0.6:
        data = damaged(rng, data, changes=6)
    target.sent.append(data)
    at = rng.randrange(len(data))
    for piece in (data[:at], data[at:]):
        node.received(link, piece, target.now)
        target.settle()
    target.now += rng.choice((0, 1_000, 100_000, 20_000_000))
    target.settle()
    check_cluster(node)


def check_cluster(node: Node) -> None:
    """Check what the parts of a node's view of its cluster promise of each other. Raises FindingError."""
    assert node.cluster is not None
    state = node.cluster.state
    served = dict.fromkeys(state.nodes, 0)
    for slot, owner in enumerate(state.owners):
        if owner is not None:
            if state.nodes.get(owner.name) is not owner:
                raise FindingError(f"the owner of slot {slot} is not known")
            served[owner.name] |= 1 << slot
    for peer in state.nodes.values():
        if peer.slots != served[peer.name]:
            raise FindingError(f"the slots of {peer.name} are wrong")
        if peer.master is not None and peer not in peer.master.replicas:
            raise FindingError(f"{peer.name} is no replica of its master")
    NodesConfReader(ClusterState(Rng(1)), 0, tls=False).read(nodes_conf.write(state))


def bus_message(rng: Random, known: list[str]) -> Message:
    """Return a message that is sound by itself."""
    names = [*known, *(f"{number:040x}" for number in range(6)), ""]
    slots = to_bytes(rng.choice((0, 1 << rng.randrange(16384), rng.getrandbits(16384), (1 << 16384) - 1)))
    message = Message(rng.choice((*range(11), 99)), rng.choice(names), 1, 2, 3, rng.randrange(9), rng.randrange(9))
    message.slots, message.master, message.flags = slots, rng.choice((*names, "")), rng.getrandbits(10)
    message.offset, message.message_flags = rng.randrange(99), bytes((rng.randrange(4), 0, 0))
    message.about, message.about_epoch, message.about_slots = rng.choice(names), rng.randrange(20), slots
    message.channel, message.payload = rng.randbytes(3), rng.randbytes(9)
    if message.kind <= MEET:
        message.gossip = [
            Gossip(rng.choice(names), rng.randrange(9), NOW // 1_000_000, "10.0.0.7", 1, 2, rng.getrandbits(10), 0)
            for _ in range(rng.randrange(4))
        ]
        message.extensions = [
            Extension(rng.randrange(5), rng.choice((rng.choice(names).encode().ljust(48, b"\0"), rng.randbytes(8))))
            for _ in range(rng.randrange(3))
        ]
    return message


ATTACKS: tuple[Callable[[Random, Target], None], ...] = (protocol, commands, payloads, files, scripts, bus)
