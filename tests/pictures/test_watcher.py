"""What is drawn after a command and what is said of it, on a node of ours."""

from typing import Any

import pytest

from tests.pictures.drawing import Watched, written
from tutor.lesson.watcher import Watcher
from tutor.pictures import subjects
from tutor.pictures.picture import PictureView


class Desk:
    """A node with a watcher; `type` does what a front end does with a line."""

    def __init__(self) -> None:
        self.node = Watched()
        self.watcher = Watcher(self.node.inspect_all, lambda: {self.client: "redis"})
        self.node.node.observe(self.watcher.hear)
        self.client = int(self.node.run(1, b"CLIENT", b"ID")[0][1:])
        self.replies: list[Any] = []
        self.node.node.observe(self._note)
        self.view: PictureView | None = None
        self.sentence = ""

    def _note(self, event: Any) -> None:
        if getattr(event, "client_id", 0) == self.client:
            self.replies = [event.reply]

    def type(self, line: str, looked_at: bool = False) -> str:
        """Run a line; returns what is drawn, at 80 columns. `looked_at`: the picture was drawn anew meanwhile."""
        argv = [word.encode() for word in line.split()]
        self.watcher.before(argv, 0, self.client)
        self.node.run(1, *argv)
        if looked_at:
            self.watcher.again(0, self.client)
        self.view, self.sentence = self.watcher.after(argv, self.replies, 0, self.client)
        return self.drawn(self.view)

    def drawn(self, view: PictureView | None) -> str:
        return written(view.draw(80, 0), 80) if view is not None else ""


def test_only_writes_are_told() -> None:
    desk = Desk()
    assert "new string" in desk.type("SET a 1")
    assert desk.sentence == "`a` is a new string: `1`."
    assert "a · string" in desk.type("GET a")
    assert desk.sentence == ""
    assert desk.type("LPUSH a x") == "", "an error leaves the picture as it is"
    assert desk.sentence == ""
    assert desk.type("PING") != ""
    desk.type("INCR a")
    assert desk.sentence == "`a` changed from `1` to `2`."
    assert desk.type("NOSUCH a") == ""


def test_two_keys_of_a_command_are_drawn() -> None:
    desk = Desk()
    desk.type("RPUSH from x y")
    drawn = desk.type("LMOVE from to LEFT RIGHT")
    assert "from · list · 1 element" in drawn
    assert "to · new list · 1 element" in drawn
    assert desk.sentence.count("`") == 8
    desk.type("MSET a 1 b 2 c 3 d 4")
    assert desk.sentence == "`a` is a new string: `1`. `b` is a new string: `2`. 2 more keys changed."


def test_a_transaction() -> None:
    desk = Desk()
    assert "commands are queued" in desk.type("MULTI")
    assert "+  1  SET a 1" in desk.type("SET a 1")
    assert desk.sentence == "", "nothing has happened yet"
    assert "SET a 1  → OK" in desk.type("EXEC")
    assert desk.sentence == "EXEC ran 1 command, with nothing of other clients between them."


def test_a_change_is_drawn_even_if_the_picture_was_drawn_anew_before_the_reply() -> None:
    desk = Desk()
    desk.type("SET a 1")
    desk.type("INCR a", looked_at=True)
    assert desk.sentence == "`a` changed from `1` to `2`."
    for line in ("MULTI", "INCR a"):
        desk.type(line, looked_at=True)
    assert "INCR a  → 3" in desk.type("EXEC", looked_at=True)


def test_a_script() -> None:
    desk = Desk()
    drawn = desk.type("EVAL return{redis.call('SET',KEYS[1],'x'),redis.call('GET',KEYS[1])} 1 a")
    assert "1 redis.call SET a x → OK" in drawn
    assert '2 redis.call GET a → "x"' in drawn
    assert desk.sentence == "`a` is a new string: `x`."


def test_a_hyperloglog_is_compared_with_what_was_really_added() -> None:
    desk = Desk()
    assert "really 2" in desk.type("PFADD h a b")
    kept = desk.watcher.saved()
    assert "really 3" in desk.type("PFADD h b c")
    assert "really 3" in desk.type("PFCOUNT h")
    desk.type("PFADD g c d")
    assert "really 4" in desk.type("PFMERGE h g")
    desk.watcher.restore(kept)
    desk.node.run(1, b"DEL", b"h")
    desk.node.run(1, b"PFADD", b"h", b"a", b"b")
    assert "really 2" in desk.type("PFCOUNT h")
    desk.type("SET h x")
    desk.type("DEL h")
    assert "really 1" in desk.type("PFADD h a")


def test_what_others_do_is_drawn_and_what_was_done_here_keeps_its_marks() -> None:
    desk = Desk()
    desk.type("SET a 1")
    assert desk.watcher.again(0, desk.client) is None, "nothing has happened since"
    desk.node.run(2, b"SET", b"a", b"2")
    assert "was 31" in desk.drawn(desk.watcher.again(0, desk.client))
    assert desk.watcher.again(0, desk.client) is None
    desk.node.run(2, b"SET", b"b", b"2")
    assert desk.watcher.again(0, desk.client) is None, "another key"
    assert "~" not in desk.drawn(desk.watcher.reread(0, desk.client))


def test_a_watched_key_that_another_client_changes() -> None:
    desk = Desk()
    desk.type("SET a 1")
    desk.type("WATCH a")
    desk.type("MULTI")
    desk.node.run(2, b"SET", b"a", b"2")
    assert "EXEC will return nil" in desk.drawn(desk.watcher.again(0, desk.client))


@pytest.mark.parametrize("what", [*subjects.SUBJECTS, b"a"])
def test_what_is_pinned_stays(what: str | bytes) -> None:
    desk = Desk()
    desk.type("SET a 1")
    first = desk.drawn(desk.watcher.show(what, 0, desk.client))
    assert first
    again = desk.type("SET b 2")
    assert again.split()[0] == first.split()[0]
    assert desk.sentence == "`b` is a new string: `2`."
    assert desk.watcher.show(None, 0, desk.client) is None
    assert "b · string" in desk.type("GET b")


def test_looking_leaves_no_trace() -> None:
    desk = Desk()
    desk.type("SET a 1")
    before = desk.node.run(2, b"INFO", b"commandstats", b"stats")
    desk.watcher.before([b"GET", b"a"], 0, desk.client)
    desk.watcher.after([b"GET", b"a"], [b"1"], 0, desk.client)
    desk.watcher.show("memory", 0, desk.client)
    after = desk.node.run(2, b"INFO", b"commandstats", b"stats")
    for name in (b"cmdstat_ping", b"cmdstat_type", b"cmdstat_inspect", b"cmdstat_object"):
        assert name not in after[0]
    hits = [line for line in before[0].splitlines() if line.startswith(b"keyspace_")]
    assert hits == [line for line in after[0].splitlines() if line.startswith(b"keyspace_")]


def test_a_flood_of_changes_is_bounded() -> None:
    desk = Desk()
    desk.node.run(2, b"MSET", *(b"k%d" % i for i in range(2000)))
    desk.node.looks.clear()
    desk.type("FLUSHALL")
    assert len(desk.node.looks) < 200
