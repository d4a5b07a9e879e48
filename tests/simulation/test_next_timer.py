"""The world remembers which host's timer is due next: that must always be true."""

from engine.simulation.actions import Action, Continue, Crash, Pause, PullPlug, SendCommand, SetClock, Start
from engine.simulation.connection import RUNNING
from engine.simulation.world import World
from engine.timers import NEVER_US
from tests.sentinel.group import SECOND, Group

TROUBLE: tuple[Action, ...] = (
    Pause("b"),
    Crash("a"),
    SendCommand("b-client", (b"DEBUG", b"SLEEP", b"0.3")),
    Continue("b"),
    Start("a"),
    SetClock("s1", 90 * SECOND),
    PullPlug("c", torn=True),
    Pause("s2"),
    Start("c"),
    Continue("s2"),
)


def check(world: World) -> None:
    """Assert that what the world and its hosts remember is what they would find."""
    due = {
        name: max(host.deadline_us, host.busy_until_us) if host.state == RUNNING else NEVER_US
        for name, host in world.hosts.items()
    }
    assert {name: host.due_us for name, host in world.hosts.items()} == due
    if world.first_timer is not None:
        due_us, host = world.first_timer
        assert due_us == min(due.values())
        assert host is not None and host.name == min(due, key=lambda name: due[name])


def test_the_next_timer_is_known_through_all_trouble() -> None:
    group = Group(server_directives=("enable-debug-command yes",))
    world = group.world
    group.ask("b", "PING")
    for action in TROUBLE:
        world.do(action)
        check(world)
        end_us = world.now_us + SECOND
        while world.deadline() <= end_us:
            world.step()
            check(world)
