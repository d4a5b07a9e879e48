"""What the laboratory's cluster pane tells of nodes, of the ways between them, and of the chosen message."""

from engine.simulation import actions
from engine.simulation.state import link_views, node_views, resync_views
from tutor.lab import completer, drawing
from tutor.lab.actions import run_line
from tutor.lab.drawing import ChosenMessage
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import SETTLE_US, ScenarioRunner
from tutor.lab.sequence_diagram import Lanes
from tutor.pictures.letters import Letters


def played(name: str, steps: int) -> ScenarioRunner:
    runner = ScenarioRunner(read_scenario(find(name)))
    for _ in range(steps):
        assert not runner.step()
    return runner


def do(runner: ScenarioRunner, *lines: str) -> None:
    for line in lines:
        run_line(runner.history, line, runner.spec.clients)
    runner.history.run(runner.history.world.now_us + SETTLE_US)


def text(rows: list[drawing.Text]) -> str:
    return "\n".join("".join(part for part, _ in row) for row in rows)


def nodes_text(runner: ScenarioRunner, chosen: ChosenMessage = drawing.NOTHING) -> str:
    return text(drawing.cluster(node_views(runner.history.world), Letters(), "A", chosen)[0])


def links_text(runner: ScenarioRunner, chosen: ChosenMessage = drawing.NOTHING) -> str:
    return text(drawing.links(link_views(runner.history.world), chosen))


def test_links_tell_who_is_connected_and_how_far_apart() -> None:
    runner = played("chain", 2)
    assert links_text(runner) == " A ─── B  0.5 ms\n app ─── A  0.5 ms\n B ─── C  0.5 ms"
    do(runner, "slow A B 200 1000")
    assert " A ─── B  200 ms  1000 B/s" in links_text(runner)


def test_a_silent_cut_shows_what_it_holds_and_the_lag_that_comes_of_it() -> None:
    runner = played("silent-cut", 1)
    assert "✓ linked to A  lag 0 B" in nodes_text(runner)
    do(runner, "cut A B silent", "app> SET late 1")
    assert " A ─✂─ B  silent: bytes wait  " in links_text(runner)
    waiting = next(view for view in link_views(runner.history.world) if (view.a, view.b) == ("A", "B")).under_way[0]
    assert waiting and f"  {waiting} B ▶" in links_text(runner)
    behind = runner.history.world.hosts["A"].node.replication.offset
    assert f"lag {behind} B" in nodes_text(runner)
    assert f"({behind} behind)" in nodes_text(runner)
    do(runner, "heal A B", "wait 2")  # it acknowledges once a second
    assert "lag 0 B" in nodes_text(runner) and "behind" not in nodes_text(runner)


def test_a_fault_in_one_direction_names_it() -> None:
    runner = played("silent-cut", 1)
    do(runner, "cut A B silent b-a")
    assert "A ─✂─ B  B to A silent: bytes wait" in links_text(runner)
    do(runner, "cut A B half-open")
    assert "A ─✂─ B  half-open: bytes get lost" in links_text(runner)


def test_other_histories_are_not_behind() -> None:
    runner = played("failover-split-brain", 2)
    assert "behind" not in nodes_text(runner)


def test_looking_changes_nothing() -> None:
    runner = played("chain", 1)
    world = runner.history.world
    paths = dict(world.network.paths)
    runner.history.do(actions.AddHost("D", "172.16.6.60:6379", ()))
    link_views(runner.history.world)
    assert set(runner.history.world.network.paths) == set(paths)


def test_the_chosen_message_is_marked_at_both_ends_and_in_the_backlog() -> None:
    runner = played("backlog-overrun", 1)
    do(runner, "app> SET k v")
    nodes = node_views(runner.history.world)
    end = nodes["A"].offset
    chosen = ChosenMessage("A", "B", end - 27, end)
    assert "A 172.16.6.18:6379  master  ▷ sends" in nodes_text(runner, chosen)
    assert "B 172.16.6.57:6379  replica  ◁ gets" in nodes_text(runner, chosen)
    assert "A ─── B  0.5 ms  ◂ the message" in links_text(runner, chosen)
    bar = drawing.backlog(nodes, resync_views(runner.history.world), Letters(), 60, chosen)
    assert f"the message, {end - 27} → {end} ▲" in text(bar)
    assert bar[1][1] == ("█", "accent")
    assert "A 172.16.6.18:6379  master  ◆ here" in nodes_text(runner, ChosenMessage("A"))


def test_a_message_that_has_left_the_backlog_is_told_to_be_gone() -> None:
    runner = played("backlog-overrun", 2)
    assert "◂ the message, 0 → 23, is gone" in text(
        drawing.backlog(node_views(runner.history.world), [], Letters(), 60, ChosenMessage("A", "B", 0, 23))
    )


def test_what_fits_stands_in_one_row() -> None:
    nodes = node_views(played("chain", 2).history.world)
    one_below_the_other, owners = drawing.cluster(nodes, Letters(), "A")
    beside, _ = drawing.cluster(nodes, Letters(), "A", drawing.NOTHING, 80)
    assert len(one_below_the_other) == len(owners) == 8
    assert len(beside) == 6
    assert "   ✓ linked to A  lag 0 B" in text(beside)


def test_lanes_leave_room_for_what_is_said() -> None:
    said = (0, ">", "A", "C", "PING")
    machines = ["A", "B", "C", "app", "@A"]
    paths = Lanes.fitting([said], machines, ["A", "B", "C"], 5, 76)
    assert paths == Lanes(["A", "B", "C"], 8, 5)
    assert text([paths.draw(said, "0.001", True)]) == "▸ 0.001  │───────┼──────▶│       PING"
    assert paths.heading().index("C") == text([paths.draw(said, "0.001", True)]).index("▶") + 1
    assert Lanes.fitting([said], [f"n{n}" for n in range(9)], [f"n{n}" for n in range(9)], 5, 76).width == 4
    assert Lanes.fitting([(0, ">", "@A", "A", "PING")], machines, ["A", "B", "C"], 5, 40).names == [
        "A",
        "B",
        "C",
        "@A",
    ]


def test_the_prompt_at_a_node_is_no_link() -> None:
    runner = played("chain", 1)
    before = links_text(runner)
    do(runner, "B> PING")
    assert links_text(runner) == before


def test_the_stroke_tells_what_a_message_is() -> None:
    paths = Lanes(["A", "B"])
    drawn = {what: text([paths.draw((0, ">", "A", "B", ""), "0.001", False, what)]).split("│")[1]
             for what in ("command", "psync", "snapshot", "stream", "ack")}  # fmt: skip
    assert drawn == {
        "command": "──────▶",
        "psync": "──────▶",
        "snapshot": "══════▶",
        "stream": "━━━━━━▶",
        "ack": "······▶",
    }
    assert "✗✗✗" in text([paths.draw((0, "x", "A", "B", ""), "0.001", False)])
    assert "┄┄┄" in text([paths.draw((0, "+", "A", "B", ""), "0.001", False)])


def test_lines_are_completed_from_the_world_and_hinted_from_their_usage() -> None:
    runner = played("chain", 2)
    world, clients = runner.history.world, runner.spec.clients
    assert completer.completions("", "", world, clients)[-4:] == ["A>", "B>", "C>", "app>"]
    assert completer.completions("crash ", "", world, clients) == ["crash A", "crash B", "crash C"]
    assert completer.completions(":cut A B si", "A", world, clients) == [":cut A B silent"]
    assert completer.completions("app> get ", "", world, clients) == ["app> get k"]
    assert (
        completer.completions("fly ", "", world, clients) == completer.completions("wait ", "", world, clients) == []
    )
    assert completer.hint("slow A B ", "") == "MILLISECONDS [BYTES-PER-SECOND]"
    assert completer.hint("slow A", "") == "B MILLISECONDS [BYTES-PER-SECOND]"
    assert completer.hint("A> REPLICAOF ", "").startswith("host port")
    assert completer.hint("", "") == completer.hint("fly", "") == ""
