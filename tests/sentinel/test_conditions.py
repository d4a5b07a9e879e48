"""What goes wrong around a Sentinel: clocks that jump, processes that stop, split groups, masters that lie."""

from typing import Any

import pytest

from engine.simulation.actions import (
    AddHost,
    AddSentinel,
    Continue,
    Crash,
    Cut,
    Heal,
    Pause,
    PullPlug,
    SetClock,
    Start,
    WriteFile,
)
from engine.simulation.state import belief_views, node_views
from engine.simulation.trace import ProgramRun
from tests.sentinel.group import DIRECTIVES, NAME, SECOND, Group

pytestmark = pytest.mark.long


def grown(**options: Any) -> Group:
    """Return a group whose members have found each other."""
    group = Group(**options)
    group.run(13)
    return group


def cut_off(group: Group, ones: list[str]) -> None:
    for a in ones:
        for b in (*group.servers, *group.sentinels):
            if b not in ones:
                group.world.do(Cut(a, b, "silent"))


def heal(group: Group) -> None:
    everybody = [*group.servers, *group.sentinels]
    for i, a in enumerate(everybody):
        for b in everybody[i + 1 :]:
            group.world.do(Heal(a, b))


@pytest.mark.parametrize("jump_s", [-1000, 1000, 3])
def test_a_clock_that_jumps_means_tilt_for_half_a_minute(jump_s: int) -> None:
    group = grown()
    group.world.do(SetClock("s1", jump_s * SECOND))
    group.run(1)
    assert group.events("s1")[-1] == "+tilt"
    assert group.ask("s1", "INFO", "sentinel").count(b"sentinel_tilt:1\r\n") == 1
    group.world.do(Crash("a"))
    group.run(3)
    # It looks, but does nothing, and says to others that it knows of no master that is down.
    assert "+sdown" not in group.events("s1")
    address = ("172.16.6.10", "6379", "0", "*")
    assert group.ask("s1", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", *address) == [0, b"*", 0]
    group.run(40)
    assert group.events("s1").count("-tilt") == 1
    group.check_settled()


def test_the_others_fail_over_without_one_in_tilt() -> None:
    group = grown()
    group.world.do(SetClock("s1", 1000 * SECOND))
    group.world.do(Crash("a"))
    assert group.run_until(lambda: group.masters()[1] in ("11", "12"), 20)


def test_a_process_that_was_stopped_is_in_tilt_as_well() -> None:
    group = grown()
    group.world.do(Pause("s1"))
    group.run(10)
    group.world.do(Continue("s1"))
    group.run(0.5)
    assert "+tilt" in group.events("s1")
    assert "+sdown" not in group.events("s1")


def test_a_minority_fails_nothing_over() -> None:
    group = grown()
    cut_off(group, ["a", "s1"])
    group.run(20)
    assert group.masters()[0] == "10"
    assert group.masters()[1] == group.masters()[2] != "10"
    assert group.role("a") == "master"  # two masters: this one writes what will be lost
    heal(group)
    group.run(30)
    group.check_settled()
    assert "+config-update-from" in group.events("s1")


def test_two_sentinels_fail_nothing_over_when_one_is_down() -> None:
    group = grown(sentinels=2, quorum=1)
    group.world.do(Crash("a"))
    group.world.do(Crash("s2"))
    group.run(20)
    assert "+odown" in group.events("s1")  # the quorum is there, the majority is not
    assert group.events("s1").count("-failover-abort-not-elected") == 1
    assert group.masters() == ["10"]
    # The next attempt comes after twice the failover-timeout.
    assert any(" Next failover delay: I will not start a failover before " in line for line in group.log("s1"))
    group.run(12)
    assert group.events("s1").count("+try-failover") == 2


def test_a_quorum_is_no_majority() -> None:
    group = grown(sentinels=4, quorum=2)
    cut_off(group, ["s1", "s2", "b"])
    group.world.do(Crash("a"))
    group.run(25)
    assert "+odown" in group.events("s1") and "+odown" in group.events("s3")
    assert "+elected-leader" not in group.events()
    heal(group)
    assert group.run_until(lambda: set(group.masters()) in ({"11"}, {"12"}), 60)


def test_without_enough_that_agree_nobody_begins() -> None:
    group = grown(quorum=3)
    group.world.do(Crash("s3"))
    group.world.do(Crash("a"))
    group.run(20)
    assert "+sdown" in group.events("s1")
    assert "+odown" not in group.events("s1")
    assert group.ask("s1", "SENTINEL", "CKQUORUM", NAME).text == (
        b"NOQUORUM 2 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master"
    )


def test_a_vote_is_on_disk_before_it_is_told() -> None:
    group = grown()
    address = ("172.16.6.10", "6379", "7", "f" * 40)
    assert group.ask("s1", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", *address) == [0, b"f" * 40, 7]
    group.world.do(PullPlug("s1", torn=True))
    group.world.do(Start("s1"))
    group.run(1)
    # It does not know any more for whom it voted, but that it did.
    other = ("172.16.6.10", "6379", "7", "e" * 40)
    assert group.ask("s1", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", *other, client="again") == [0, b"*", 7]
    later = ("172.16.6.10", "6379", "8", "e" * 40)
    assert group.ask("s1", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", *later, client="again") == [0, b"e" * 40, 8]


def test_a_vote_that_cannot_be_written_is_told_all_the_same() -> None:
    """As Redis does: a full disk must not be the end of all failovers; the log says what is wrong."""
    group = grown()
    group.world.hosts["s1"].disk.limit_bytes = 1
    address = ("172.16.6.10", "6379", "7", "f" * 40)
    assert group.ask("s1", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", *address) == [0, b"f" * 40, 7]
    assert any("Sentinel was not able to save the new configuration on disk!!!" in line for line in group.log("s1"))
    assert group.ask("s1", "SENTINEL", "FLUSHCONFIG").text == (b"ERR Failed to save config file. Check server logs.")


def test_a_failover_that_one_asks_for() -> None:
    group = grown()
    assert group.ask("s2", "SENTINEL", "FAILOVER", NAME, seconds=0.01) == b"OK"
    assert group.ask("s2", "SENTINEL", "FAILOVER", NAME, seconds=0.01).text.startswith(b"INPROG ")
    assert group.run_until(lambda: set(group.masters()) in ({"11"}, {"12"}), 20)
    group.run(30)
    group.check_settled()
    assert "+odown" not in group.events()


@pytest.mark.parametrize(
    ("when", "event"), [("crash-after-election", "+elected-leader"), ("crash-after-promotion", "+promoted-slave")]
)
def test_a_crash_that_one_asks_for(when: str, event: str) -> None:
    group = grown()
    assert group.ask("s1", "SENTINEL", "SIMULATE-FAILURE", when) == b"OK"
    assert group.ask("s1", "SENTINEL", "FAILOVER", NAME, seconds=0.01) == b"OK"
    assert group.run_until(lambda: group.world.hosts["s1"].node is None, 20)
    assert group.events("s1")[-1] == event
    assert group.log("s1")[-1] == "s1 Sentinel CRASH because of SENTINEL simulate-failure"
    group.world.do(Start("s1"))
    group.run(90)
    group.check_settled()


def test_the_replica_with_the_least_priority_is_chosen_and_one_with_none_never() -> None:
    group = Group(servers=4)
    for name, priority in (("b", "50"), ("c", "10"), ("d", "0")):
        group.ask(name, "CONFIG", "SET", "replica-priority", priority)
    group.run(25)
    group.world.do(Crash("a"))
    assert group.run_until(lambda: set(group.masters()) == {"12"}, 20)


def test_of_equal_priority_the_one_with_more_of_the_stream_is_chosen() -> None:
    group = grown(server_directives=("repl-ping-replica-period 1",))
    group.world.do(Cut("a", "b", "silent"))
    group.run(3)
    for number in range(50):
        group.ask("a", "SET", f"key{number}", "x" * 100, seconds=0.01)
    group.run(1)
    group.world.do(Crash("a"))
    assert group.run_until(lambda: set(group.masters()) == {"12"}, 30)


def test_a_master_that_says_that_it_is_a_replica_is_down() -> None:
    group = grown()
    group.ask("a", "REPLICAOF", "172.16.6.200", "6379")
    group.ask("s1", "SENTINEL", "DEBUG", "info-period", "1000")
    assert group.run_until(lambda: "+sdown" in group.events("s1"), 30)
    assert "-role-change" not in group.events("s1")  # that is a verbose event


def test_a_replica_that_says_that_it_is_a_master_is_put_right() -> None:
    group = grown()
    group.ask("b", "REPLICAOF", "NO", "ONE")
    group.run(30)
    assert "+convert-to-slave" in group.events()
    group.check_settled()


def test_a_replica_of_somebody_else_is_put_right() -> None:
    group = grown()
    group.ask("b", "REPLICAOF", "172.16.6.12", "6379")
    group.run(40)
    assert "+fix-slave-config" in group.events()
    group.check_settled()


def test_replicas_are_reconfigured_so_many_at_a_time() -> None:
    group = grown(servers=5, directives=(*DIRECTIVES, f"parallel-syncs {NAME} 1"))
    group.world.do(Crash("a"))
    assert group.run_until(lambda: "+failover-end" in group.events(), 40)
    (leader,) = {line.split()[0] for line in group.log() if " +elected-leader " in line}
    steps = [event for event in group.events(leader) if event.startswith("+slave-reconf")]
    assert steps == ["+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done"] * 3


def test_a_failover_without_a_good_replica_is_given_up() -> None:
    group = grown(servers=2)
    group.world.do(Crash("b"))
    group.run(5)
    group.world.do(Crash("a"))
    group.run(8)
    assert "-failover-abort-no-good-slave" in group.events()
    assert set(group.masters()) == {"10"}


def test_a_master_that_starts_anew_is_down_after_a_time_of_its_own() -> None:
    group = Group(
        directives=(
            f"down-after-milliseconds {NAME} 60000",
            f"failover-timeout {NAME} 10000",
            f"master-reboot-down-after-period {NAME} 3000",
        )
    )
    group.run(13)
    group.world.do(Crash("a"))
    group.world.do(Start("a"))
    group.run(12)
    assert "+reboot" in group.events()


def test_scripts_tell_of_events_and_of_a_new_master() -> None:
    group = Group(
        sentinels=1,
        quorum=1,
        directives=DIRECTIVES,
    )
    host = group.world.hosts["s1"]
    group.run(2)
    group.world.do(Crash("s1"))
    group.world.do(WriteFile("s1", "/scripts/notify", b"exit 0"))
    group.world.do(WriteFile("s1", "/scripts/reconfigure", b"exit 0"))
    text = host.disk.read(host.config_path).decode()
    more = (
        f"sentinel notification-script {NAME} /scripts/notify",
        f"sentinel client-reconfig-script {NAME} /scripts/reconfigure",
    )
    group.world.do(WriteFile("s1", host.config_path, (text + "\n".join(more) + "\n").encode()))
    group.world.do(Start("s1"))
    group.run(13)
    group.world.do(Crash("a"))
    group.run(15)
    runs = [event.argv for event in group.world.trace if isinstance(event, ProgramRun)]
    new = group.masters()[0]
    assert ("/scripts/notify", "+sdown", f"master {NAME} 172.16.6.10 6379") in runs
    assert (
        "/scripts/reconfigure", NAME, "leader", "start", "172.16.6.10", "6379", f"172.16.6.{new}", "6379",
    ) in runs  # fmt: skip
    assert group.ask("s1", "SENTINEL", "PENDING-SCRIPTS") == []


def test_names_stand_for_addresses() -> None:
    group = Group(servers=2, sentinels=0)
    group.sentinels = ["s1"]
    lines = (
        f"sentinel monitor {NAME} a 6379 1",
        *(f"sentinel {line}" for line in DIRECTIVES),
        "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes",
    )
    group.world.do(AddSentinel("s1", "172.16.6.100:26379", lines))
    group.world.do(Start("s1"))
    group.run(13)
    assert group.master("s1").address == ("a", "172.16.6.10", 6379)
    assert group.ask("s1", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME) == [b"a", b"6379"]
    assert any(f"+monitor master {NAME} a 6379 quorum 1" in line for line in group.log())
    assert not group.master("s1").flags


def test_sentinels_that_moved_are_found_again() -> None:
    group = grown()
    host = group.world.hosts["s3"]
    group.world.do(Crash("s3"))
    text = host.disk.read(host.config_path).decode()
    group.world.do(WriteFile("s3", host.config_path, text.replace("port 26379", "port 26380").encode()))
    group.world.do(Start("s3"))
    group.run(10)
    assert "+sentinel-address-switch" in group.events("s1")
    assert [each.address.port for each in group.master("s1").sentinels.values()] == [26379, 26380]


def test_one_that_lost_its_id_takes_the_place_of_the_old_one() -> None:
    group = grown()
    host = group.world.hosts["s3"]
    group.world.do(Crash("s3"))
    lines = host.disk.read(host.config_path).decode().splitlines()
    kept = "\n".join(line for line in lines if not line.startswith("sentinel myid"))
    group.world.do(WriteFile("s3", host.config_path, kept.encode()))
    group.world.do(Start("s3"))
    group.run(10)
    assert "+sentinel-invalid-addr" in group.events("s1")
    assert len(group.master("s1").sentinels) == 2


def test_sentinels_of_several_masters_share_their_links() -> None:
    group = Group(directives=(*DIRECTIVES, "monitor other 172.16.6.200 6379 2"))
    group.world.do(AddHost("other", "172.16.6.200:6379"))
    group.world.do(Start("other"))
    group.run(13)
    watched = group.monitor("s1").watched
    first, second = watched.masters[NAME].sentinels, watched.masters["other"].sentinels
    assert list(first) == list(second) and len(first) == 2
    for name in first:
        assert first[name].link is second[name].link
        assert first[name].link.users == 2
    group.ask("s1", "SENTINEL", "REMOVE", "other")
    assert {each.link.users for each in first.values()} == {1}
    assert not any(each.link.disconnected for each in first.values())


def test_a_history_of_sentinels_is_the_same_every_time() -> None:
    digests = set()
    for _ in range(2):
        group = Group(seed=9)
        group.run(14)
        group.world.do(Crash("a"))
        group.run(15)
        digests.add(group.world.digest)
    assert len(digests) == 1


def test_what_sentinels_believe_can_be_looked_at() -> None:
    group = grown()
    assert [view.role for view in node_views(group.world).values()] == [
        "master",
        "replica",
        "replica",
        *["sentinel"] * 3,
    ]
    cut_off(group, ["a", "s1"])
    group.run(4)
    beliefs = {belief.sentinel: belief for belief in belief_views(group.world)}
    assert list(beliefs) == group.sentinels
    assert (beliefs["s1"].flags, beliefs["s1"].agree, beliefs["s1"].address) == ("master", 0, "172.16.6.10:6379")
    leader = next(belief for belief in beliefs.values() if belief.vote == belief.run_id)
    assert (leader.voters, leader.quorum, leader.vote_epoch, leader.failover_epoch) == (3, 2, 1, 1)
    (other,) = [belief for belief in beliefs.values() if belief.sentinel not in ("s1", leader.sentinel)]
    assert other.vote_epoch == 1
    assert {member.kind for member in leader.members} == {"slave", "sentinel"}
