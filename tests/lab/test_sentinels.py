"""Sentinels and applications in the laboratory: what is shown, why, and what is left out."""

import pytest

from engine.simulation.actions import AddApplication, Crash, Cut, Heal, Pause
from engine.simulation.state import application_views, belief_views, link_views, node_views
from tests.lab.test_scenarios import GOOD
from tests.sentinel.group import SECOND, Group
from tutor.lab import drawing
from tutor.lab.event_log import EventLog
from tutor.lab.loader import find, parse_scenario, read_scenario
from tutor.lab.play import story
from tutor.lab.routine import said_by_sentinel
from tutor.lab.runner import ScenarioRunner
from tutor.lesson.model import Problem

pytestmark = pytest.mark.long

SENTINELS = tuple(f"172.16.6.{100 + number}:26379" for number in range(3))


def group(asks=SENTINELS, address=""):
    made = Group(server_directives=("repl-timeout 5",))
    made.run(12)
    made.world.do(AddApplication("app", asks, "mymaster", address, SECOND // 10))
    made.run(2)
    return made


def app(made):
    (view,) = application_views(made.world)
    return view


def test_an_application_that_asks_sentinels_follows_the_master():
    made = group()
    assert (app(made).target, app(made).failed) == ("172.16.6.10:6379", 0)
    made.world.do(Crash("a"))
    assert made.run_until(lambda: app(made).target != "172.16.6.10:6379" and app(made).does == "writes", 20)
    before = app(made)
    made.run(2)
    assert app(made).acknowledged >= before.acknowledged + 19
    assert app(made).failed == before.failed > 0


def test_it_asks_the_next_sentinel_if_one_does_not_answer():
    made = group(("172.16.6.99:26379", *SENTINELS))
    made.world.do(Pause("s1"))
    assert made.run_until(lambda: app(made).does == "writes", 10)
    assert app(made).failed


def test_an_application_with_a_fixed_address_writes_to_whoever_is_there():
    made = group((), "172.16.6.10:6379")
    for other in ("b", "c", "s2", "s3"):
        for mine in ("a", "app"):
            made.world.do(Cut(mine, other))
    assert made.run_until(lambda: made.masters().count("11") + made.masters().count("12") >= 2, 20)
    made.run(3)
    view = app(made)
    assert view.target == "172.16.6.10:6379"
    assert view.missing["a"] == 0 < view.missing["b"]
    for other in ("b", "c", "s2", "s3"):
        for mine in ("a", "app"):
            made.world.do(Heal(mine, other))
    assert made.run_until(lambda: app(made).error.startswith("READONLY"), 30)
    assert app(made).missing["a"] > 0


def test_an_application_gives_up_on_a_server_that_does_not_answer():
    made = group((), "172.16.6.10:6379")
    made.world.do(Pause("a"))
    assert made.run_until(lambda: app(made).error == "timeout", 5)


def played(name):
    runner = ScenarioRunner(read_scenario(find(name)))
    while runner.next_step is not None:
        assert runner.step() == []
    return runner


@pytest.fixture(scope="module")
def failover():
    return played("sentinel-failover")


def texts(runner):
    log = EventLog(runner.history)
    log.read(runner.history)
    return [row[4] for row in log.rows]


def test_decisions_are_shown_with_their_reasons(failover):
    shown = texts(failover)
    for question, answer in (
        ("Is mymaster subjectively down?", "s_down"),
        ("Is mymaster objectively down?", "o_down"),
        ("Start a failover of mymaster?", "starts, and asks for votes"),
        ("Vote for S1 in epoch 1?", "votes for S1"),
        ("Does it lead the failover of mymaster in epoch 1?", "elected"),
        ("Which replica of mymaster is promoted?", "B"),
    ):
        at = shown.index(question)
        end = next(number for number, text in enumerate(shown[at:], at) if text.startswith("  → "))
        assert shown[end] == f"  → {answer}"
        assert all(text.startswith(("  ✓ ", "  ✗ ")) for text in shown[at + 1 : end])
        assert end > at + 1


def test_votes_that_are_refused_and_elections_that_are_lost_have_reasons():
    shown = texts(played("sentinel-quorum-majority"))
    lost = shown.index("  → not elected: gives up")
    assert "  ✗ 2 votes; the majority of 4 is 3" in shown[lost - 4 : lost]
    assert "  ✓ 2 votes; the quorum is 2" in shown[lost - 4 : lost]
    shown = texts(played("sentinel-vote"))
    refused = shown.index("  → refuses")
    assert shown[refused - 1].startswith("  ✗ the vote of epoch 1 went to ")
    assert not any(text.endswith("went to …") for text in shown), "of a candidate that the file does not name"


def test_a_change_of_role_is_shown_whole(failover):
    shown = [text.split("  ")[0] for text in texts(failover)]
    at = shown.index("MULTI")
    assert shown[at : at + 6] == [
        "MULTI", "SLAVEOF NO ONE", "CONFIG REWRITE", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub", "EXEC"
    ]  # fmt: skip


def test_nothing_is_told_twice_that_sentinels_say_all_the_time(failover):
    shown = texts(failover)
    assert sum(text.startswith("PING  ") for text in shown) < 30
    writes = application_views(failover.history.world)[0].acknowledged
    assert writes > 60
    assert sum(text.startswith("RPUSH app") for text in shown) < 15
    assert not any(text.startswith("REPLCONF ACK") for text in shown)


@pytest.mark.parametrize(
    "data, told",
    [
        (b"*3\r\n:1\r\n$1\r\n*\r\n:0\r\n", "it is down"),
        (b"*3\r\n:0\r\n$40\r\n" + b"a" * 40 + b"\r\n:7\r\n", f"it is not down, and I vote for {'a' * 40} in epoch 7"),
        (b"*3\r\n:2\r\n$1\r\n*\r\n:0\r\n", ""),
        (b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nx\r\n", ""),
        (b"+PONG\r\n", ""),
    ],
)
def test_what_sentinels_say_in_words(data, told):
    assert said_by_sentinel(data) == told


def test_beliefs_votes_and_applications_are_drawn():
    runner = ScenarioRunner(read_scenario(find("sentinel-quorum-majority")))
    runner.step()
    world = runner.history.world
    runner.step()
    while not any(belief.failover_state == "wait_start" for belief in belief_views(world)):
        runner.history.step()
    runner.history.run(world.now_us + 50_000)

    nodes = node_views(world)
    rows, owners = drawing.sentinels(nodes, belief_views(world), ["S1", "S2", "S3", "S4"], "S1")
    text = ["".join(piece for piece, _ in row) for row in rows]
    assert len(rows) == len(owners)
    assert any("down: ■■□□ 2 of 4, quorum 2" in line for line in text)
    assert any("votes: ■■□□ 2, needs 3" in line for line in text)
    assert any("○ down S3" in line for line in text)
    drawn = drawing.applications(nodes, application_views(world))
    assert "asks Sentinel" in "".join(piece for piece, _ in drawn[0])
    every, quiet = link_views(world), drawing.links(link_views(world), many=["S1", "S2", "S3", "S4", "app"])
    assert len(quiet) < len(every)


def test_the_story_ends_each_step_with_what_is_believed():
    runner = ScenarioRunner(read_scenario(find("sentinel-two")))
    text = "\n".join(story(runner, []))
    assert "S2 takes 172.16.6.18:6379 for mymaster (s_down,o_down,master" in text
    assert "S1 172.16.6.101:26379  down" in text
    assert "app waits to try again" in text


WATCHED = (
    GOOD.replace("clients: {app: A}\n", "")
    .replace("app> SET k v, ", "")
    .replace(
        "steps:",
        """\
sentinels: {S1: {address: "172.16.6.101:26379"}}
sentinel_config: [sentinel monitor mymaster 172.16.6.18 6379 1]
applications: {app: {asks: [S1]}}
steps:""",
    )
)


@pytest.mark.parametrize(
    "before, after, reason",
    [
        ("asks: [S1]", "asks: [S2]", "there is no Sentinel S2"),
        ("asks: [S1]", "writes_to: S1", "there is no node S1"),
        ("asks: [S1]", "asks: [S1], writes_to: A", "either asks Sentinels or writes to a node"),
        ("asks: [S1]", "period_ms: 30", "either asks Sentinels or writes to a node"),
        ("{S1:", "{A:", "a Sentinel needs a unique name"),
        ("{app:", "{A:", "an application needs a unique name"),
        ("172.16.6.101:26379", "there", "is not an address"),
        ("state: down", "voted_for: S9", "there is no node S9"),
    ],
)
def test_what_is_wrong_with_sentinels_is_told(before, after, reason):
    assert before in WATCHED
    parse_scenario(WATCHED, "one.yaml")
    with pytest.raises(Problem) as caught:
        parse_scenario(WATCHED.replace(before, after), "one.yaml")
    assert reason in caught.value.text


def test_what_a_sentinel_or_an_application_is_not_is_told():
    text = WATCHED.replace(
        "expect: {A: {state: down}}", "run: 1\n    expect: {S1: {s_down: true, epoch_above: 3, of: x}}"
    )
    assert ScenarioRunner(parse_scenario(text, "one.yaml")).step() == ["step 1: S1: watches no master x"]
    text = WATCHED.replace("expect: {A: {state: down}}", "run: 1\n    expect: {S1: {s_down: true, epoch_above: 3}}")
    assert ScenarioRunner(parse_scenario(text, "one.yaml")).step() == [
        "step 1: S1: s_down is False, expected True",
        "step 1: S1: epoch is 0, expected more than 3",
    ]
    expect = (
        "run: 2\n    expect: {app: {target: A, failed_above: 100, error: x, missing: {A: 0}, acknowledged_above: 9}}"
    )
    wrong = ScenarioRunner(parse_scenario(WATCHED.replace("expect: {A: {state: down}}", expect), "one.yaml")).step()
    assert [line.split(" ")[2:4] for line in wrong] == [
        ["app:", "it"], ["app:", "acknowledged"], ["app:", "failed"], ["app:", "error"], ["app:", "A"],
    ]  # fmt: skip
