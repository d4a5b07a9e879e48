"""What is done to pending events: TCP's order holds, nothing is lost or early, and the history repeats itself."""

import pytest

from engine.keyspace.digest import dataset_digest
from engine.simulation.actions import (
    ActionError,
    AddHost,
    ChooseNext,
    Cut,
    DelayMessage,
    DropMessage,
    Heal,
    HoldMessage,
    OpenClient,
    PullPlug,
    ReleaseMessage,
    SendCommand,
    Start,
)
from engine.simulation.history import History
from engine.simulation.pending import MESSAGE, RESET, TIMER, PendingEvent, pending_events
from engine.simulation.trace import Delivered, Dropped, Hungup, Opened, Sent
from engine.simulation.world import World
from engine.values.rng import Rng
from tests.simulation.invariants import Streams, Wires

SECOND = 1_000_000


def pair(where: World | History) -> World:
    """Start a master, a replica and a client."""
    where.do(AddHost("A", "172.16.6.18:6379", ("repl-diskless-sync-delay 0",)))
    where.do(AddHost("B", "172.16.6.57:6379", ("replicaof 172.16.6.18 6379",)))
    where.do(Start("A"))
    where.do(Start("B"))
    where.do(OpenClient("app", "A"))
    world = where.world if isinstance(where, History) else where
    where.run(world.now_us + 2 * SECOND)
    return world


def say(world: World, *words: str) -> None:
    world.do(SendCommand("app", tuple(word.encode() for word in words)))


def on_lane(world: World, source: str, target: str) -> list[PendingEvent]:
    return [e for e in pending_events(world) if (e.kind, e.source, e.target) == (MESSAGE, source, target)]


def arrived(world: World, since: int) -> list[bytes]:
    return [e.data for e in world.trace[since:] if isinstance(e, Delivered) and e.source == "app"]


def test_every_pending_event_happens_in_the_order_of_the_list() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "v")
    for _ in range(60):
        first = pending_events(world)[0]
        before = len(world.trace)
        world.step()
        assert world.now_us == first.due_us
        if first.kind == MESSAGE and first.sent >= 0:
            (got,) = [e for e in world.trace[before:] if isinstance(e, Delivered | Dropped)][:1]
            assert got.sent == first.sent


def test_a_chosen_event_comes_next_and_what_was_due_is_late() -> None:
    world = pair(World(3))
    timer = next(e for e in pending_events(world) if e.kind == TIMER and e.key == "B")
    say(world, "SET", "k", "v")
    (message,) = on_lane(world, "app", "A")
    since = len(world.trace)
    assert message.due_us < timer.due_us
    world.do(ChooseNext("B"))
    assert world.now_us == timer.due_us and not arrived(world, since)
    world.run(timer.due_us)
    assert arrived(world, since) and world.now_us == timer.due_us


def test_nothing_overtakes_on_a_connection() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "1")
    say(world, "SET", "k", "2")
    first, second = on_lane(world, "app", "A")
    assert second.follows == first.key
    count = len(world.trace)
    with pytest.raises(ActionError, match="TCP delivers in order"):
        world.do(ChooseNext(second.key))
    assert len(world.trace) == count
    world.do(HoldMessage(first.key))
    world.run(world.now_us + SECOND)
    assert not arrived(world, count)
    say(world, "SET", "k", "3")
    with pytest.raises(ActionError, match="release it first"):
        world.do(ChooseNext(first.key))
    world.do(ReleaseMessage(first.key))
    world.run(world.now_us + SECOND)
    assert [data[-3:-2] for data in arrived(world, count)] == [b"1", b"2", b"3"]


def test_of_two_messages_the_second_can_be_held_alone() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "1")
    say(world, "SET", "k", "2")
    count = len(world.trace)
    world.do(HoldMessage(on_lane(world, "app", "A")[1].key))
    world.run(world.now_us + SECOND)
    assert [data[-3:-2] for data in arrived(world, count)] == [b"1"]


def test_a_lost_segment_is_sent_again_later_each_time() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "v")
    (message,) = on_lane(world, "app", "A")
    began_us, count = world.now_us, len(world.trace)
    world.do(DropMessage(message.key))
    (again,) = on_lane(world, "app", "A")
    assert again.key == message.key and again.due_us == message.due_us + 201_000
    world.do(DropMessage(message.key))
    world.run(began_us + 602_000)
    assert not arrived(world, count)
    world.run(began_us + 604_000)  # 0.5 ms, 201 ms and twice 201 ms
    assert len(arrived(world, count)) == 1


def test_a_lost_request_to_connect_is_sent_again_after_a_second() -> None:
    world = pair(World(3))
    world.do(OpenClient("late", "A"))
    (asked,) = [e for e in pending_events(world) if e.source == "late" and e.text == "asks to connect"]
    world.do(DropMessage(asked.key))
    count = len(world.trace)
    world.run(world.now_us + 999_000)
    assert not [e for e in world.trace[count:] if isinstance(e, Opened)]
    world.run(world.now_us + 10_000)
    assert [e for e in world.trace[count:] if isinstance(e, Opened) and e.source == "late"]


def test_a_lost_reset_is_not_sent_again() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "v")
    world.do(Cut("app", "A", "half-open"))
    world.do(Heal("app", "A"))
    say(world, "SET", "k", "w")
    (reset,) = [e for e in pending_events(world) if e.kind == RESET]
    world.do(DropMessage(reset.key))
    count = len(world.trace)
    world.run(world.now_us + SECOND)
    assert not [e for e in world.trace[count:] if isinstance(e, Hungup) and e.target == "app"]
    say(world, "SET", "k", "x")
    world.run(world.now_us + SECOND)
    assert [e for e in world.trace[count:] if isinstance(e, Hungup) and e.target == "app" and e.reset]


def test_a_machine_without_power_sends_nothing_again() -> None:
    for act in (HoldMessage, DropMessage):
        world = pair(World(3))
        say(world, "SET", "k", "v")
        world.run(world.now_us + 600)  # it is on its way to B
        (message,) = on_lane(world, "A", "B")
        world.do(act(message.key))
        world.do(PullPlug("A"))
        count = len(world.trace)
        world.run(world.now_us + 5 * SECOND)
        assert not [e for e in world.trace[count:] if isinstance(e, Delivered) and e.sent == message.sent]
        node = world.hosts["B"].node
        assert node is not None and b"k" not in node.space.databases[0].positions


def test_a_delay_moves_what_follows() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "1")
    say(world, "SET", "k", "2")
    first = on_lane(world, "app", "A")[0]
    world.do(DelayMessage(first.key, 40_000))
    assert [e.due_us for e in on_lane(world, "app", "A")] == [first.due_us + 40_000] * 2
    with pytest.raises(ActionError, match="not on the network"):
        world.do(DelayMessage("A", 40_000))
    with pytest.raises(ActionError, match="no event @9999 is pending"):
        world.do(HoldMessage("9999"))


def test_what_a_cut_holds_and_what_is_held() -> None:
    world = pair(World(3))
    say(world, "SET", "k", "v")
    (message,) = on_lane(world, "app", "A")
    world.do(HoldMessage(message.key))
    world.do(Cut("app", "A", "silent"))
    say(world, "SET", "k", "w")
    world.do(Heal("app", "A"))
    count = len(world.trace)
    world.run(world.now_us + SECOND)
    assert not arrived(world, count)
    world.do(ReleaseMessage(message.key))
    world.run(world.now_us + SECOND)
    assert [data[-3:-2] for data in arrived(world, count)] == [b"v", b"w"]


def trouble(history: History, rng: Rng) -> None:
    """Do something to a random pending event."""
    world = history.world
    found = pending_events(world)
    event = found[rng.below(len(found))]
    act = (ChooseNext, HoldMessage, ReleaseMessage, DropMessage, DelayMessage)[rng.below(5)]
    try:
        history.do(DelayMessage(event.key, 1 + rng.below(300_000)) if act is DelayMessage else act(event.key, "what"))
    except ActionError:
        assert world.trace is history.world.trace  # it was refused, and nothing has changed


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_chosen_the_stream_stays_whole_and_the_history_repeats_itself(seed: int) -> None:
    history, rng = History(seed), Rng(seed + 100)
    pair(history)
    streams, wires = Streams(), Wires()
    history.world.observers.append(wires)
    for number in range(120):
        if rng.below(3) == 0:
            history.do(SendCommand("app", (b"SET", b"k%d" % rng.below(9), b"%d" % number)))
        trouble(history, rng)
        if rng.below(4) == 0:
            history.run(history.world.now_us + 1 + rng.below(200_000))
        streams.look(history.world)
        if wires.streams and not [e for e in pending_events(history.world) if e.is_held]:
            wires.look(history.world)
    for _ in range(50):
        if not (held := [e for e in pending_events(history.world) if e.is_held]):
            break
        history.do(ReleaseMessage(held[0].key))
        history.run(history.world.now_us + 5 * SECOND)
    for _ in range(120):
        history.run(history.world.now_us + SECOND + 137_000)
        nodes = [host.node for host in history.world.hosts.values()]
        equal = len({dataset_digest(node.space) for node in nodes if node is not None}) == 1
        if equal and not on_lane(history.world, "app", "A"):
            break
    streams.look(history.world, data=True)
    assert len({dataset_digest(node.space) for node in nodes if node is not None}) == 1
    sent = {e.number for e in history.trace if isinstance(e, Sent) and e.source == "app"}
    got = [e.sent for e in history.trace if isinstance(e, Delivered) and e.source == "app"]
    assert got == sorted(sent)  # each once, in order
    digest, place = history.digest(), history.place
    assert History.decode(history.encode()).digest() == digest
    history.goto(place // 2)
    history.end()
    assert history.digest() == digest
