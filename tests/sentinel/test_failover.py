"""Failovers of simulated groups."""

from engine.simulation.actions import Crash, Start
from tests.sentinel.group import Group

LEADING = [
    "+sdown",
    "+odown",
    "+new-epoch",
    "+try-failover",
    "+vote-for-leader",
    "+elected-leader",
    "+failover-state-select-slave",
    "+selected-slave",
    "+failover-state-send-slaveof-noone",
    "+failover-state-wait-promotion",
    "+promoted-slave",
    "+failover-state-reconf-slaves",
    "+slave-reconf-sent",
    "+slave-reconf-inprog",
    "+slave-reconf-done",
    "-odown",  # the others have heard of the new master, and are not asked about it
    "+failover-end",
    "+switch-master",
    "+slave",
    "+slave",
    "+sdown",
]


def test_a_group_is_found() -> None:
    group = Group()
    group.run(15)
    for name in group.sentinels:
        master = group.master(name)
        assert sorted(master.replicas) == ["172.16.6.11:6379", "172.16.6.12:6379"]
        assert len(master.sentinels) == 2
        assert not master.flags
        assert not any(each.link.disconnected for each in group.monitor(name).watched.instances())


def test_a_replica_takes_the_place_of_a_master_that_is_down() -> None:
    group = Group()
    group.run(15)
    group.world.do(Crash("a"))
    group.run(20)
    assert group.masters()[0] in ("11", "12")
    leaders = [line.split()[0] for line in group.log() if " +elected-leader " in line]
    assert len(leaders) == 1
    events = group.events(leaders[0])
    assert events[events.index("+sdown") :] == LEADING
    group.world.do(Start("a"))
    group.run(30)
    group.check_settled()
