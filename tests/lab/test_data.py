"""The rows of the Data pane: values side by side, sentences about losses, and who has which write."""

import pytest

from engine.simulation.state import value_views
from tutor.lab import data
from tutor.lab.building import build, wanted_of
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner
from tutor.lab.session import LabSession


def played(name: str, steps: int = 99) -> LabSession:
    session = LabSession(read_scenario(find(name)))
    for _ in range(min(steps, len(session.spec.steps))):
        assert session.next_step() == []
    return session


def rows(session: LabSession, width: int = 90) -> list[str]:
    def nodes():
        return {name: value_views(session.world, name) for name, host in session.world.hosts.items() if host.node}

    pane = data.pane(session.ledger, session.history, nodes, width)
    return ["".join(text for text, _ in row.text).rstrip() for row in pane]


def test_values_are_side_by_side_and_differences_marked() -> None:
    shown = rows(played("wait"))
    assert any(row.split() == ["≠", "k", "2", "1"] for row in shown)
    head = next(row for row in shown if row.startswith("  key"))
    assert head.split() == ["key", "B", "C"]


def test_the_failover_and_its_loss() -> None:
    session = played("failover-replica", 5)
    assert data.lines(session.ledger, session.history)
    (loss,) = session.losses
    assert loss.sentence == "The failover to B lost 1 of 2 acknowledged writes."
    assert [write.argv for write in loss.writes] == [[b"SET", b"lost", b"1"]]
    shown = rows(session)
    at = session.history.trace[loss.change.number].at_us
    assert f" ✗ {loss.sentence}  event {loss.change.number}, {(at - 1_700_000_000_000_000) / 1e6:.3f} s" in shown
    row = next(row for row in shown if "app> SET lost 1" in row)
    assert row.split()[4:] == ["1", "○", "disk", "·", "·", "lost", "by", "event", str(loss.change.number)]
    row = next(row for row in shown if "app> SET k1 one" in row)
    assert row.split()[5:] == ["○", "disk", "●", "mem", "●", "mem"]


def test_the_jump_goes_to_the_moment_of_the_loss_and_no_future_is_told() -> None:
    session = played("failover-replica", 5)
    number = session.last_loss()
    assert number is not None
    session.goto_event(number)
    assert session.history.place > number
    assert session.losses and session.last_loss() == number
    session.history.goto(session.history.branch_now.counts[session.history.at - 1])
    assert not session.losses
    assert any("and none is lost" in row for row in rows(session))


def test_an_overwritten_write_is_not_lost() -> None:
    session = played("wait")
    (loss,) = session.losses
    assert [write.argv for write in loss.writes] == [[b"SET", b"k", b"2"]]  # not k = 1, which C has


def test_two_masters_and_what_each_lacks() -> None:
    session = played("failover-split-brain", 3)
    assert not session.losses
    assert " A and B are masters: A lacks 2, B lacks 1" in rows(session)
    session.next_step()
    assert [loss.sentence for loss in session.losses] == ["Making A a replica of B lost 1 of 3 acknowledged writes."]


def own(*lines: str, file: str = "") -> LabSession:
    session = LabSession(*build(wanted_of([file or "3"])))
    for line in lines:
        session.execute(line)
    session.history.run(session.world.now_us + 1_000_000)
    return session


def sentences(session: LabSession) -> list[str]:
    return [loss.sentence for loss in session.losses]


def test_the_shutdown_of_a_master_that_saves_loses_nothing() -> None:
    session = own("A> SET find:1 1", "wait 1", "B> REPLICAOF NO ONE", "A> SET find:2 2", "wait 1", "stop A")
    assert sentences(session) == []
    assert any("and none is lost" in row for row in rows(session))
    session.execute("start A")
    session.history.run(session.world.now_us + 3_000_000)
    assert sentences(session) == []
    session.execute("crash A")
    assert sentences(session) == []  # it would start with its file again
    session.execute("wipe A")
    assert sentences(session) == []  # C has it, and follows A
    session.execute("crash C")
    assert sentences(session) == ["The crash of C lost 1 of 2 acknowledged writes."]  # B has the first one


def test_a_disk_that_is_wiped_loses_what_only_its_file_had() -> None:
    session = own("B> REPLICAOF NO ONE", "C> REPLICAOF NO ONE", "wait 1", "A> SET k v", "wait 1", "stop A")
    assert sentences(session) == []
    session.execute("wipe A")
    assert sentences(session) == ["Wiping the disk of A lost 1 of 1 acknowledged write."]


def test_a_crash_without_a_file_loses_what_only_replicas_have_when_it_restarts() -> None:
    session = own("write A 43", "wait 1", "crash A")
    assert sentences(session) == []
    session.execute("start A")
    session.history.run(session.world.now_us + 1_000_000)
    assert sentences(session) == ["The restart of A lost 43 of 43 acknowledged writes."]


def test_a_promotion_after_the_end_of_the_master_loses_what_is_only_in_its_file() -> None:
    session = own("cut A B silent", "cut A C silent", "A> SET k v", "wait 1", "A> SAVE", "stop A", "wait 12")
    assert session.ledger.masters(session.history.place) == [] and sentences(session) == []
    session.execute("B> REPLICAOF NO ONE")
    session.history.run(session.world.now_us + 1_000_000)
    assert sentences(session) == ["The failover to B lost 1 of 1 acknowledged write."]


def test_a_replica_that_turns_away_from_a_lost_master_loses_what_only_it_has() -> None:
    session = own("B> REPLICAOF NO ONE", "wait 1", "A> SET k v", "wait 1", "crash A")
    assert sentences(session) == []
    session.execute("C> REPLICAOF 172.16.6.57 6379")
    assert sentences(session) == ["Making C a replica of B lost 1 of 1 acknowledged write."]


def test_what_a_promotion_would_lose() -> None:
    session = played("failover-replica", 3)
    assert " A promotion now would lose  B: 1  C: 1" in rows(session)


def test_values_of_every_type_and_many_keys() -> None:
    session = played("full-resync")
    for line in ("RPUSH l 1 2 3 4 5", "SADD s 1 2", "HSET h f v", "ZADD z 1 a", "XADD x 1-1 f v", "SET n 17"):
        session.execute(f"app> {line}")
    session.execute("cut A B silent")
    session.execute("app> RPUSH l 6")
    session.execute("write app 60 10")
    session.history.run(session.world.now_us + 100_000)
    shown = rows(session)
    assert next(row for row in shown if row.startswith("≠ l ")).split() == [
        "≠",
        "l",
        "…",
        "4",
        "5",
        "6",
        "…",
        "3",
        "4",
        "5",
    ]
    held = value_views(session.world, "A")
    assert [held[(0, key)].text for key in (b"s", b"h", b"z", b"x", b"n")] == [
        "set of 2", "hash of 1", "zset of 1", "stream of 1", "17",
    ]  # fmt: skip
    assert any("more keys, " in row for row in shown)


def test_another_branch_has_a_ledger_of_its_own() -> None:
    session = played("failover-replica", 5)
    session.history.goto(session.runner.spans[2].began)
    session.execute("crash A")
    session.execute("B> REPLICAOF NO ONE")
    assert session.history.branch_name != "main"
    assert session.losses == []
    session.history.switch("main")
    assert len(session.losses) == 1


@pytest.mark.parametrize("width", [60, 76, 120])
def test_rows_fit(width: int) -> None:
    session = played("failover-replica")
    assert all(len(row) <= width for row in rows(session, width) if "in memory" not in row)


def test_a_transaction_and_a_script_are_one_write_each_and_a_refused_one_is_none() -> None:
    runner = ScenarioRunner(read_scenario(find("full-resync")))
    session = LabSession(runner.spec)
    for _ in range(2):
        session.next_step()
    before = session.ledger.acknowledged(session.history.place)
    for line in (
        "MULTI",
        "SET a 1",
        "SET b 2",
        "EXEC",
        "EVAL \"return redis.call('SET',KEYS[1],1)\" 1 c",
        "GET a",
        "LPUSH a x",
    ):
        session.execute(f"app> {line}")
    assert session.ledger.acknowledged(session.history.place) == before + 2
