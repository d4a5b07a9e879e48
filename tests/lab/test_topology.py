"""The drawn cluster, and the paths of the sequence diagram when there are many machines."""

from collections.abc import Sequence

import pytest

from engine.simulation.actions import AddHost, Cut, Start
from engine.simulation.history import History
from engine.simulation.state import application_views, link_views, node_views
from tutor.lab.drawing import NOTHING, ChosenMessage
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import spec_of
from tutor.lab.sequence_diagram import BEFORE, TEXT_WIDTH, Lanes
from tutor.lab.session import LabSession
from tutor.lab.topology import Topology, programs_of, under_way


def session_of(name: str, *lines: str, steps: int = 2) -> LabSession:
    session = LabSession(read_scenario(find(name)))
    for _ in range(steps):
        session.next_step()
    for line in lines:
        session.execute(line)
    session.read()
    return session


def cluster_of(count: int) -> LabSession:
    """A master with many replicas."""
    history = History(1)
    for number in range(1, count + 1):
        directives = ("replicaof 10.0.0.1 6379", "repl-diskless-sync-delay 0") if number > 1 else ()
        history.do(AddHost(f"N{number}", f"10.0.0.{number}:6379", directives))
        history.do(Start(f"N{number}"))
    history.run(history.world.now_us + 3_000_000)
    session = LabSession(spec_of(history, "many", "many"), history)
    session.read()
    return session


def drawn(
    session: LabSession,
    topology: Topology | None = None,
    size: tuple[int, int] = (60, 12),
    chosen: ChosenMessage = NOTHING,
    since: int | None = None,
) -> list[str]:
    world, place = session.world, session.history.place
    nodes, links = node_views(world), link_views(world)
    messages = under_way(session.history.trace, place, world.now_us, links, place if since is None else since)
    programs = programs_of(application_views(world), links, nodes)
    rows = (topology or Topology()).draw(
        nodes, programs, links, messages, session.log.letters, "A", chosen, size
    )  # fmt: skip
    lines = ["".join(text for text, _ in row) for row in rows]
    assert len(lines) == size[1] and all(len(line) <= size[0] for line in lines)
    return lines


def picture(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def test_a_master_its_replica_and_the_stream() -> None:
    text = picture(drawn(session_of("chain", steps=1)))
    assert "╔═" in text and "▸● A" in text and "● B" in text
    assert "━" in text and any(head in text for head in "▶◀▲▼")


@pytest.mark.parametrize(
    ("line", "sign", "gone"),
    [("cut A B silent", "✂", "━"), ("cut A B half-open", "½", "━"), ("slow A B 200", "≈", "✂")],
)
def test_faults_are_seen_without_color(line: str, sign: str, gone: str) -> None:
    session = session_of("partial-resync", steps=1)
    before = picture(drawn(session))
    assert sign not in before
    session.execute(line)
    after = picture(drawn(session))
    assert sign in after and gone not in after
    session.execute("heal A B")
    if not line.startswith("slow"):
        assert sign not in picture(drawn(session))


def test_states_of_nodes() -> None:
    session = session_of("sentinel-failover", "crash A", "pause B", steps=1)
    text = picture(drawn(session, size=(70, 18)))
    assert "○ A" in text and "‖ B" in text and "╭" in text  # Sentinels have round frames
    assert "down" in text and "paused" in text


def test_what_a_silent_cut_holds_is_counted() -> None:
    session = session_of("partial-resync", "cut A B silent", "app> SET k v", "wait 0.1", steps=1)
    line = next(line for line in drawn(session) if "✂" in line)
    held = sum(sum(link.under_way) for link in link_views(session.world) if {link.a, link.b} == {"A", "B"})
    assert held and f"✂{held} B" in line


def test_nodes_keep_their_place() -> None:
    session = session_of("failover-replica", steps=1)
    topology = Topology()
    drawn(session, topology)
    places = {box.name: box[1:3] for box in topology.boxes}
    session.execute("crash A")
    session.execute("B> REPLICAOF NO ONE")
    session.execute("wait 3")
    drawn(session, topology)
    assert {box.name: box[1:3] for box in topology.boxes if box.name in places} == places
    session.first()
    session.last()
    drawn(session, topology)
    assert {box.name: box[1:3] for box in topology.boxes if box.name in places} == places


def test_a_message_moves_along_its_link() -> None:
    session = session_of("chain", "slow A B 100", "app> SET moving 1", steps=1)
    topology = Topology()
    sent = next(
        event for event in reversed(session.history.trace)
        if getattr(event, "source", "") == "A" and getattr(event, "target", "") == "B" and hasattr(event, "data")
    )  # fmt: skip
    session.history.run(sent.at_us + 200_000)
    columns = []
    for part in (0.1, 0.4, 0.8):
        session.history.goto_time(sent.at_us + int(part * 100_000))
        links = link_views(session.world)
        moving = [
            each
            for each in under_way(
                session.history.trace, session.history.place, session.world.now_us, links, session.history.place
            )
            if (each.source, each.target) == ("A", "B")
        ]
        assert [round(each.part, 2) for each in moving] == [part]
        lines = drawn(session, topology)
        columns.append([(y, x) for y, line in enumerate(lines) for x, sign in enumerate(line[:]) if sign == "●"])
    assert columns[0] != columns[1] != columns[2]


def test_messages_that_came_since_the_last_picture() -> None:
    session = session_of("chain", steps=1)
    place = session.history.place
    assert "◆" not in picture(drawn(session))
    session.execute("app> SET k v")
    assert "◆" in picture(drawn(session, since=place))


@pytest.mark.parametrize("size", [(40, 10), (48, 11), (76, 18), (76, 30), (10, 3)])
@pytest.mark.parametrize("count", [1, 2, 5, 9, 20])
def test_boxes_do_not_cover_each_other(count: int, size: tuple[int, int]) -> None:
    session = cluster_of(count)
    topology = Topology()
    lines = drawn(session, topology, size)
    assert len(topology.boxes) == count
    if size[0] * size[1] >= 400:
        cells = [(x, y) for box in topology.boxes for x in range(box.x, box.x + box.width)
                 for y in range(box.y, box.y + box.height)]  # fmt: skip
        assert len(cells) == len(set(cells))
        assert all(0 <= x < size[0] and 0 <= y < size[1] for x, y in cells)
        if count <= 9:
            assert all(f"N{number}" in picture(lines) for number in range(1, count + 1))


def test_a_cell_belongs_to_a_node() -> None:
    session = session_of("chain", steps=1)
    topology = Topology()
    drawn(session, topology)
    for box in topology.boxes:
        assert topology.at(*box.middle) == box.name
    assert topology.at(59, 0) in ("", *session.world.machines)


def test_with_many_machines_text_keeps_its_room() -> None:
    session = cluster_of(20)
    session.history.do(Cut("N1", "N2", "reset"))
    session.history.run(session.world.now_us + 2_000_000)
    session.read()
    rows = session.shown.rows(0, session.shown.count)[-30:]
    machines = list(session.world.machines)
    for room in (76, 100, 150):
        lanes = Lanes.fitting(rows, machines, machines, 6, room)
        taken = lanes.time + BEFORE + lanes.width * len(lanes.names)
        assert room - taken >= TEXT_WIDTH or len(lanes.names) == 3
        assert len(lanes.others) + len(lanes.names) - bool(lanes.others) == 20
        assert {"N1", "N2"}.isdisjoint(lanes.others)  # they speak
        heading = lanes.heading()
        assert not lanes.others or f"+{len(lanes.others)}"[: lanes.width - 1] in heading
        for row in rows:
            line = "".join(text for text, _ in lanes.draw(row, "1.000", False))
            for name in row[2:4]:
                assert name not in lanes.others or f"{name}" in line


def test_nine_machines_have_paths_of_their_own() -> None:
    machines = [f"N{number}" for number in range(9)]
    lanes = Lanes.fitting([], machines, machines, 6, 76)
    assert (lanes.names, lanes.others) == (machines, frozenset())


def test_machines_of_the_shared_path_that_talk_to_each_other() -> None:
    lanes = Lanes(["A", "+2"], 6, 6, frozenset({"B", "C"}))
    line = "".join(text for text, _ in lanes.draw((1, ">", "B", "C", "hello"), "1.000", False))
    assert "B → C: hello" in line and "├" in line and "┤" in line
