"""What the backlog pane says that PSYNC would decide is what PSYNC decides: in every scenario, just before."""

import pytest

from engine.observe.events import PsyncDecided
from engine.simulation.state import node_views, resync_views
from engine.simulation.trace import NodeEvent
from tests.lab.share import share_of_scenarios
from tutor.lab import drawing
from tutor.lab.actions import run_line
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner
from tutor.pictures.letters import Letters

pytestmark = pytest.mark.long


def played(name: str, steps: int = 99) -> ScenarioRunner:
    runner = ScenarioRunner(read_scenario(find(name)))
    for _ in range(min(steps, len(runner.spec.steps))):
        runner.step()
    return runner


def text(runner: ScenarioRunner) -> str:
    world = runner.history.world
    rows = drawing.backlog(node_views(world), resync_views(world), Letters(), 70)
    return "\n".join("".join(part for part, _ in row) for row in rows)


@pytest.mark.parametrize("name", share_of_scenarios())
def test_predictions_are_decisions(name: str) -> None:
    history = played(name).history
    addresses = {host.address: host.name for host in history.world.hosts.values()}
    counts = list(history.branch_now.counts)
    compared = 0
    for event in list(history.trace):
        if not isinstance(event, NodeEvent) or not isinstance(event.event, PsyncDecided):
            continue
        decided = event.event
        replica = addresses.get(decided.peer, "")  # it may announce another address
        if not replica:
            continue
        history.goto(max(count for count in counts if count <= event.number))
        (view,) = [view for view in resync_views(history.world) if view.replica == replica]
        assert view.master == event.host
        assert (view.asked_id, view.asked_offset) == (decided.asked_id, decided.asked_offset)
        assert view.decision.granted == decided.granted
        if name != "failover-command":  # where the new master takes its ID just before it decides
            assert [each.holds for each in view.decision.conditions] == [each.holds for each in decided.conditions]
        compared += 1
    assert compared or name.startswith("cluster-")  # some of which have no replicas


def test_the_second_id_is_taken_into_account_with_its_offset() -> None:
    runner = played("failover-split-brain", 3)
    history = runner.history
    run_line(history, "A> REPLICAOF 172.16.6.57 6379", runner.spec.clients)
    history.run(history.world.now_us + 2_000)
    shown = text(runner)
    assert "✗ PSYNC of A would ask for " in shown and ": full" in shown
    assert "offset 54 is past 1, where B left that history" in shown


def test_backlogs_of_replicas_are_drawn() -> None:
    shown = text(played("chain"))
    assert "✓ PSYNC of B would ask for " in shown and "✓ PSYNC of C would ask for " in shown
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines if " B" in line and "–" in line] == ["A", "B", "C"]
    assert lines[-1].endswith("used if it is promoted")


def test_what_would_be_missing_is_counted() -> None:
    runner = played("backlog-overrun", 2)
    shown = text(runner)
    assert "    offset 1 is before the first byte of the backlog, " in shown
    assert "partial, 0 B" in text(played("wait", 2))
