"""Client programs, machines that come and go, and directives that change: all of it actions, told and taken back."""

import pytest

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from engine.simulation.pending import pending_events
from engine.simulation.program_state import program_views
from engine.simulation.state import application_views, data_of, node_views
from engine.simulation.trace import Noticed
from tutor.lab.building import build, wanted_of
from tutor.lab.loader import parse_scenario
from tutor.lab.play import retold
from tutor.lab.recipe import read_recipe
from tutor.lab.session import LabSession
from tutor.lesson.model import Problem


def built(*words, **options):
    return LabSession(*build(wanted_of([str(word) for word in words], **options)))


def do(session, *lines):
    for line in lines:
        session.execute(line)


def counts(session, name):
    view = next(view for view in program_views(session.world) if view.name == name)
    return {count.name: count.number for count in view.counts}


def noticed(session, *kinds):
    return [event.text for event in session.history.trace if isinstance(event, Noticed) and event.kind in kinds]


# -- readers


def test_a_reader_of_the_master_reads_what_was_acknowledged():
    session = built(2)
    do(session, "run writer W A 10", "run reader R A 10", "wait 5")
    assert counts(session, "R")["reads"] > 40
    assert counts(session, "R")["stale"] == 0
    assert noticed(session, "stale") == []


def test_stale_reads_are_told_and_found():
    session = built(2)
    do(
        session,
        "run writer W A 10",
        "run reader R B 10 of=W",
        "wait 1",
        "cut A B silent",
        "wait 2",
        "heal A B",
        "wait 1",
    )
    (told,) = noticed(session, "stale")
    assert told.startswith("reads 9 of W, a stale read: 1")
    assert counts(session, "R")["stale"] > 15
    before = session.history.place
    session.first()
    session.execute("goto 1.05")
    session.target = session.target._replace(kind="failure")
    found = session.seek()
    assert session.history.trace[found].text == told
    session.last()
    assert session.history.place == before
    assert any("R reader of W: " in line and " stale" in line for line in retold(session))


def test_a_failover_lets_time_go_back():
    session = built(3, sentinels=3)
    do(
        session,
        "cut A B silent",
        "cut A C silent",
        "run writer W sentinels 20",
        "run reader R sentinels 10",
        "wait 12",
    )
    do(session, "crash A", "wait 15")
    assert any(view.missing.get("B") or view.missing.get("C") for view in application_views(session.world))
    assert "time goes back for it" in "\n".join(noticed(session, "back"))
    assert counts(session, "R")["stale"]


# -- queues


def test_every_job_is_done_once():
    session = built(2)
    do(session, "run producer P A 8", "run consumer C1 A 10", "run consumer C2 A 10", "wait 6")
    jobs = counts(session, "P")["jobs queued"]
    done = counts(session, "C1")["jobs done"] + counts(session, "C2")["jobs done"]
    assert jobs > 40
    assert jobs - done <= 4
    assert counts(session, "P")["lost"] == 0
    assert noticed(session, "twice") == []


def test_a_consumer_that_is_killed_after_its_work_does_it_again():
    session = built(1)
    do(session, "run producer P A 2", "run consumer C A 2", "wait 3")
    while True:
        session.history.step()
        session.history.step()
        event = session.history.trace[-1]
        if getattr(event, "data", b"").startswith(b"*4\r\n$4\r\nLREM") and type(event).__name__ == "Sent":
            break
    do(session, "cut C A half-open", "crash C", "heal C A", "start C", "wait 2")
    assert counts(session, "C")["again"] == 1
    assert "again, which itself had done" in noticed(session, "twice")[0]


def test_what_a_removed_consumer_did_stays_done():
    session = built(1)
    do(session, "run producer P A 5 jobs", "run consumer Q A 5 jobs", "wait 3", "remove Q", "wait 2")
    assert counts(session, "P")["jobs queued"] > 20
    assert counts(session, "P")["lost"] == 0
    do(session, "run consumer Q A 20 jobs", "run consumer R A 20 jobs", "wait 3")
    assert counts(session, "P")["lost"] == 0
    assert counts(session, "Q")["jobs done"] > 3
    assert noticed(session, "twice") == []


def test_a_job_that_a_removed_consumer_did_is_done_again():
    session = built(1)
    do(session, "run producer P A 5 jobs", "run consumer Q A 5 jobs", "wait 2")
    done = next(iter(session.world.applications["Q"].jobs)).decode()
    do(session, "remove Q", f"app> RPUSH jobs {done}", "run consumer R A 5 jobs", "wait 1")
    assert noticed(session, "twice") == [f"does {done} again, which Q had done"]


def test_a_program_of_the_same_name_goes_on_counting():
    session = built(1)
    do(session, "run writer W A 10", "run reader R A 10 of=W", "run producer P A 5", "wait 2")
    do(session, "remove W", "remove P", "wait 1", "run writer W A 10", "run producer P A 5")
    do(session, "run consumer C A 20", "wait 3")
    assert counts(session, "R")["reads"] > 40
    assert counts(session, "R")["stale"] == counts(session, "R")["back in time"] == 0
    assert noticed(session, "twice") == []
    numbers = [int(each) for each in data_of(session.world, "A")[b"W"]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_reader_remembers_a_removed_writer():
    session = built(2)
    do(session, "cut A B silent", "run writer W A 10", "run reader R B 10 of=W", "wait 1", "remove W", "wait 1")
    assert counts(session, "R")["stale"] > 10


def test_the_storage_remembers_the_token_of_a_removed_locker():
    session = built(2)
    do(session, "run locker L A 4 lock work=500", "wait 5", "remove L", "app> DEL lock:fence", "app> DEL lock")
    do(session, "run locker M A 4 lock work=500", "wait 1.5")
    assert noticed(session, "refused")


def test_a_failover_loses_jobs_and_repeats_others():
    session = built(2)
    do(session, "run producer P A 20", "run consumer C A 5", "wait 2", "cut A B silent", "wait 2", "plug A")
    do(session, "B> REPLICAOF NO ONE", "start A", "wait 1")
    assert counts(session, "P")["lost"] > 0  # A has come back without a file


def test_a_pending_turn_is_called_by_the_kind_of_its_program():
    session = built(1)
    do(session, "run writer W A 1", "run consumer C A 1", "run locker L A 1")
    told = {event.source: event.text for event in pending_events(session.world) if event.source in "WCL"}
    assert told == {
        "W": "the application's next write", "C": "the consumer's next turn", "L": "the locker's next turn",
    }  # fmt: skip


# -- locks


def test_one_owner_at_a_time():
    session = built(1)
    do(session, "run locker L1 A 4", "run locker L2 A 4", "wait 20")
    assert counts(session, "L1")["taken"] >= 5
    assert noticed(session, "owners", "refused", "unowned", "expired") == []


def test_a_paused_owner_is_refused_by_fencing():
    session = built(1)
    do(
        session,
        "run locker L1 A 4 lock work=2000",
        "run locker L2 A 4 lock work=2000",
        "wait 1",
        "pause L1",
        "wait 5",
    )
    assert noticed(session, "owners")[0] == "gets lock, although L1 believes to own it"
    do(session, "continue L1", "wait 2")
    assert "the storage refuses it" in noticed(session, "refused")[0]
    assert counts(session, "L1")["used unowned"] == 0


def test_without_fencing_it_uses_what_another_owns():
    session = built(1)
    words = "lock work=2000 unfenced"
    do(session, f"run locker L1 A 4 {words}", f"run locker L2 A 4 {words}", "wait 1", "pause L1", "wait 5")
    do(session, "continue L1", "wait 2")
    assert noticed(session, "unowned")[0] == "uses the storage of lock, which L2 owns now"
    assert noticed(session, "expired")[0] == "releases lock, which is not its own any more"


def test_a_failover_gives_a_lock_to_two():
    session = built(2)
    do(session, "cut A B silent", "run locker L1 A 4 lock ttl=60000 work=50000", "wait 2", "B> REPLICAOF NO ONE")
    do(session, "run locker L2 B 4 lock", "wait 2")
    assert noticed(session, "owners") == ["gets lock, although L1 believes to own it"]


# -- programs as machines


def test_programs_are_paused_killed_started_and_removed():
    session = built(1)
    do(session, "run writer W A 10", "wait 2")

    def written():
        return next(view.acknowledged for view in application_views(session.world))

    first = written()
    do(session, "pause W", "wait 2")
    assert written() == first
    do(session, "continue W", "wait 2")
    assert written() > first + 15
    do(session, "crash W", "wait 1")
    second = written()
    do(session, "wait 1")
    assert written() == second
    do(session, "start W", "wait 2")
    assert written() > second + 15
    do(session, "remove W", "wait 1")
    assert application_views(session.world) == []
    do(session, "run writer W A 10", "wait 1")
    assert 8 <= written() <= 10  # one program of the name acts, not two


def test_a_writer_of_a_cluster_follows_its_redirections():
    session = built(6, "--cluster")
    do(session, "run writer W B 20", "wait 3")
    assert session.world.applications["W"].refreshed
    assert len(session.world.applications["W"].acknowledged) > 40
    with pytest.raises(ActionError, match="a reader does not follow redirections, and A is in a cluster"):
        session.execute("run reader R A")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run", "the kinds are writer, reader, producer, consumer, locker"),
        ("run wirter W A", "wirter is not a kind of program: did you mean writer?"),
        ("run writer W", "run writer NAME NODE"),
        ("run writer W X", "there is no node X"),
        ("run writer A A", "there is a machine A already"),
        ("run writer app A", "there is a client app already"),
        ("run writer W A 0", "the rate is above 0"),
        ("run writer W A 1000", "the rate is above 0, and up to 100 times a second"),
        ("run writer W A 5 key", "key is too much"),
        ("run writer W! A", "a name is letters and digits"),
        ("run reader R A", "there is no writer to check"),
        ("run writer W sentinels", "there is no Sentinel that watches a master"),
        ("run locker L A lock ttl=0", "ttl is in milliseconds"),
        ("run locker L A lock tll=5", "a locker has no tll"),
        ("remove X", "there is no node X"),
        ("crash W", "there is no node W"),
        ("configure A maxmemry 1mb", "there is no directive maxmemry: did you mean maxmemory?"),
        ("configure A maxmemory", "configure NODE DIRECTIVE VALUE"),
        ("configure X maxmemory 1", "there is no node X"),
    ],
)
def test_what_cannot_be(line, told):
    session = built(1)
    before = session.history.digest()
    with pytest.raises(ActionError) as raised:
        session.execute(line)
    assert told in str(raised.value)
    assert session.history.digest() == before


# -- nodes that come and go


def test_a_node_is_added_and_another_removed_while_time_runs():
    session = built(3)
    do(session, "app> SET k v", "add D 172.16.6.80:6379 'replicaof 172.16.6.18 6379'", "start D", "wait 8")
    assert data_of(session.world, "D")[b"k"] == b"v"
    do(session, "remove B", "wait 5")
    assert list(session.world.hosts) == ["A", "C", "D"]
    assert len(node_views(session.world)["A"].replicas) in (2, 3)  # A notices after repl-timeout
    do(session, "wait 70")
    assert len(node_views(session.world)["A"].replicas) == 2
    do(session, "add B 172.16.6.57:6379", "start B", "wait 1")
    assert node_views(session.world)["B"].role == "master"
    assert data_of(session.world, "B") == {}


def test_the_master_is_removed():
    session = built(3, sentinels=3)
    do(session, "run writer W sentinels 5", "wait 2", "remove A", "wait 20")
    assert "A" not in session.world.hosts
    roles = {node.role for node in node_views(session.world).values()}
    assert "master" in roles
    assert application_views(session.world)[0].error == ""


def test_the_ledger_counts_what_programs_write():
    session = built(2)
    do(session, "run writer W A 10", "run producer P A 10", "wait 2")
    place = session.history.place
    written = session.ledger.acknowledged(place)
    acknowledged = application_views(session.world)[0].acknowledged + counts(session, "P")["jobs queued"]
    assert written == acknowledged
    do(session, "cut A B silent", "wait 1", "remove A", "B> REPLICAOF NO ONE", "wait 1")
    lost = sum(len(loss.writes) for loss in session.losses)
    mine = application_views(session.world)[0]
    assert lost == mine.missing["B"] + counts(session, "P")["lost"] > 10


def test_directives_are_changed():
    session = built(2)
    assert session.execute("configure B maxmemory 100mb") == "B"
    assert session.world.hosts["B"].node.config.maxmemory == 100 << 20
    do(session, "crash B", "configure B maxmemory-policy allkeys-lru", "start B", "wait 2")
    config = session.world.hosts["B"].node.config
    assert (config.maxmemory, config.maxmemory_policy) == (100 << 20, "allkeys-lru")
    assert node_views(session.world)["B"].link == "up"
    session.execute("crash B")
    with pytest.raises(ActionError, match="maxmemory x: argument must be a memory value"):
        session.execute("configure B maxmemory x")


# -- all of it is journaled


LINES = (
    "run writer W A 10", "run reader R B 10", "run producer P A 10", "run consumer K A 5", "run locker L A 4",
    "wait 1", "pause L", "cut A B silent", "wait 2", "heal A B", "continue L", "crash K", "wait 1", "start K",
    "add D 172.16.6.80:6379 'replicaof 172.16.6.18 6379'", "start D", "wait 1", "configure D maxmemory 100mb",
    "remove B", "wait 1",
)  # fmt: skip


def test_undo_save_and_recipe_give_the_same():
    session = built(3)
    do(session, *LINES)
    digest = session.history.digest()
    assert built_again() == digest
    _, history = read_recipe(session.recipe())
    history.end()
    assert (history.warning, history.digest()) == ("", digest)
    again = History.decode(session.encode())
    again.end()
    assert again.digest() == digest
    for _ in range(6):
        session.undo()
    for line in LINES[-6:]:
        session.execute(line)
    assert session.history.digest() == digest
    end = session.history.place
    for place in (end // 3, end // 2, end - 1):
        session.history.goto(place)
    session.history.end()
    assert session.history.digest() == digest


def built_again():
    session = built(3)
    do(session, *LINES)
    return session.history.digest()


SCENARIO = """\
id: programs
title: T
summary: S
simulated_only: real servers have no such programs
nodes: {A: {address: "172.16.6.18:6379"}}
steps:
  - say: hello
    do: [run writer W A 10, configure A maxmemory 1mb, pause W]
    run: 1
"""


def test_scenarios_may_have_them():
    assert parse_scenario(SCENARIO, "x.yaml").steps[0].do[0] == "run writer W A 10"
    for before, after, told in (
        ("run writer W A 10", "run wirter W A 10", "did you mean writer?"),
        ("run writer W A 10", "run writer W B 10", "there is no node B"),
        ("simulated_only: real servers have no such programs\n", "", "real servers cannot"),
    ):
        with pytest.raises(Problem, match=told):
            parse_scenario(SCENARIO.replace(before, after), "x.yaml")
