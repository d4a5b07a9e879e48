"""Clusters in the laboratory: what is shown and why, what is folded, and what is expected of nodes."""

from pathlib import Path

import pytest

from engine.cluster import messages as ms
from engine.simulation.actions import AddHost, ClosePort, OpenPort, SendCommand, Start
from engine.simulation.cluster_state import cluster_views, writer_views
from engine.simulation.history import History
from engine.simulation.state import node_views
from engine.simulation.trace import Refused
from engine.simulation.world import World
from tests.cluster.simulated import SimulatedCluster
from tests.lab.test_scenarios import GOOD
from tests.lab.test_sentinels import played, texts
from tutor.lab import slots
from tutor.lab.bus import spans_of, summary_of
from tutor.lab.clusters import slots_from
from tutor.lab.event_log import EventLog
from tutor.lab.loader import find, parse_scenario, read_scenario
from tutor.lab.play import story
from tutor.lab.runner import ScenarioRunner
from tutor.lesson.model import Problem

pytestmark = pytest.mark.long

CAPTURED = sorted((Path(__file__).parents[1] / "cluster" / "captured").glob("*.bin"))


@pytest.fixture(scope="module")
def failover():
    return played("cluster-failover")


def after(shown, question):
    """Return the conditions and the answer below a question."""
    at = shown.index(question)
    end = next(number for number, text in enumerate(shown[at:], at) if text.startswith("  → "))
    assert all(text.startswith(("  ✓ ", "  ✗ ")) for text in shown[at + 1 : end])
    return shown[at + 1 : end], shown[end].removeprefix("  → ")


def test_every_decision_of_a_failover_is_shown_with_its_reasons(failover):
    shown = texts(failover)
    conditions, answer = after(shown, "Does A answer?")
    assert "cluster-node-timeout is 2000" in conditions[0] and answer.startswith("PFAIL")
    assert after(shown, "Has A failed?")[0][0] == "  ✓ this node considers it down (PFAIL)"
    answers = [after(shown[at:], text)[1] for at, text in enumerate(shown) if text == "Has A failed?"]
    assert "FAIL, and tells every node" in answers and "FAIL" in answers
    conditions, answer = after(shown, "When does this node ask for votes?")
    assert conditions[0] == "  ✓ its master A has failed" and answer.endswith(" ms")
    assert after(shown, "Stand for election?")[1] == "asks every master for its vote in epoch 7"
    conditions, answer = after(shown, "Vote for D in epoch 7?")
    assert len(conditions) == 3 and answer == "votes for D, and saves this before it answers"
    conditions, answer = after(shown, "Stay as it is?")
    assert "D claims 0-5460 under epoch 7, later than 1" in conditions[0] and answer == "becomes a replica of D"
    downs = [at for at, text in enumerate(shown) if text == "Is the cluster up?"]
    assert any("0-5460 belong to A, which has failed" in shown[at + 1] for at in downs)


def test_gossip_is_folded_into_what_it_changed(failover):
    shown = texts(failover)
    routine = [text for text in shown if text.startswith(("PING epoch", "PONG epoch"))]
    assert len(routine) <= 2 * 6  # the first of each node
    assert any(text.startswith("learns from D (PONG): ") and "D serves 0-5460" in text for text in shown)
    assert sum(text.startswith("FAIL A") for text in shown) <= 5  # once for each node that tells all others
    assert not any("… has" in text for text in shown)  # every ID has a name
    refused = [text for text in shown if text == "Connection refused"]
    dialled = sum(isinstance(event, Refused) for event in failover.history.trace)
    assert len(refused) < dialled / 5


def test_what_a_message_changed_opens_with_its_cause(failover):
    log = EventLog(failover.history)
    log.read(failover.history)
    at = next(at for at, row in enumerate(log.rows) if "D serves 0-5460" in row[4])
    opened = "\n".join("".join(text for text, _ in row) for row in log.opened(at))
    assert "because of event" in opened and "D said PONG" in opened
    assert "sender: D" in opened and "slots: 5461: 0-5460" in opened
    at = next(at for at, row in enumerate(log.rows) if row[4].startswith("vote for me in epoch 7?"))
    opened = "\n".join("".join(text for text, _ in row) for row in log.opened(at))
    for field in ("signature", "current epoch: 7", "slots: 5461: 0-5460", "type: AUTH-REQ", "message flags"):
        assert field in opened


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_every_byte_of_real_messages_is_explained(path):
    data = path.read_bytes()
    at = 100
    for span in spans_of(data, 100):
        assert span.offset == at and span.data and span.field not in ("unknown", "not readable")
        at += len(span.data)
    assert at == 100 + len(data)
    assert "invalid" not in summary_of(data)


@pytest.mark.parametrize("cut", [1, 40, 104])
def test_a_damaged_message_is_explained_too(cut):
    whole = CAPTURED[-1].read_bytes()
    short = whole[: len(whole) - cut]
    data = short[:4] + len(short).to_bytes(4, "big") + short[8:]
    spans = list(spans_of(data, 0))
    assert b"".join(span.data for span in spans) == data
    assert spans[-1].field == "not readable" and "expected length" in spans[-1].meaning
    other = data[:8] + b"\0\2" + data[10:]
    assert b"".join(span.data for span in spans_of(other, 0)) == other


def drawn(rows):
    return ["".join(text for text, _ in row) for row in rows]


def test_slots_and_beliefs_are_drawn():
    runner = ScenarioRunner(read_scenario(find("cluster-failover")))
    runner.step()
    runner.step()
    world = runner.history.world
    views, nodes = cluster_views(world), node_views(world)
    text = drawn(slots.slots(views["B"], views, 60))
    assert "down" in text[0]
    assert text[1].count("├") == 3 and "─A─" in text[1]
    assert "A 0-5460  B 5461-10922  C 10923-16383" in text[2]
    matrix = drawn(slots.beliefs(views, nodes, "B", 70))
    row = next(line for line in matrix if line.startswith("▸B"))
    assert row.split() == ["▸B", "✗", "FAIL", "1", "me", "2", "ok", "3", "ok", "ok", "ok"]
    assert not any(line.startswith(" A ") for line in matrix)  # it does not run: it believes nothing
    while not (candidacy := cluster_views(world)["D"].candidacy) or not candidacy.epoch:
        runner.history.step()
    waiting = drawn(slots.beliefs(cluster_views(world), nodes, "B", 70))
    assert any("D stands in epoch 7: □□ 0, needs 2" in line for line in waiting)


def test_a_moving_slot_and_a_map_that_is_outdated_are_drawn():
    runner = ScenarioRunner(read_scenario(find("cluster-reshard")))
    for _ in range(4):
        assert runner.step() == []
    world = runner.history.world
    views, nodes = cluster_views(world), node_views(world)
    assert "slot 866 A ▶ B  2 keys left, 3 there" in drawn(slots.slots(views["A"], views, 60))[3].strip()
    assert any("slot 866 A ▶ B" in line for line in drawn(slots.slots(views["A"], views, 60)))
    runner.step()
    runner.history.do(SendCommand("@B", (b"CLUSTER", b"SETSLOT", b"866", b"NODE", views["B"].id.encode())))
    runner.history.run(world.now_us + 50_000)
    views = cluster_views(world)
    text = drawn(slots.writers(nodes, writer_views(world), views))
    assert any("0-5460 A (outdated)" in line for line in text)


def test_the_story_ends_each_step_with_what_is_believed():
    text = "\n".join(story(ScenarioRunner(read_scenario(find("cluster-failover"))), []))
    assert "B considers the cluster down  epoch 6, serves 5461-10922 at 2  (A fail)" in text
    assert "app waits to try again" in text or "app writes" in text


def test_a_firewall_closes_a_port():
    world = World(1)
    for number, name in enumerate("ab"):
        world.do(AddHost(name, f"10.0.0.{number + 1}:6379", ("cluster-enabled yes",)))
        world.do(Start(name))
    world.do(ClosePort("b", 16379))
    cluster = SimulatedCluster.__new__(SimulatedCluster)
    cluster.world = world
    host = world.hosts["a"].node
    host.cluster.meet(b"10.0.0.2", 6379, 16379)
    world.run(world.now_us + 2_000_000)
    assert any(isinstance(event, Refused) for event in world.trace)
    assert len(world.hosts["b"].node.cluster.state.nodes) == 1
    world.do(OpenPort("b", 16379))
    world.run(world.now_us + 1_000_000)
    assert len(world.hosts["b"].node.cluster.state.nodes) == 2


@pytest.mark.parametrize("masters", range(1, 20))
def test_slots_are_divided_without_gaps(masters):
    borders = [slots_from(number, masters) for number in range(masters + 1)]
    assert borders[0] == 0 and borders[-1] == 16384 and borders == sorted(set(borders))


CLUSTERED = (
    GOOD.replace("clients: {app: A}\n", "")
    .replace("app> SET k v, crash A", "form A")
    .replace("expect: {A: {state: down}}", "run: 5\n    expect: {A: {cluster: ok}}")
    .replace("nodes:\n", "node_config: [cluster-enabled yes]\nnodes:\n")
    .replace("steps:", "applications: {app: {cluster: [A]}}\nsteps:")
)


@pytest.mark.parametrize(
    "before, after, reason",
    [
        ("cluster: [A]", "cluster: [B]", "there is no node B"),
        ("cluster: [A]", "cluster: [A], writes_to: A", "or to a cluster"),
        ("cluster: [A]", "cluster: [A], follows: all", "follows is one of map, slot, never, nothing"),
        ("form A", "form B", "there is no node B"),
        ("form A", "form A B/C", "form MASTER MASTER"),
        ("form A", "form A B/A", "there is no node B"),
        ("form A", "'A> CLUSTER FORGET {id:B}'", "there is no node B"),
        ("form A", "close-port A x", "close-port NODE PORT"),
        ("cluster: ok", "cluster: up", "cluster is ok or fail"),
        ("cluster: ok", "sees: {B: ok}", "there is no node B"),
        ("cluster: ok", "sees: {A: well}", "'well' is none of"),
        ("cluster: ok", "owners: {x: A}", "'x' is not a slot"),
        ("cluster: ok", 'owners: {"5-3": A}', "'5-3' is not a slot"),
        ("cluster: ok", 'migrating: {"16384": A}', "'16384' is not a slot"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_told(before, after, reason):
    assert before in CLUSTERED
    assert ScenarioRunner(parse_scenario(CLUSTERED, "one.yaml")).step() == []
    with pytest.raises(Problem) as caught:
        parse_scenario(CLUSTERED.replace(before, after), "one.yaml")
    assert reason in caught.value.text


def test_what_a_node_does_not_believe_is_told():
    expect = (
        'cluster: fail, slots: "0-5", known: 2, epoch_above: 5, current_epoch_above: 5, sees: {A: fail}, '
        'owners: {"0-3": ""}, migrating: {"3": A}, importing: {"3": A}, slot_keys: {"3": 1}'
    )
    wrong = ScenarioRunner(parse_scenario(CLUSTERED.replace("cluster: ok", expect), "one.yaml")).step()
    told = "\n".join(wrong)
    for text in (
        "A: cluster is ok, expected fail", "A: slots is 0-16383, expected 0-5", "A: known is 1, expected 2",
        "A: epoch is 1, expected more than 5", "A: current_epoch is 1, expected more than 5",
        "A: A is me, expected fail", "A: slot 0 is served by A, expected no node",
        "A: migrating slot 3: no node, expected A", "A: importing slot 3: no node, expected A",
        "A: slot 3 has 0 keys, expected 1",
    ):  # fmt: skip
        assert text in told
    expect = "lost: 3, error: x, moved_above: 0, asked_above: 0, refreshed_above: 9, acknowledged_above: 9999"
    wrong = ScenarioRunner(
        parse_scenario(CLUSTERED.replace("{A: {cluster: ok}}", "{app: {" + expect + "}}"), "one.yaml")
    ).step()
    assert len(wrong) == 6


def test_a_history_with_a_cluster_can_be_saved_and_opened(failover):
    data = failover.history.encode()
    opened = History.decode(data)
    assert not opened.warning
    opened.end()
    assert opened.digest() == failover.history.digest()
    assert cluster_views(opened.world) == cluster_views(failover.history.world)


def test_types_of_messages_are_named():
    assert all(summary_of(ms.Message(kind, "a" * 40).encode()) for kind in range(len(ms.NAMES)))
