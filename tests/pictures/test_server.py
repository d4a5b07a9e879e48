"""The pictures of what is no key: several sets, messages, transactions, scripts, memory, layers, replication."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.inspection import inspect
from engine.observe.events import CommandExecuted
from engine.protocol.errors import ReplyError
from engine.simulation.actions import AddHost, Crash, Cut, Heal, OpenClient, PullPlug, SendCommand, Start
from engine.simulation.world import World
from tests.pictures.drawing import WIDTHS, Watched, written
from tutor.pictures.clients import draw_clients, read_clients
from tutor.pictures.hyperloglogs import draw_hll
from tutor.pictures.letters import Letters
from tutor.pictures.memory import draw_memory, read_memory
from tutor.pictures.persistence import Layers, draw_layers, read_layers
from tutor.pictures.picture import Picture
from tutor.pictures.readings import read_key
from tutor.pictures.replication import ReplicationPart, draw_replication, read_machine
from tutor.pictures.scripts import Call, draw_script
from tutor.pictures.sets import draw_sets, operands, read_sets
from tutor.pictures.slots import ALONE, SlotRange, draw_slots, slot_of
from tutor.pictures.subscriptions import draw_subscriptions, read_subscriptions
from tutor.pictures.transactions import draw_transaction, read_transaction

SECOND = 1_000_000
Snapshot = Callable[[str, str], None]


def story(scenes: Iterator[tuple[str, Callable[[int], Picture]]]) -> str:
    """Return pictures one after another, each at all widths."""
    text = ""
    for typed, draw in scenes:
        pictures = {width: draw(width) for width in WIDTHS}
        assert len({picture.sentence for picture in pictures.values()}) == 1
        text += f"> {typed}\n{pictures[WIDTHS[0]].sentence or '(nothing changed)'}\n"
        for width in WIDTHS:
            text += f"{'·' * width}\n{written(pictures[width], width)}\n"
        text += "\n"
    return text


def words(text: str) -> list[bytes]:
    return [word.encode() for word in text.split()]


def test_several_sets(snapshot: Snapshot) -> None:
    node = Watched()
    for each in ("SADD red apple cherry rose", "SADD fruit apple cherry pear fig", "SADD sweet cherry fig honey"):
        node.run(1, *words(each))

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        for typed in (
            "SINTER red fruit",
            "SUNION red fruit",
            "SDIFFSTORE only red fruit",
            "SINTERCARD 3 red fruit sweet",
            "SDIFF fruit red sweet",
            "SINTER red nothing",
        ):
            argv = words(typed)
            sets = read_sets(node.inspect_all, 0, operands(argv))
            yield typed, lambda width, sets=sets, argv=argv: draw_sets(sets, width, argv)

    snapshot("several-sets", story(scenes()))


def test_large_sets_are_read_in_part() -> None:
    node = Watched()
    node.run(1, b"SADD", b"a", *(b"m%d" % i for i in range(100_000)))
    node.run(1, b"SADD", b"b", *(b"m%d" % i for i in range(50_000, 150_000)))
    sets = read_sets(node.inspect_all, 0, (b"a", b"b"))
    assert len(sets.members) <= 48
    assert sets.sizes == (100_000, 100_000)
    assert len(node.looks) <= 6
    assert len(written(draw_sets(sets, 40, words("SINTER a b")), 40).splitlines()) < 20


def test_messages(snapshot: Snapshot) -> None:
    node = Watched()
    node.run(1, b"PING")
    who = {3: "ann", 4: "bob", 5: "cy"}

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        before = read_subscriptions(node.inspect_all)
        for link, typed in (
            (2, "SUBSCRIBE news sport"),
            (3, "PSUBSCRIBE n*"),
            (1, "PUBLISH news hello"),
            (1, "PUBLISH weather rain"),
            (4, "SSUBSCRIBE news"),
            (2, "UNSUBSCRIBE news"),
        ):
            node.run(link, *words(typed))
            now = read_subscriptions(node.inspect_all)
            yield (
                typed,
                lambda width, before=before, now=now, typed=typed: draw_subscriptions(
                    before, now, width, words(typed), who, "app"
                ),
            )
            before = now

    snapshot("messages", story(scenes()))


def test_transactions(snapshot: Snapshot) -> None:
    node = Watched()
    node.run(2, b"SET", b"stock", b"5")
    client = 3
    replies: list[Any] = []
    node.node.observe(lambda event: replies.append(event) if isinstance(event, CommandExecuted) else None)
    lines = (
        (1, "WATCH stock"),
        (1, "MULTI"),
        (1, "DECR stock"),
        (1, "INCR sold"),
        (1, "EXEC"),
        (1, "WATCH stock"),
        (1, "MULTI"),
        (1, "DECR stock"),
        (2, "SET stock 0"),
        (1, "EXEC"),
        (1, "MULTI"),
        (1, "NOSUCH"),
        (1, "EXEC"),
        (1, "MULTI"),
        (1, "PING"),
        (1, "DISCARD"),
    )
    node.run(1, b"PING")
    client = next(each.client_id for each in reversed(replies))

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        before = read_transaction(node.inspect_all, client)
        for link, typed in lines:
            replies.clear()
            answer = node.run(link, *words(typed))
            now = read_transaction(node.inspect_all, client)
            refused = ReplyError(answer[0][1:]) if answer[0][:1] == b"-" else None
            reply = replies[-1].reply if replies else refused
            yield (
                typed + ("  (another client)" if link == 2 else ""),
                lambda width, before=before, now=now, typed=typed, reply=reply: draw_transaction(
                    before, now, width, words(typed), reply, {client: "redis"}
                ),
            )
            before = now

    snapshot("transactions", story(scenes()))


def test_scripts(snapshot: Snapshot) -> None:
    node = Watched()
    seen: list[CommandExecuted] = []
    node.node.observe(lambda event: seen.append(event) if isinstance(event, CommandExecuted) else None)
    node.run(1, b"SET", b"stock", b"5")
    sources = {
        "reserve": b"local n = tonumber(redis.call('GET', KEYS[1])) "
        b"if n > 0 then redis.call('DECR', KEYS[1]) redis.call('RPUSH', 'orders', ARGV[1]) return n - 1 end "
        b"return -1",
        "loop": b"for i = 1, 40 do redis.call('INCR', KEYS[1]) end return redis.call('GET', KEYS[1])",
        "fails": b"redis.call('SET', 'a', 1) return redis.call('LPUSH', 'a', 1)",
        "nothing": b"return {1, 2, 'three'}",
    }

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        for name, source in sources.items():
            seen.clear()
            node.run(1, b"EVAL", source, b"1", b"stock", b"ann")
            calls = [Call(tuple(event.argv), event.reply) for event in seen if event.client_id == 0]
            reply = seen[-1].reply
            yield name, lambda width, calls=calls, reply=reply: draw_script(calls, width, [b"EVAL"], reply)

    snapshot("scripts", story(scenes()))


def test_memory(snapshot: Snapshot) -> None:
    machines = Machines(A=())
    for at in range(4):
        machines.type("A", f"SET key:{at} {'x' * 500}")
        machines.run(20)
    machines.type("A", "SET short x EX 100")
    machines.type("A", "GET key:0")
    inspect_all = machines.inspect_all("A")
    base = read_memory(inspect_all, 0).used

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        before = read_memory(inspect_all, 0)
        for typed in (
            f"CONFIG SET maxmemory {base + 2500}",
            "CONFIG SET maxmemory-policy allkeys-lru",
            "SET key:5 " + "y" * 1000,
            "SET key:6 " + "z" * 1000,
            "SET key:7 " + "w" * 1000,
            "SET key:8 v",
            "CONFIG SET maxmemory-policy volatile-ttl",
            "CONFIG SET maxmemory-policy allkeys-lfu",
            "CONFIG SET maxmemory 0",
        ):
            machines.type("A", typed)
            machines.run(2)
            now = read_memory(inspect_all, 0)
            yield (
                typed[:60],
                lambda width, before=before, now=now, typed=typed: draw_memory(before, now, width, words(typed)),
            )
            before = now

    # The exact sizes are the accounting's, not the picture's.
    text = re.sub(r"[\d,.]+(?=%| [kM]?B| bytes)|(?<=maxmemory )\d\d+", lambda m: "#" * len(m[0]), story(scenes()))
    snapshot("memory", text)


def test_clients(snapshot: Snapshot) -> None:
    node = Watched()
    node.run(1, b"PING")

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        before = read_clients(node.inspect_all)
        for link, typed in (
            (1, "CLIENT SETNAME ann"),
            (2, "BLPOP queue 0"),
            (1, "SELECT 3"),
            (1, "HELLO 3"),
            (2, ""),
        ):
            if typed:
                node.run(link, *words(typed))
            else:
                node.hang_up(link)
            now = read_clients(node.inspect_all)
            yield (
                typed or "(it hangs up)",
                lambda width, before=before, now=now, typed=typed: draw_clients(before, now, width, words(typed)),
            )
            before = now

    snapshot("clients", story(scenes()))


def test_slots(snapshot: Snapshot) -> None:
    assert [slot_of(each) for each in (b"foo", b"{user:1}.name", b"{user:1}.age", b"{}x", b"a{")] == [
        12182, slot_of(b"user:1"), slot_of(b"user:1"), slot_of(b"{}x"), slot_of(b"a{"),
    ]  # fmt: skip
    three = (
        SlotRange(0, 5460, "172.16.6.18"),
        SlotRange(5461, 10922, "172.16.6.57"),
        SlotRange(10923, 16383, "172.16.6.58"),
    )

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        for ranges, typed in ((ALONE, "MGET a b c"), (three, "MGET {user:1}.name {user:1}.age")):
            argv = words(typed)
            yield typed, lambda width, argv=argv, ranges=ranges: draw_slots(ranges, argv[1:], width, argv)

    snapshot("slots", story(scenes()))


def test_true_count_of_a_hyperloglog() -> None:
    node = Watched()
    argv = [b"PFADD", b"seen", *(b"%d" % i for i in range(5000))]
    node.run(1, *argv)
    key = read_key(node.inspect_all, 0, b"seen", argv)
    picture = draw_hll(None, key, 80, argv, 5000)
    assert "really 5,000" in written(picture, 80)
    assert "off by" in written(picture, 40 * 2)


# --- on simulated machines ---------------------------------------------------------------------------------------


class Machines:
    """Servers in a simulated world, a client at each."""

    def __init__(self, **directives: tuple[str, ...]) -> None:
        self.world = World(7)
        for at, (name, lines) in enumerate(directives.items()):
            self.world.do(AddHost(name, f"172.16.6.{18 + at}:6379", lines))
            self.world.do(Start(name))
            self.world.do(OpenClient(f"to-{name}", name))
            self.run(3)

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now_us + int(seconds * SECOND))

    def type(self, name: str, line: str) -> None:
        self.world.do(SendCommand(f"to-{name}", tuple(words(line))))
        self.run(0.01)

    def inspect_all(self, name: str) -> Callable[[Any], list[Any]]:
        def look(requests: Any) -> list[Any]:
            node = self.world.hosts[name].node
            if node is None:
                return [ReplyError(b"ERR down") for _ in requests]
            return [inspect(node, list(argv), db, self.world.now_us) for argv, db in requests]

        return look

    def keys(self, name: str) -> set[bytes]:
        (found,) = self.inspect_all(name)([((b"KEYS", b"*"), 0)])
        return set(found)


AOF = ("appendonly yes", "appendfsync everysec")


def test_layers(snapshot: Snapshot) -> None:
    machines = Machines(A=AOF)
    inspect_all = machines.inspect_all("A")

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        before = read_layers(inspect_all)
        for typed in (
            "SET a 1", "1.5", "BGSAVE", "SET b 2", "SET paid yes", "1.5", "CONFIG SET appendfsync always", "SET c 3",
            "CONFIG SET appendonly no", "SET d 4",
        ):  # fmt: skip
            argv = words(typed)
            if typed.replace(".", "").isdigit():
                machines.run(float(typed))
                argv = []
            else:
                machines.type("A", typed)
            changed = argv[1:2] if argv[:1] == [b"SET"] else []
            now = read_layers(inspect_all, changed, before)
            yield (
                typed if argv else f"({typed} s later)",
                lambda width, before=before, now=now, argv=argv: draw_layers(before, now, width, argv),
            )
            before = now

    snapshot("layers", story(scenes()))


@pytest.mark.parametrize("policy", ["everysec", "always", "no"])
@pytest.mark.parametrize("end", ["kill -9", "power cut"])
def test_what_the_layers_say_is_what_is_left(policy: str, end: str) -> None:
    """The writes that the picture counts as lost are those that are gone after the crash, and no others."""
    for wait in (0.0, 0.2, 0.5, 0.9, 1.3):
        machines = Machines(A=("appendonly yes", f"appendfsync {policy}"))
        layers: Layers | None = read_layers(machines.inspect_all("A"))
        for name in ("a", "b", "c"):
            machines.run(0.4)
            machines.type("A", f"SET {name} 1")
            layers = read_layers(machines.inspect_all("A"), [name.encode()], layers)
        machines.run(wait)
        layers = read_layers(machines.inspect_all("A"), (), layers)
        survives = layers.survives_kill if end == "kill -9" else layers.survives_power_cut
        kept = {write.key for write in layers.writes if survives(write)}
        machines.world.do(Crash("A") if end == "kill -9" else PullPlug("A"))
        machines.world.do(Start("A"))
        machines.run(1)
        assert machines.keys("A") == kept, f"{policy}, {end}, {wait} s after the last write"


def test_a_replication_id_keeps_its_letter() -> None:
    letters = Letters()
    first, second = (ReplicationPart(name, replid=name * 40) for name in "ab")
    draw_replication(None, [first, second], 80, (), letters)
    assert " ID β bbbb… " in written(draw_replication([second, first], [second], 80, (), letters), 80)


def test_replication(snapshot: Snapshot) -> None:
    machines = Machines(A=("repl-diskless-sync-delay 0", "repl-backlog-size 16kb"), B=("replicaof 172.16.6.18 6379",))
    before = [read_machine(machines.inspect_all(name), name) for name in "AB"]
    letters = Letters()  # an ID keeps its letter from picture to picture

    def scenes() -> Iterator[tuple[str, Callable[[int], Picture]]]:
        nonlocal before
        for typed, act in (
            ("SET a 1", lambda: machines.type("A", "SET a 1")),
            ("(the link is cut)", lambda: machines.world.do(Cut("A", "B"))),
            ("SET b 2", lambda: machines.type("A", "SET b 2")),
            ("(B is promoted)", lambda: machines.type("B", "REPLICAOF NO ONE")),
            ("(the link is healed)", lambda: machines.world.do(Heal("A", "B"))),
            (
                "REPLICAOF 172.16.6.19 6379",
                lambda: (machines.type("A", "REPLICAOF 172.16.6.19 6379"), machines.run(3)),
            ),
            ("(B crashes)", lambda: machines.world.do(Crash("B"))),
        ):
            act()
            machines.run(0.5)
            now = [read_machine(machines.inspect_all(name), name) for name in "AB"]
            argv = words(typed) if typed[0] != "(" else []
            yield (
                typed,
                lambda width, before=before, now=now, argv=argv: draw_replication(before, now, width, argv, letters),
            )
            before = now

    snapshot("replication", story(scenes()))
