"""Whole conversations of replication, with a node as the replica of a hostile master and as the master of hostile
replicas, while ordinary clients go on working.

A conversation is a genuine one, mutated: replies and snapshots are damaged, replaced, repeated, left out or moved,
the stream holds any commands, everything is cut anywhere and may come late, and the link may end at any byte. None
may lead to an exception, the end of the server, a reply that is our own fault, an input that takes long, memory that
grows without limit, the loss of old data that Redis keeps, or anything that outlives the peer that brought it about.
"""

import time
from random import Random
from typing import Any

from engine import effects as fx
from engine.config import Config
from engine.node import Node
from engine.protocol.resp import encode_command
from engine.replication.replica import UNREAD_BYTES_MAX
from tests.fuzz.attacks import damaged
from tests.fuzz.everything import FindingError
from tests.inprocess import check_space
from tests.node.test_anything import requests
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
CLIENT = 1
REPLID = b"5" * 40
MARK = b"m" * 40
DELAYS_US = (1000, 1000, 200_000, 200_000, 1_100_000, 1_100_000, 1_100_000, 6_000_000, 70_000_000)

# Commands that end or configure the server, or make it wait, for every client: nothing of that is the link's fault.
LEFT_OUT = ("shutdown", "debug", "config", "acl", "client|pause", "failover", "eval", "fcall", "script", "function")
ODD = """
    SUBSCRIBE a|PSUBSCRIBE *|SSUBSCRIBE a|UNSUBSCRIBE|WATCH key|MULTI|EXEC|DISCARD|CLIENT TRACKING ON
    CLIENT TRACKING ON BCAST|CLIENT REPLY ON|CLIENT REPLY SKIP|CLIENT KILL TYPE master|CLIENT NO-EVICT ON|MONITOR
    HELLO 3|HELLO 2|AUTH x|AUTH default x|RESET|QUIT|SELECT 9999|SELECT 3|SYNC|PSYNC ? -1|REPLCONF GETACK *
    REPLCONF ACK 7|REPLICAOF NO ONE|REPLICAOF 127.0.0.1 7001|BLPOP key 0|BLMOVE a b LEFT LEFT 0|BZPOPMIN key 0
    XREAD BLOCK 0 STREAMS key 0|WAIT 1 0|WAITAOF 0 1 0|BGSAVE|SAVE|BGREWRITEAOF|FLUSHALL|SWAPDB 0 1|PING|SET key value
    INCR counter|PUBLISH a b|SPUBLISH a b|CLIENT LIST|ROLE|FAILOVER ABORT|CLIENT PAUSE 50 ALL|CLIENT UNPAUSE
"""
ODD_COMMANDS = [line.encode().split() for row in ODD.split("\n") for line in row.split("|") if line.strip()]
NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"7",
    b"9" * 19,
    b"9" * 5000,
    b"-" + b"9" * 30,
    b"9223372036854775807",
    b"1x",
    b"\xff",
    b"",
)
LINES = (
    b"+PONG", b"+OK", b"-ERR no", b"-NOAUTH Authentication required.", b"-LOADING loading", b"-NOMASTERLINK x",
    b"-MISCONF " + b"x" * 400, b"", b"\xff\xfe", b"$5", b"*1", b"+" + b"x" * 3000, b"\0", b"+CONTINUE", b"HTTP/1.1",
)  # fmt: skip
CLIENTS_DO = """
    PING|INFO|CLIENT LIST|ROLE|SET key value|GET old|PUBLISH a message|FLUSHALL|SUBSCRIBE a|UNSUBSCRIBE|INCR counter
    WATCH key|MULTI|EXEC|WAIT 1 10|LPUSH key x|DEBUG JMAP|CLIENT TRACKING ON BCAST|MEMORY STATS|DBSIZE|SELECT 1
"""
ORDINARY = [line.encode().split() for row in CLIENTS_DO.split("\n") for line in row.split("|") if line.strip()]


class Scarce(QuietWorld):
    """A world that now and then has no room for a child, and whose children write when they are let."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.rng = rng
        self.started: list[tuple[int, bytes, bool]] = []  # snapshots without a file: id, bytes

    def run_now(self, node: Node, effect: Any) -> Any:
        if isinstance(effect, fx.Snapshot) and effect.id:
            if self.rng.random() < 0.1:
                return OSError(11, "Resource temporarily unavailable")
            data = b"".join(node.snapshot_chunks(effect.kind))
            if effect.path:
                self.files[effect.path] = data
            self.started.append((effect.id, data, not effect.path))
            return 100
        if isinstance(effect, fx.Append) and effect.path.startswith("temp-") and self.rng.random() < 0.03:
            return OSError(28, "No space left on device")
        return super().run_now(node, effect)


class Played:
    """A node, and what is done to it: each input is timed, and what comes of it looked at."""

    stall_s = float("inf")  # CPU of one input that is a finding; the command sets a limit, the tests do not

    def __init__(self, rng: Random, said: list[bytes], **settings: Any) -> None:
        self.rng = rng
        self.said = said
        self.now = NOW
        config = Config()
        config.save = ()
        for name, value in settings.items():
            setattr(config, name, value)
        self.world = Scarce(rng)
        self.node = Node(config, rng.randrange(1 << 30), NOW)
        self.node.attach(self.world)
        self.node.start(NOW)
        self.dialled: list[int] = []
        self.held: set[int] = set()
        self.hung_up: set[int] = set()
        self.log = ""
        self.next_client = CLIENT
        self.client = 0
        self.connect()

    def connect(self) -> None:
        """Let an ordinary client connect: it gives the commands from here on."""
        self.client, self.next_client = self.next_client, self.next_client + 1
        self.node.opened(self.client, f"127.0.0.1:{self.client}", "tcp", self.now)

    def leave(self) -> None:
        """Let the ordinary client hang up: the commands that wait behind one that blocks will not run."""
        if self.client not in self.hung_up:
            self.do("closed", self.client)

    def do(self, method: str, *args: Any) -> bytes:
        """Give the node an input, and the rounds that are due after it; returns what the client got."""
        replies = self._round(method, *args)
        while self.node.deadline() <= self.now:
            replies += self._round("wake")
        return replies

    def _round(self, method: str, *args: Any) -> bytes:
        started = time.process_time()
        getattr(self.node, method)(*args, self.now)
        replies = self._settle()
        spent = time.process_time() - started
        if spent > Played.stall_s:
            raise FindingError(f"{method} took {spent:.3f} s")
        replica = self.node.replica
        unread = (
            len(replica.conversation.buffer)
            + len(replica.buffer)
            + (replica.stream.read_bytes if replica.stream is not None else 0)
        )
        if unread > 2 * UNREAD_BYTES_MAX:
            raise FindingError(f"{unread} bytes wait")
        return replies

    def _settle(self) -> bytes:
        replies = b""
        for effect in self.node.end_round(self.now):
            if isinstance(effect, fx.Exit):
                raise FindingError("the server ended")
            if isinstance(effect, fx.Log):
                self.log += effect.text + "\n"
                if "Internal error in " in effect.text and "RDB reading" not in effect.text:
                    raise FindingError(effect.text)
            elif isinstance(effect, fx.Dial):
                self.dialled.append(effect.link)
            elif isinstance(effect, fx.PauseReading):
                self.held.add(effect.link)
            elif isinstance(effect, fx.ResumeReading):
                self.held.discard(effect.link)
            elif isinstance(effect, fx.Hangup):
                self.hung_up.add(effect.link)
            elif isinstance(effect, fx.Send) and effect.link == self.client:
                replies += effect.data
        if b"internal error" in replies:
            raise FindingError(repr(replies))
        return replies

    def ask(self, *argv: bytes) -> bytes:
        """Have an ordinary client give a command; returns what it got."""
        if self.client in self.hung_up or self.client not in self.node.links:
            self.connect()
        self.said.append(b" ".join(argv)[:80])
        return self.do("received", self.client, encode_command(list(argv)))

    def others(self) -> None:
        """Let ordinary clients work."""
        for argv in self.rng.sample(ORDINARY, self.rng.randrange(3)):
            self.ask(*argv)

    def wait(self, delay_us: int) -> None:
        """Let time pass, at most a second a step."""
        while delay_us > 0:
            self.now += min(delay_us, 1_000_000)
            delay_us -= 1_000_000
            self.do("wake")
            self.children()

    def children(self) -> None:
        """Let the children that write snapshots go on, end or fail."""
        rng, started = self.rng, self.world.started
        self.world.started = []
        for number, data, streamed in started:
            if rng.random() < 0.3:
                self.world.started.append((number, data, streamed))
                continue
            error = "Background saving terminated by signal 9" if rng.random() < 0.15 else None
            if streamed:
                for at in range(0, len(data), 300):
                    self.do("snapshot_data", number, data[at : at + 300])
            self.do("snapshot", number, error)

    def say(self, link: int, data: bytes, ended: float) -> bool:
        """Send bytes on a link, cut anywhere, with what else happens in between; False when the link ended."""
        rng = self.rng
        self.said.append(data[:200] + b"..." if len(data) > 200 else data)
        places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 1, 2, 5])))
        for start, stop in zip([0, *places], [*places, len(data)]):
            if link in self.hung_up:
                return False
            if start < stop and link not in self.held:
                self.do("received", link, data[start:stop])
            self.others()
            if rng.random() < 0.2:
                self.wait(rng.choice(DELAYS_US))
            if rng.random() < ended:
                break
        else:
            return link not in self.hung_up
        if link not in self.hung_up:
            self.said.append(b"(the end)")
            self.do("closed", link)
        return False

    def check(self) -> None:
        """Hold that the node works, and that nothing is left of clients that are gone."""
        node = self.node
        self.connect()
        self.ask(b"CLIENT", b"UNPAUSE")
        self.wait(100_000)
        for _ in range(2):
            self.connect()
            self.expect(b"+PONG\r\n", b"PING")
            self.expect(b"$", b"INFO")
            self.expect(b":", b"PUBLISH", b"a", b"message")
            self.expect(b"*", b"ROLE")
            known = node.clients.keys()
            ids = [names for db in node.space.databases for names in (*db.watchers.values(), *db.blocked.values())]
            for registry in (node.pubsub.channels, node.pubsub.patterns, node.pubsub.shard_channels):
                ids += registry.values()
            ids += [node.tracking.clients, node.monitors.clients, node.master.replicas]
            if not all(name in known for names in ids for name in names):
                raise FindingError("something outlives its client")
            self.ask(b"REPLICAOF", b"NO", b"ONE")
            self.wait(1_100_000)
        self.expect(b"+OK\r\n", b"SET", b"works", b"1")
        self.expect(b"+OK\r\n", b"FLUSHALL")
        check_space(node.space)

    def expect(self, head: bytes, *argv: bytes) -> None:
        """Give a command whose reply has to begin so."""
        reply = self.ask(*argv)
        if not reply.startswith(head):
            raise FindingError(f"{argv!r} is answered by {reply[:200]!r}")


def _stream(rng: Random) -> bytes:
    """Return what a master may send after the synchronization, and more."""
    pieces = []
    for _ in range(rng.randrange(8)):
        how = rng.random()
        if how < 0.45:
            pieces.append(encode_command(rng.choice(ODD_COMMANDS)))
        elif how < 0.8:
            argv = requests(rng, 1)[0]
            name = b"|".join(argv[:2]).decode("latin-1").lower()
            if not name.startswith(LEFT_OUT):
                pieces.append(encode_command(argv))
        elif how < 0.9:
            pieces.append(rng.choice([b"\n", b"\r\n", b"*0\r\n", b"PING\r\n"]) * rng.choice([1, 1, 1, 30_000]))
        elif how < 0.92:
            pieces.append(b"\n*0\r\n" * rng.randrange(50_000))
        else:
            pieces.append(b"*%b\r\n$%b\r\n" % (rng.choice(NUMBERS), rng.choice(NUMBERS)))
    data = b"".join(pieces)
    return damaged(rng, data) if data and rng.random() < 0.25 else data


def _snapshot(rng: Random) -> bytes:
    """Return a snapshot, mostly genuine."""
    config = Config()
    config.databases = rng.choice([16, 16, 16, 100])
    node = Node(config, 2, NOW)
    world = QuietWorld()
    node.attach(world)
    node.start(NOW)
    node.opened(CLIENT, "127.0.0.1:1", "tcp", NOW)
    commands = [[b"SELECT", b"%d" % rng.randrange(config.databases)]] if rng.random() < 0.3 else []
    for argv in (*commands, [b"SET", b"new", b"1"], [b"RPUSH", b"list", *[b"x" * 50] * rng.randrange(1, 40)]):
        node.received(CLIENT, encode_command(argv), NOW)
    node.end_round(NOW)
    data = b"".join(node.snapshot_chunks("rdb"))
    for name in (b"repl-stream-db", b"repl-id", b"repl-offset", b"ctime", b"%odd"):
        if rng.random() < 0.15:
            value = rng.choice([*NUMBERS, b"99", REPLID])
            field = b"\xfa%c%b\x80%b%b" % (len(name), name, len(value).to_bytes(4, "big"), value)
            data = data[:9] + field + data[9:-8] + bytes(8)
    if rng.random() < 0.1:
        library = rng.choice([b"#!lua name=l\nno Lua", b"#!lua name=l\nredis.register_function('f', function() end)"])
        length = b"\x80%b" % len(library).to_bytes(4, "big")
        data = data[:9] + b"\xf5%b%b" % (length, library) + data[9:-8] + bytes(8)
    return damaged(rng, data) if rng.random() < 0.3 else data


def _master_says(rng: Random, replies: int) -> list[bytes]:
    """Return what a master says from PING on."""
    if rng.random() < 0.25:
        answer = b"+CONTINUE" + rng.choice([b"", b" " + REPLID, b" " + b"6" * 40, b" \xff", b" " + b"\xff" * 40])
    else:
        replid = rng.choice([REPLID] * 30 + [b"\xff" * 40, b"6" * 39, b"6" * 41, b"-" * 40])
        answer = b"+FULLRESYNC %b %b" % (replid, rng.choice([b"0", b"100"] * 30 + [*NUMBERS]))
    said = [b"+PONG\r\n", *[b"+OK\r\n"] * replies, b"\n" * rng.choice([0, 1, 3, 50_000]) + answer + b"\r\n"]
    data = _snapshot(rng)
    how = rng.random()
    if how < 0.4:
        said.append(b"\n" * rng.randrange(3) + b"$%d\r\n" % len(data) + data)
    elif how < 0.8:
        said.append(b"$EOF:%b\r\n%b%b" % (MARK, data, rng.choice([MARK, MARK, MARK, MARK[1:], b"x" * 40, b""])))
    else:
        said.append(b"$%b\r\n%b" % (rng.choice([*NUMBERS, b"EOF:" + MARK[1:]]), data))
    said += [_stream(rng) for _ in range(rng.randrange(4))]
    return _shuffled(rng, said)


def _shuffled(rng: Random, said: list[bytes]) -> list[bytes]:
    """Damage, replace, leave out, repeat or move some of the messages."""
    if rng.random() < 0.6:
        return said
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(said))
        how = rng.random()
        if how < 0.35:
            said[place] = damaged(rng, said[place]) if said[place] else b"\0"
        elif how < 0.6:
            said[place] = rng.choice(LINES) + b"\r\n"
        elif how < 0.7 and len(said) > 1:
            del said[place]
        elif how < 0.85:
            said.insert(place, said[place])
        else:
            other = rng.randrange(len(said))
            said[place], said[other] = said[other], said[place]
    return said


def masters(rng: Random, said: list[bytes]) -> None:
    """A node is the replica of masters that may send anything."""
    mode = rng.choice(["disabled", "swapdb", "on-empty-db"])
    password = b"secret" if rng.random() < 0.2 else b""
    played = Played(
        rng, said, repl_diskless_load=mode, masterauth=password, replica_read_only=rng.random() < 0.7,
        databases=rng.choice([16, 16, 4]), appendonly=rng.random() < 0.1,
        loading_process_events_interval_bytes=rng.choice([1024, 1 << 21]),
    )  # fmt: skip
    node = played.node
    if rng.random() < 0.8:
        played.ask(b"SET", b"old", b"1")
    held = b"old" in node.space.databases[0]
    touched = False
    played.ask(b"REPLICAOF", b"127.0.0.1", b"7000")
    for _ in range(rng.randrange(1, 4)):
        if not played.dialled:
            played.wait(1_100_000)
            if not played.dialled:
                break
        link = played.dialled.pop()
        if link in played.hung_up:
            continue
        if rng.random() < 0.05:
            played.do("refused", link, "Connection refused")
            continue
        played.do("opened", link, "127.0.0.1:7000", "dialled")
        ended = rng.choice([0, 0, 0.05])
        for message in _master_says(rng, 3 if password else 2):
            going = played.say(link, message, ended)
            touched |= "sync: Finished with success" in played.log or "Master accepted a Partial" in played.log
            if not going:
                break
        if link not in played.hung_up and link in node.links:
            played.do("closed", link)
    cleared = "Flushing old data" in played.log or "Swapping active DB" in played.log
    flushed = any(line in (b"FLUSHALL", b"MULTI", b"EXEC") for line in said)
    if (
        held
        and not (touched or cleared or flushed)
        and node.conditions.load is None
        and b"old" not in node.space.databases[0]
    ):
        raise FindingError("the old data is gone")
    played.check()


def _replica_says(rng: Random, node: Node) -> list[bytes]:
    """Return what a replica says from PING on."""
    replication = node.replication
    replid = rng.choice([b"?", replication.replid, replication.replid2, b"?x", b"\xff" * 40, b"6" * 40, b""])
    offset = rng.choice([b"-1", b"1", b"%d" % (replication.offset + 1), *NUMBERS])
    said = [[b"PING"], [b"REPLCONF", b"listening-port", rng.choice([b"7000", b"7000", *NUMBERS])]]
    if rng.random() < 0.3:
        said.append([b"REPLCONF", b"ip-address", rng.choice([b"127.0.0.2", b"\xff", b"x" * 300, b"a,b\r\nc", b""])])
    said.append(
        [b"REPLCONF", *rng.choice([[], [b"capa", b"eof"]]), b"capa", rng.choice([b"psync2", b"odd", b"\xff"])]
    )
    if rng.random() < 0.2:
        said.append([b"REPLCONF", b"rdb-only", rng.choice([b"0", b"1", *NUMBERS])])
    if rng.random() < 0.2:
        said.append([b"REPLCONF", b"rdb-filter-only", rng.choice([b"functions", b"", b"keys", b"'", b"\xff"])])
    said.append(rng.choice([[b"PSYNC", replid, offset], [b"PSYNC", replid, offset], [b"SYNC"], [b"PSYNC"]]))
    for _ in range(rng.randrange(6)):
        ack = rng.choice([b"0", b"%d" % replication.offset, *NUMBERS])
        said.append(
            rng.choice(
                [
                    [b"REPLCONF", b"ACK", ack],
                    [b"REPLCONF", b"ACK", ack, b"FACK", rng.choice(NUMBERS)],
                    [b"REPLCONF", b"ACK", ack, b"FACK"],
                    [b"REPLCONF", b"GETACK", b"*"],
                    [b"REPLCONF", rng.choice(NUMBERS), b"x"],
                    rng.choice(ODD_COMMANDS),
                ]
            )
        )
    messages = [encode_command(argv) for argv in said]
    if rng.random() < 0.3:
        messages.append(
            rng.choice([b"\n" * 5000, b"x" * 70_000, encode_command([b"REPLCONF", b"GETACK", b"*"]) * 500])
        )
    return _shuffled(rng, messages)


def replicas(rng: Random, said: list[bytes]) -> None:
    """A node is the master of replicas that may send anything."""
    played = Played(
        rng, said, repl_diskless_sync=rng.random() < 0.5, repl_diskless_sync_delay=rng.choice([0, 0, 1]),
        appendonly=rng.random() < 0.1, repl_backlog_size=rng.choice([16384, 1 << 20]),
        repl_timeout=rng.choice([2, 60]), min_replicas_to_write=rng.choice([0, 0, 0, 1]),
    )  # fmt: skip
    node = played.node
    for number in range(rng.randrange(4)):
        played.ask(b"SET", b"key%d" % number, b"x" * rng.randrange(300))
    links = []
    for number in range(rng.randrange(1, 4)):
        link = 1000 + number
        played.do("opened", link, f"127.0.0.{number + 2}:{link}", "tcp")
        links.append((link, _replica_says(rng, node)))
    while links:
        link, messages = rng.choice(links)
        if not messages or not played.say(link, messages.pop(0), rng.choice([0, 0, 0.05])):
            links.remove((link, messages))
            if link not in played.hung_up and rng.random() < 0.7:
                played.do("closed", link)
            continue
        if rng.random() < 0.2:
            played.do("output_pending", link, rng.choice([0, 0, 1000, 100_000]))
        if rng.random() < 0.1:
            port = b"%d" % rng.choice([7000, 1])
            played.ask(b"FAILOVER", *rng.choice([[], [b"TO", b"127.0.0.2", port], [b"ABORT"]]))
        played.children()
    played.leave()
    played.connect()
    played.ask(b"FAILOVER", b"ABORT")
    node.config.min_replicas_to_write = 0
    node.conditions.update()
    played.check()


CONVERSATIONS = (masters, replicas)
