"""What a network and machines can do: no power, no bytes; a reset connection takes no bandwidth from others."""

import pytest

from engine.simulation.actions import (
    ActionError,
    AddHost,
    AddSentinel,
    Crash,
    Cut,
    Heal,
    OpenClient,
    PullPlug,
    SendCommand,
    SetLink,
    Start,
)
from engine.simulation.connection import RUNNING
from engine.simulation.trace import Delivered, Hungup, Sent
from engine.simulation.world import NEVER_US, World

SECOND = 1_000_000
A, B = "172.16.6.18", "172.16.6.57"


def pair() -> World:
    """Return a master and its replica, in step."""
    world = World(1)
    world.do(AddHost("A", f"{A}:6379", ("repl-diskless-sync-delay 0", "enable-debug-command yes")))
    world.do(AddHost("B", f"{B}:6379", (f"replicaof {A} 6379",)))
    world.do(Start("A"))
    world.do(Start("B"))
    world.run(world.now_us + 2 * SECOND)
    world.do(OpenClient("app", "A"))
    world.run(world.now_us + SECOND)
    return world


def say(world: World, *argv: str) -> None:
    world.do(SendCommand("app", tuple(word.encode() for word in argv)))


def events(world: World, since: int, kind: type, source: str) -> list:
    return [event for event in world.trace[since:] if isinstance(event, kind) and event.source == source]


# --- bandwidth ------------------------------------------------------------------------------------------------------


def test_bytes_of_a_reset_connection_do_not_occupy_the_lane() -> None:
    world = pair()
    world.do(SetLink("A", "B", 1000, 1000))
    for number in range(20):
        say(world, "SET", f"k{number}", "x" * 1000)
    world.run(world.now_us + SECOND)
    assert world.network.path("A", "B").free_at_us > world.now_us + 15 * SECOND
    since = len(world.trace)
    world.do(Cut("A", "B", "reset"))
    assert world.network.path("A", "B").free_at_us <= world.now_us
    world.run(world.now_us + 3 * SECOND)
    answers = [event.data for event in events(world, since, Delivered, "A") if event.target == "B"]
    assert any(b"+PONG" in data for data in answers)  # not after the 20 s that the lost bytes would have taken
    world.run(world.now_us + 60 * SECOND)
    assert len(world.hosts["B"].node.space.databases[0]) == 20


class Peer:
    """A machine without a process, which records what arrives."""

    def __init__(self, world: World, name: str, ip: str) -> None:
        self.world, self.name, self.ip, self.port = world, name, ip, 7000
        self.powered, self.state, self.awaits = True, RUNNING, []
        self.listening, self.due_us = {7000: None}, NEVER_US
        self.links = 0
        self.got: list[tuple[int, int, bytes]] = []  # connection, time, bytes
        world.hosts[name] = world.machines[name] = self

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    def reads(self, connection) -> bool:
        return True

    def accepts(self, port: int, source: str) -> bool:
        return True

    def accept(self, connection) -> int:
        self.links += 1
        return self.links

    def accepted(self, connection) -> None: ...
    def sent(self, connection) -> None: ...
    def opened(self, connection) -> None: ...
    def refused(self, link: int, reason: str) -> None: ...
    def closed(self, connection, link: int) -> None: ...
    def unsent(self, connection, size_bytes: int) -> None: ...

    def read(self, connection, data: bytes) -> None:
        self.got.append((connection.number, self.world.now_us, data))


def test_what_another_connection_sends_is_earlier_by_what_was_reset() -> None:
    world = World(1)
    one, other = Peer(world, "x", "172.16.6.1"), Peer(world, "y", "172.16.6.2")
    network = world.network
    first, second = (network.connect("x", link, other.ip, 7000) for link in (1, 2))
    world.run(world.now_us + SECOND)
    world.do(SetLink("x", "y", 10, 1000))
    began = world.now_us
    for connection in (first, second, first, second):
        network.send(connection, "x", bytes(1000))
    network.send(second, "x", b"last" * 250)
    world.run(began + SECOND // 2)  # the first thousand bytes are on their way out
    network.reset(first, "x")
    world.run(began + 20 * SECOND)
    arrived = [(at_us - began, len(data)) for number, at_us, data in other.got if number == second.number]
    assert [size for _, size in arrived] == [1000, 1000, 1000]
    assert [at_us for at_us, _ in arrived] == [SECOND // 2 + each * SECOND + 10 for each in (1, 2, 3)]
    assert other.got[-1][2] == b"last" * 250
    assert not one.got and not second.forward.stale and not second.forward.flying
    network.send(second, "x", bytes(1000))  # the lane is free
    sent = world.now_us
    world.run(sent + 5 * SECOND)
    assert other.got[-1][1] == sent + SECOND + 10


# --- power ----------------------------------------------------------------------------------------------------------


def test_a_machine_without_power_sends_nothing_more() -> None:
    world = pair()
    say(world, "SET", "big", "x" * 3_000_000)
    world.run(world.now_us + SECOND)
    world.do(SetLink("A", "app", 1000, 1_000_000))
    say(world, "GET", "big")
    say(world, "QUIT")  # the process closes the connection; the machine still has two megabytes to send
    world.run(world.now_us + SECOND // 2)
    since = len(world.trace)
    world.do(PullPlug("A"))
    cut_us = world.now_us
    world.run(world.now_us + 20 * SECOND)
    assert not events(world, since, Sent, "A")
    assert not any(isinstance(event, Hungup) and event.target == "app" for event in world.trace[since:])
    assert all(event.at_us <= cut_us + 1000 for event in events(world, since, Delivered, "A"))


def test_what_a_cut_holds_is_not_sent_again_without_power() -> None:
    world = pair()
    world.do(Cut("A", "B", "silent"))
    say(world, "SET", "k", "v")
    world.run(world.now_us + SECOND)
    world.do(PullPlug("A"))
    since = len(world.trace)
    world.do(Heal("A", "B"))
    world.run(world.now_us + 2 * SECOND)
    assert not events(world, since, Delivered, "A")
    assert b"k" not in dict(world.hosts["B"].node.space.databases[0].items())


def test_what_a_killed_process_has_sent_still_arrives() -> None:
    world = pair()
    world.do(Cut("A", "B", "silent"))
    say(world, "SET", "k", "v")
    world.run(world.now_us + SECOND)
    world.do(Crash("A"))
    world.do(Heal("A", "B"))
    world.run(world.now_us + SECOND)
    assert b"k" in dict(world.hosts["B"].node.space.databases[0].items())  # its machine sends it again


def test_a_machine_does_not_switch_itself_on() -> None:
    world = pair()
    say(world, "DEBUG", "RESTART", "3000")
    world.run(world.now_us + SECOND)
    world.do(PullPlug("A"))
    world.run(world.now_us + 10 * SECOND)
    assert not world.hosts["A"].powered and world.hosts["A"].node is None


# --- impossible actions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Cut("A", "A"), Cut("A", "A", "reset"), Heal("A", "A")])
def test_a_machine_has_no_link_to_itself(action: Cut | Heal) -> None:
    with pytest.raises(ActionError, match="A has no link to itself"):
        pair().do(action)


@pytest.mark.parametrize(
    "address",
    [
        "999.1.1.1:6379", "172.16.6:6379", "172.16.6.18.1:6379", "0.0.0.0:6379", "224.0.0.1:6379",
        "255.255.255.255:6379", "172.16.6.-1:6379", "here:6379", "172.16.6.60", "172.16.6.60:0", "172.16.6.60:65536",
        "172.16.6.60:x", ":6379", "172.16.6.٣:6379", "172.16.6.60:٣",
    ],
)  # fmt: skip
def test_impossible_addresses_are_refused(address: str) -> None:
    world = World(1)
    for action in (AddHost("A", address), AddSentinel("S", address)):
        with pytest.raises(ActionError, match="is not an address like"):
            world.do(action)
    assert not world.hosts and not world.trace
