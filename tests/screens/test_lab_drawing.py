"""What the laboratory's cluster pane tells of nodes, of the ways between them, and of the chosen message."""

from engine.simulation import actions
from engine.simulation.state import look, look_links
from tutor.lab import completer as assist
from tutor.lab import drawing
from tutor.lab.actions import carry_out
from tutor.lab.drawing import ChosenMessage
from tutor.lab.letters import Letters
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import SETTLE_US, Stage
from tutor.lab.sequence_diagram import Lanes


def staged(name: str, steps: int) -> Stage:
    stage = Stage(read_scenario(find(name)))
    for _ in range(steps):
        assert not stage.step()
    return stage


def do(stage: Stage, *lines: str) -> None:
    for line in lines:
        carry_out(stage.history, line, stage.spec.clients)
    stage.history.run(stage.history.world.now_us + SETTLE_US)


def text(rows: list[drawing.Text]) -> str:
    return "\n".join("".join(part for part, _ in row) for row in rows)


def nodes_text(stage: Stage, chosen: ChosenMessage = drawing.NOTHING) -> str:
    return text(drawing.cluster(look(stage.history.world), Letters(), "A", chosen)[0])


def links_text(stage: Stage, chosen: ChosenMessage = drawing.NOTHING) -> str:
    return text(drawing.links(look_links(stage.history.world), chosen))


def test_links_tell_who_is_connected_and_how_far_apart() -> None:
    stage = staged("chain", 2)
    assert links_text(stage) == " A ─── B  0.5 ms\n app ─── A  0.5 ms\n B ─── C  0.5 ms"
    do(stage, "slow A B 200 1000")
    assert " A ─── B  200 ms  1000 B/s" in links_text(stage)


def test_a_silent_cut_shows_what_it_holds_and_the_lag_that_comes_of_it() -> None:
    stage = staged("silent-cut", 1)
    assert "✓ linked to A  lag 0 B" in nodes_text(stage)
    do(stage, "cut A B silent", "app> SET late 1")
    assert " A ─✂─ B  silent: bytes wait  " in links_text(stage)
    waiting = next(view for view in look_links(stage.history.world) if (view.a, view.b) == ("A", "B")).under_way[0]
    assert waiting and f"  {waiting} B ▶" in links_text(stage)
    behind = stage.history.world.hosts["A"].node.replication.offset
    assert f"lag {behind} B" in nodes_text(stage)
    assert f"({behind} behind)" in nodes_text(stage)
    do(stage, "heal A B", "wait 2")  # it acknowledges once a second
    assert "lag 0 B" in nodes_text(stage) and "behind" not in nodes_text(stage)


def test_a_fault_in_one_direction_names_it() -> None:
    stage = staged("silent-cut", 1)
    do(stage, "cut A B silent b-a")
    assert "A ─✂─ B  B to A silent: bytes wait" in links_text(stage)
    do(stage, "cut A B half-open")
    assert "A ─✂─ B  half-open: bytes get lost" in links_text(stage)


def test_other_histories_are_not_behind() -> None:
    stage = staged("failover-split-brain", 2)
    assert "behind" not in nodes_text(stage)


def test_looking_changes_nothing() -> None:
    stage = staged("chain", 1)
    world = stage.history.world
    paths = dict(world.network.paths)
    stage.history.do(actions.AddHost("D", "172.16.6.60:6379", ()))
    look_links(stage.history.world)
    assert set(stage.history.world.network.paths) == set(paths)


def test_the_chosen_message_is_marked_at_both_ends_and_in_the_backlog() -> None:
    stage = staged("backlog-overrun", 1)
    do(stage, "app> SET k v")
    nodes = look(stage.history.world)
    end = nodes["A"].offset
    chosen = ChosenMessage("A", "B", end - 27, end)
    assert "A 172.16.6.18:6379  master  ▷ sends" in nodes_text(stage, chosen)
    assert "B 172.16.6.57:6379  replica  ◁ gets" in nodes_text(stage, chosen)
    assert "A ─── B  0.5 ms  ◂ the message" in links_text(stage, chosen)
    bar = drawing.backlog(nodes, 60, chosen)
    assert f"the message, {end - 27} → {end} ▲" in text(bar)
    assert bar[1][1] == ("█", "accent")
    assert "A 172.16.6.18:6379  master  ◆ here" in nodes_text(stage, ChosenMessage("A"))


def test_a_message_that_has_left_the_backlog_is_told_to_be_gone() -> None:
    stage = staged("backlog-overrun", 2)
    assert "◂ the message, 0 → 23, is gone" in text(
        drawing.backlog(look(stage.history.world), 60, ChosenMessage("A", "B", 0, 23))
    )


def test_what_fits_stands_in_one_row() -> None:
    nodes = look(staged("chain", 2).history.world)
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
    stage = staged("chain", 1)
    before = links_text(stage)
    do(stage, "B> PING")
    assert links_text(stage) == before


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
    stage = staged("chain", 2)
    world, clients = stage.history.world, stage.spec.clients
    assert assist.completions("", "", world, clients)[-4:] == ["A>", "B>", "C>", "app>"]
    assert assist.completions("crash ", "", world, clients) == ["crash A", "crash B", "crash C"]
    assert assist.completions(":cut A B si", "A", world, clients) == [":cut A B silent"]
    assert assist.completions("app> get ", "", world, clients) == ["app> get k"]
    assert assist.completions("fly ", "", world, clients) == assist.completions("wait ", "", world, clients) == []
    assert assist.hint("slow A B ", "") == "MILLISECONDS [BYTES-PER-SECOND]"
    assert assist.hint("slow A", "") == "B MILLISECONDS [BYTES-PER-SECOND]"
    assert assist.hint("A> REPLICAOF ", "").startswith("host port")
    assert assist.hint("", "") == assist.hint("fly", "") == ""
