"""Streams beside a real server: generated sequences with equal replies, equal payloads, equal propagation."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.effects import Send
from engine.protocol.resp import Argv, encode_command
from tests.differential.pair import LINK, Pair
from tests.real import RealServer
from tests.waiting import PATIENCE_S

OTHER, LISTENER = 2, 3


class StreamPair(Pair):
    """A pair whose replies are compared without what depends on the clock, and whose changes are listened to."""

    def __init__(self, server: RealServer) -> None:
        super().__init__(server)
        self.is_reference = server.program.kind == "redis" and server.program.version[:2] == (7, 2)
        self.our_changes: list[Argv] = []
        self.node.replication.need_backlog()
        self.node.propagation.update()
        self.node.master.feed = lambda db, argv: self.our_changes.append(argv)  # type: ignore[method-assign]
        self.replica = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader()
        self.theirs(b"CONFIG", b"SET", b"repl-diskless-sync", b"no")
        self.replica.sendall(b"SYNC\r\n")
        data = b""
        while b"$" not in data or b"\r\n" not in data.partition(b"$")[2]:
            data += self.replica.recv(1 << 16)
        size, _, snapshot = data.partition(b"$")[2].partition(b"\r\n")
        while len(snapshot) < int(size):
            snapshot += self.replica.recv(1 << 16)
        self.reader.feed(snapshot[int(size) :])

        # A third party that listens to keyspace events, and watches keys.
        self.events: list[Any] = []
        self.other = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.listener = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.heard = hiredis.Reader()
        for link in (OTHER, LISTENER):
            self.node.opened(link, f"127.0.0.1:{link}", "tcp", self.now)
        self.both(b"CONFIG", b"SET", b"notify-keyspace-events", b"KEA")
        self.listener.sendall(encode_command([b"PSUBSCRIBE", b"__keyevent@*", b"heard"]))
        self.our_reply(LISTENER, b"PSUBSCRIBE", b"__keyevent@*", b"heard")
        self.events.clear()

    def close(self) -> None:
        super().close()
        for sock in (self.replica, self.other, self.listener):
            sock.close()

    def ours(self, *argv: bytes) -> bytes:
        return self.our_reply(LINK, *argv)

    def our_reply(self, link: int, *argv: bytes) -> bytes:
        self.node.received(link, encode_command(list(argv)), self.now)
        reply = b""
        for effect in self.node.end_round(self.now):
            if isinstance(effect, Send) and effect.link == link:
                reply += effect.data
            elif isinstance(effect, Send) and effect.link == LISTENER:
                reader = hiredis.Reader()
                reader.feed(effect.data)
                while (message := reader.gets()) is not False:
                    self.events.append(message[2:])
        return reply

    def same_by_other(self, *argv: bytes) -> None:
        """Let another client send both a command."""
        self.other.sendall(encode_command(list(argv)))
        theirs = receive(self.other)
        ours = parsed(self.our_reply(OTHER, *argv))
        assert ours == theirs, f"{argv!r}: ours {ours!r}, theirs {theirs!r}"

    def same_events(self) -> None:
        """Fail unless both have sent the same keyspace events."""
        theirs: list[Any] = []
        self.theirs(b"PUBLISH", b"heard", b"")
        while not theirs or theirs[-1][0] != b"heard":
            message: Any = self.heard.gets()
            if message is False:
                self.heard.feed(self.listener.recv(1 << 16))
            elif message[0] == b"pmessage":
                theirs.append(message[2:])
        ours, self.events = self.events, []
        assert ours == [event for event in theirs if event[0] != b"heard"]

    def their_changes(self) -> list[Argv]:
        """Return what the real server has propagated since the last time."""
        self.theirs(b"PUBLISH", b"mark", b"")
        changes: list[Argv] = []
        while True:
            argv: Any = self.reader.gets()
            if argv is False:
                self.reader.feed(self.replica.recv(1 << 16))
            elif argv[:2] == [b"PUBLISH", b"mark"]:
                return changes
            elif argv[0].upper() not in (b"PING", b"SELECT", b"PUBLISH"):
                changes.append(argv)

    def forget(self) -> None:
        """Forget what was propagated and sent until now."""
        self.their_changes()
        self.our_changes.clear()
        with contextlib.suppress(AssertionError):
            self.same_events()

    def same(self, *argv: bytes) -> Any:
        """Give both a command; fail unless they answer the same, but for times. Returns the answer."""
        theirs = untimed(argv, parsed(self.theirs(*argv)))
        ours = untimed(argv, parsed(self.ours(*argv)))
        assert ours == theirs, f"{b' '.join(argv)[:200]!r}: ours {ours!r}, theirs {theirs!r}"
        return ours

    def same_changes(self) -> None:
        """Fail unless both have propagated the same, but for times."""
        theirs = [without_time(argv) for argv in self.their_changes()]
        ours = [without_time(argv) for argv in self.our_changes]
        self.our_changes.clear()
        assert ours == theirs


def receive(sock: socket.socket) -> Any:
    reader = hiredis.Reader(replyError=lambda text: "-" + text)
    while (reply := reader.gets()) is False:
        reader.feed(sock.recv(1 << 16))
    return reply


def parsed(data: bytes) -> Any:
    reader = hiredis.Reader(replyError=lambda text: "-" + text)
    reader.feed(data)
    return reader.gets()


def untimed(argv: tuple[bytes, ...], reply: Any) -> Any:
    """Return a reply with a star in place of each time and duration."""
    if not isinstance(reply, list):
        return reply
    name = b" ".join(argv[:2]).upper()
    if name.startswith(b"XPENDING") and len(argv) > 3:
        return [[id, consumer, "*", count] for id, consumer, _, count in reply]
    if name == b"XINFO CONSUMERS":
        return [["*" if i in (5, 7) and item != -1 else item for i, item in enumerate(row)] for row in reply]
    if name == b"XINFO STREAM" and len(argv) > 3:
        for group in reply[17]:
            for pending in group[11]:
                pending[2] = "*"
            for consumer in group[13]:
                consumer[3] = "*"
                consumer[5] = "*" if consumer[5] != -1 else -1
                for pending in consumer[9]:
                    pending[1] = "*"
    return reply


def without_time(argv: Argv) -> list[Any]:
    upper = [arg.upper() for arg in argv]
    if upper[0] != b"XCLAIM":
        return [upper[0], *argv[1:]]
    at = upper.index(b"TIME") + 1
    return [*argv[:at], "*" if len(argv[at]) > 8 else argv[at], *argv[at + 1 :]]


@pytest.fixture(scope="module")
def pair(real_server: RealServer) -> Iterator[StreamPair]:
    made = StreamPair(real_server)
    yield made
    made.close()


def words(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode().split())


keys = st.sampled_from(["s", "s", "t"])
groups = st.sampled_from(["g", "g", "h"])
consumers = st.sampled_from(["a", "a", "b"])
numbers = st.sampled_from(["0", "1", "2", "3", "5", "9", "-1", "x"])
counts = st.sampled_from(["", "", " COUNT 1", " COUNT 2", " COUNT 0", " COUNT"])
ids = st.one_of(
    st.tuples(st.integers(0, 9), st.integers(0, 2)).map(lambda id: f"{id[0]}-{id[1]}"),
    st.tuples(st.integers(0, 9), st.integers(0, 2)).map(lambda id: f"{id[0]}-{id[1]}"),
    st.integers(0, 9).map(str),
    st.sampled_from(["-", "+", "$", ">", "(3", "18446744073709551615-18446744073709551615", "1--1", "07-+2", "x"]),
)
some_ids = st.lists(ids, min_size=1, max_size=4).map(" ".join)
bounds = st.one_of(st.sampled_from(["-", "+", "(1-0", "(5", "0-0"]), ids)
thresholds = st.one_of(
    st.builds("MAXLEN {} {}".format, st.sampled_from(["", "~", "="]), numbers),
    st.builds("MINID {} {}".format, st.sampled_from(["", "~", "="]), ids),
)
limits = st.sampled_from(["", "", "", " LIMIT 3", " LIMIT 0", " LIMIT x"])
trimmings = st.builds("{}{}".format, thresholds, limits)
rows = st.sampled_from(["f v", "f w g x", "g 1", "f 127 g 4096", "f v f v", "f", "f " + "v" * 70])


def of(form: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(form.format, *parts)


# Mostly of growing IDs, which the test counts up.
adding = of("XADD {} NEXT {}", keys, rows)
entry_commands = st.one_of(
    adding,
    adding,
    adding,
    of("XADD {} {} NEXT {}", keys, trimmings, rows),
    of("XADD {} {} {}", keys, ids, rows),
    of("XADD {} NOMKSTREAM {}-* {}", keys, st.integers(0, 30).map(str), rows),
    of("XTRIM {} {}", keys, trimmings),
    of("XDEL {} {}", keys, some_ids),
    of("XRANGE {} {} {}{}", keys, bounds, bounds, counts),
    of("XREVRANGE {} {} {}{}", keys, bounds, bounds, counts),
    of("XREAD{} STREAMS {} {} {} {}", counts, keys, keys, ids, ids),
    of("XSETID {} {}", keys, ids),
    of("XSETID {} {} ENTRIESADDED {} MAXDELETEDID {}", keys, ids, numbers, ids),
    of("XLEN {}", keys),
    of("COPY {} {} REPLACE", keys, keys),
)
group_commands = st.one_of(
    adding,
    adding,
    of("XDEL {} {}", keys, some_ids),
    of("XTRIM {} {}", keys, trimmings),
    of("XGROUP CREATE {} {} {}{}", keys, groups, ids, st.sampled_from(["", " MKSTREAM", " MKSTREAM ENTRIESREAD 2"])),
    of("XGROUP SETID {} {} {}{}", keys, groups, ids, st.sampled_from(["", " ENTRIESREAD 1", " ENTRIESREAD"])),
    of("XGROUP CREATECONSUMER {} {} {}", keys, groups, consumers),
    of("XGROUP DELCONSUMER {} {} {}", keys, groups, consumers),
    of("XGROUP DESTROY {} h", keys),
    of("XREADGROUP GROUP {} {}{} STREAMS {} >", groups, consumers, counts, keys),
    of("XREADGROUP GROUP {} {}{} STREAMS {} >", groups, consumers, counts, keys),
    of("XREADGROUP GROUP {} {}{} NOACK STREAMS {} >", groups, consumers, counts, keys),
    of("XREADGROUP GROUP {} {}{} STREAMS {} {} > {}", groups, consumers, counts, keys, keys, ids),
    of("XACK {} {} {}", keys, groups, some_ids),
    of("XPENDING {} {}", keys, groups),
    of("XPENDING {} {} {} {} {}", keys, groups, bounds, bounds, numbers),
    of("XPENDING {} {} IDLE {} {} {} 9 {}", keys, groups, st.sampled_from(["0", "50000"]), bounds, bounds, consumers),
    of(
        "XCLAIM {} {} {} {} {}{}",
        keys,
        groups,
        consumers,
        st.sampled_from(["0", "50000", "-1", "x"]),
        some_ids,
        st.sampled_from(
            [
                "",
                " FORCE",
                " JUSTID",
                " IDLE 100000",
                " TIME 1",
                " TIME 1 FORCE JUSTID",
                " RETRYCOUNT 7",
                " LASTID 5-1",
                " IDLE",
            ]
        ),
    ),
    of(
        "XAUTOCLAIM {} {} {} {} {}{}{}",
        keys,
        groups,
        consumers,
        st.sampled_from(["0", "50000"]),
        bounds,
        counts,
        st.sampled_from(["", " JUSTID"]),
    ),
)
looks = (
    "XLEN {0}",
    "XRANGE {0} - +",
    "XINFO STREAM {0}",
    "XINFO STREAM {0} FULL COUNT 0",
    "XINFO STREAM {0} FULL COUNT 2",
    "XINFO GROUPS {0}",
    "XINFO CONSUMERS {0} g",
    "DEBUG DIGEST-VALUE {0}",
)


def play(pair: StreamPair, commands: list[str], node_bytes: int, node_entries: int) -> None:
    pair.both(b"FLUSHALL")
    pair.both(b"CONFIG", b"SET", b"stream-node-max-bytes", b"%d" % node_bytes)
    pair.both(b"CONFIG", b"SET", b"stream-node-max-entries", b"%d" % node_entries)
    pair.forget()
    step = 0
    for command in commands:
        if "NEXT" in command:
            step += 1
            command = command.replace("NEXT", f"{step // 3 + 1}-{step % 3}")
        if "READ" in command and "+" in command and not pair.is_reference:
            continue  # later versions read the last entry with it
        pair.same(*words(command))
        for _, value in pair.node.space.databases[0].items():
            value.check()
        pair.node.space.databases[0].check()
    if pair.is_reference:
        pair.same_events()
        for look in looks:
            for key in "st":
                pair.same(*words(look.format(key)))
        pair.same_changes()


@given(st.lists(entry_commands, max_size=40), st.sampled_from([4096, 0, 60, 200]), st.sampled_from([100, 0, 1, 3]))
@settings(deadline=None, max_examples=100)
def test_entries(pair, commands, node_bytes, node_entries):
    play(pair, commands, node_bytes, node_entries)
    if pair.is_reference:
        for key in (b"s", b"t"):
            pair.both(b"DUMP", key)


@given(st.lists(group_commands, max_size=40), st.sampled_from([100, 3]))
@settings(deadline=None, max_examples=150)
def test_groups(pair, commands, node_entries):
    if not pair.is_reference:
        pytest.skip("when a consumer comes to be differs between versions")
    begin = [f"XGROUP CREATE {key} {group} 0 MKSTREAM" for key in "st" for group in "gh"]
    play(pair, begin + commands, 4096, node_entries)
    if pair.is_reference:
        exchange(pair)


def exchange(pair: StreamPair) -> None:
    """Give each server the other's payload in place of its own."""
    theirs, ours = parsed(pair.theirs(b"DUMP", b"s")), parsed(pair.ours(b"DUMP", b"s"))
    if theirs is None:
        return
    assert len(theirs) == len(ours) or b"\xc3" in theirs[:20]  # compressed, with other times in it
    pair.theirs(b"RESTORE", b"s", b"0", ours, b"REPLACE")
    pair.ours(b"RESTORE", b"s", b"0", theirs, b"REPLACE")
    for look in looks:
        pair.same(*words(look.format("s")))


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 3) | st.integers(0, 2**64 - 1)), max_size=40))
@settings(deadline=None, max_examples=40)
def test_radix_tree_nodes(pair, masters):
    if not pair.is_reference:
        pytest.skip("XINFO STREAM is compared with 7.2")
    pair.both(b"FLUSHALL")
    pair.both(b"CONFIG", b"SET", b"stream-node-max-entries", b"1")
    for ms, sequence in sorted(set(masters) - {(0, 0)}):
        pair.both(b"XADD", b"s", b"%d-%d" % (ms, sequence), b"f", b"v")
        pair.both(b"XINFO", b"STREAM", b"s")
    for ms, sequence in masters[::2]:
        pair.both(b"XDEL", b"s", b"%d-%d" % (ms, sequence))
        pair.both(b"XINFO", b"STREAM", b"s")


@pytest.mark.parametrize(
    "command", ["XGROUP HELP", "XINFO HELP", "XGROUP", "XINFO", "XGROUP CREATE s", "XINFO NONSENSE s"]
)
def test_containers(pair, command):
    if "HELP" in command and not pair.is_reference:
        pytest.skip("the texts differ between versions")
    pair.both(*words(command))


@pytest.mark.parametrize(
    "command",
    [
        "XADD s 5-0 f v",
        "XADD s MAXLEN 2 5-0 f v",
        "XADD new 5-0 f v",
        "XADD s 1-0 f v",
        "XTRIM s MAXLEN 1",
        "XTRIM s MAXLEN 9",
        "XDEL s 2-0",
        "XDEL s 9-0",
        "XSETID s 9-0",
        "XGROUP CREATE s new 0",
        "XGROUP CREATE new g 0 MKSTREAM",
        "XGROUP SETID s g 0",
        "XGROUP DESTROY s g",
        "XGROUP CREATECONSUMER s g new",
        "XGROUP DELCONSUMER s g a",
        "XREADGROUP GROUP g a STREAMS s >",
        "XREADGROUP GROUP g a STREAMS s 0",
        "XREADGROUP GROUP g new NOACK STREAMS s >",
        "XACK s g 1-0",
        "XCLAIM s g new 0 1-0",
        "XCLAIM s g new 0 2-0 FORCE",
        "XAUTOCLAIM s g new 0 0",
        "COPY s new",
    ],
)
def test_who_is_told_of_a_change(pair, command):
    """Whether the change fails a transaction that watches the key, which events it makes, what is propagated."""
    pair.both(b"FLUSHALL")
    for line in (
        "XADD s 1-0 f v",
        "XADD s 2-0 f v",
        "XADD s 3-0 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g a COUNT 1 STREAMS s >",
    ):
        pair.same(*words(line))
    pair.forget()
    pair.same_by_other(b"WATCH", b"s", b"new")
    pair.same(*words(command))
    pair.same_by_other(b"MULTI")
    pair.same_by_other(b"EXEC")
    if pair.is_reference:
        pair.same_events()
        pair.same_changes()


def test_errors(pair):
    if not pair.is_reference:
        pytest.skip("some texts differ between versions")
    pair.both(b"FLUSHALL")
    for line in """
        SET str x
        XADD s 1-1 f v
        XADD str * f v
        XLEN str
        XRANGE str - +
        XDEL str 1
        XTRIM str MAXLEN 1
        XSETID str 1
        XSETID nokey 1
        XREAD STREAMS str 0
        XREADGROUP GROUP g c STREAMS str >
        XACK str g 1
        XPENDING str g
        XCLAIM str g c 0 1
        XAUTOCLAIM str g c 0 1
        XGROUP CREATE str g 0
        XGROUP DESTROY nokey g
        XINFO STREAM str
        XINFO STREAM nokey FULL x
        XINFO STREAM s FULL COUNT
        XINFO STREAM s FULL COUNT x
        XINFO CONSUMERS s nogroup
        XADD s *
        XADD s * f
        XADD s * f v g
        XADD s NOMKSTREAM
        XADD s MAXLEN
        XADD s MAXLEN x * f v
        XADD s MAXLEN -1 * f v
        XADD s MAXLEN ~ x * f v
        XADD s MINID x * f v
        XADD s LIMIT 5 * f v
        XADD s LIMIT 0 * f v
        XADD s LIMIT -5 * f v
        XADD s MAXLEN 5 LIMIT 5 * f v
        XADD s MAXLEN 5 MINID 5 * f v
        XADD s 0-0 f v
        XADD s 1--* f v
        XTRIM s LIMIT 5 x
        XTRIM s LIMIT 0
        XREAD STREAMS s t 0
        XREAD BLOCK -1 STREAMS s 0
        XREAD BLOCK x STREAMS s 0
        XREAD COUNT x STREAMS s 0
        XREAD COUNT 5 BLOCK 5
        XREAD STREAMS s >
        XREAD GROUP g c STREAMS s 0
        XREAD NOACK STREAMS s 0
        XREADGROUP NOACK BLOCK 5 STREAMS s >
        XREADGROUP GROUP g c STREAMS s $
        XADD s 18446744073709551615-18446744073709551615 f v
        XADD s * f v
        XADD s 5-* f v
        XRANGE s (18446744073709551615-18446744073709551615 +
        XRANGE s - (0-0
    """.strip().splitlines():
        pair.same(*words(line))


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('XREAD', 'BLOCK', '0', 'STREAMS', 's', '$')",
        "return redis.call('XREAD', 'STREAMS', 's', '0')",
        "return redis.call('XRANGE', 's', '-', '+')",
        "return redis.call('XADD', 's', 'MAXLEN', '~', '1', '7-*', 'f', 'v')",
        "return redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')",
        "redis.setresp(3); return redis.call('XREAD', 'STREAMS', 's', '0')",
        "return redis.call('XPENDING', 's', 'g')",
        "return redis.call('XAUTOCLAIM', 's', 'g', 'd', '0', '0')",
    ],
)
def test_in_scripts(pair, script):
    if not pair.is_reference:
        pytest.skip("errors of scripts are compared with 7.2")
    pair.both(b"FLUSHALL")
    for line in ("XADD s 1-0 f v", "XADD s 2-0 f v", "XGROUP CREATE s g 1-0"):
        pair.same(*words(line))
    pair.forget()
    pair.same(b"EVAL", script.encode(), b"0")
    pair.same(b"MULTI")
    pair.same(b"EVAL", script.encode(), b"0")
    pair.same(*words("XADD s 9-* f v"))
    pair.same(*words("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s >"))
    pair.same(b"EXEC")
    pair.same_events()
    pair.same_changes()
    pair.both(*words("XINFO STREAM s"))
