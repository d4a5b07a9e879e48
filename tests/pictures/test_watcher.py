"""What is drawn after a command and what is said of it, on a node of ours."""

from typing import Any

import pytest

from tests.pictures.drawing import Watched, written
from tutor.lesson.watcher import Watcher
from tutor.pictures import subjects
from tutor.pictures.picture import PictureView


class WatchedServer:
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
    watched = WatchedServer()
    assert "new string" in watched.type("SET a 1")
    assert watched.sentence == "`a` is a new string: `1`."
    assert "a · string" in watched.type("GET a")
    assert watched.sentence == ""
    assert watched.type("LPUSH a x") == "", "an error leaves the picture as it is"
    assert watched.sentence == ""
    assert watched.type("PING") != ""
    watched.type("INCR a")
    assert watched.sentence == "`a` changed from `1` to `2`."
    assert watched.type("NOSUCH a") == ""


def test_two_keys_of_a_command_are_drawn() -> None:
    watched = WatchedServer()
    watched.type("RPUSH from x y")
    drawn = watched.type("LMOVE from to LEFT RIGHT")
    assert "from · list · 1 element" in drawn
    assert "to · new list · 1 element" in drawn
    assert watched.sentence.count("`") == 8
    watched.type("MSET a 1 b 2 c 3 d 4")
    assert watched.sentence == "`a` is a new string: `1`. `b` is a new string: `2`. 2 more keys changed."


def test_a_transaction() -> None:
    watched = WatchedServer()
    assert "commands are queued" in watched.type("MULTI")
    assert "+  1  SET a 1" in watched.type("SET a 1")
    assert watched.sentence == "", "nothing has happened yet"
    assert "SET a 1  → OK" in watched.type("EXEC")
    assert watched.sentence == "EXEC ran 1 command."


def test_a_change_is_drawn_even_if_the_picture_was_drawn_anew_before_the_reply() -> None:
    watched = WatchedServer()
    watched.type("SET a 1")
    watched.type("INCR a", looked_at=True)
    assert watched.sentence == "`a` changed from `1` to `2`."
    for line in ("MULTI", "INCR a"):
        watched.type(line, looked_at=True)
    assert "INCR a  → 3" in watched.type("EXEC", looked_at=True)


def test_a_script() -> None:
    watched = WatchedServer()
    drawn = watched.type("EVAL return{redis.call('SET',KEYS[1],'x'),redis.call('GET',KEYS[1])} 1 a")
    assert "1 redis.call SET a x → OK" in drawn
    assert '2 redis.call GET a → "x"' in drawn
    assert watched.sentence == "`a` is a new string: `x`."


def test_a_hyperloglog_is_compared_with_what_was_really_added() -> None:
    watched = WatchedServer()
    assert "really 2" in watched.type("PFADD h a b")
    kept = watched.watcher.saved()
    assert "really 3" in watched.type("PFADD h b c")
    assert "really 3" in watched.type("PFCOUNT h")
    watched.type("PFADD g c d")
    assert "really 4" in watched.type("PFMERGE h g")
    watched.watcher.restore(kept)
    watched.node.run(1, b"DEL", b"h")
    watched.node.run(1, b"PFADD", b"h", b"a", b"b")
    assert "really 2" in watched.type("PFCOUNT h")
    watched.type("SET h x")
    watched.type("DEL h")
    assert "really 1" in watched.type("PFADD h a")


def test_what_others_do_is_drawn_and_what_was_done_here_keeps_its_marks() -> None:
    watched = WatchedServer()
    watched.type("SET a 1")
    assert watched.watcher.again(0, watched.client) is None, "nothing has happened since"
    watched.node.run(2, b"SET", b"a", b"2")
    assert "was 31" in watched.drawn(watched.watcher.again(0, watched.client))
    assert watched.watcher.again(0, watched.client) is None
    watched.node.run(2, b"SET", b"b", b"2")
    assert watched.watcher.again(0, watched.client) is None, "another key"
    assert "~" not in watched.drawn(watched.watcher.reread(0, watched.client))


def test_a_watched_key_that_another_client_changes() -> None:
    watched = WatchedServer()
    watched.type("SET a 1")
    watched.type("WATCH a")
    watched.type("MULTI")
    watched.node.run(2, b"SET", b"a", b"2")
    assert "EXEC will return nil" in watched.drawn(watched.watcher.again(0, watched.client))


@pytest.mark.parametrize("what", [*subjects.SUBJECTS, b"a"])
def test_what_is_pinned_stays(what: str | bytes) -> None:
    watched = WatchedServer()
    watched.type("SET a 1")
    first = watched.drawn(watched.watcher.show(what, 0, watched.client))
    assert first
    again = watched.type("SET b 2")
    assert again.split()[0] == first.split()[0]
    assert watched.sentence == "`b` is a new string: `2`."
    assert watched.watcher.show(None, 0, watched.client) is None
    assert "b · string" in watched.type("GET b")


def test_looking_leaves_no_trace() -> None:
    watched = WatchedServer()
    watched.type("SET a 1")
    before = watched.node.run(2, b"INFO", b"commandstats", b"stats")
    watched.watcher.before([b"GET", b"a"], 0, watched.client)
    watched.watcher.after([b"GET", b"a"], [b"1"], 0, watched.client)
    watched.watcher.show("memory", 0, watched.client)
    after = watched.node.run(2, b"INFO", b"commandstats", b"stats")
    for name in (b"cmdstat_ping", b"cmdstat_type", b"cmdstat_inspect", b"cmdstat_object"):
        assert name not in after[0]
    hits = [line for line in before[0].splitlines() if line.startswith(b"keyspace_")]
    assert hits == [line for line in after[0].splitlines() if line.startswith(b"keyspace_")]


def test_a_flood_of_changes_is_bounded() -> None:
    watched = WatchedServer()
    watched.node.run(2, b"MSET", *(b"k%d" % i for i in range(2000)))
    watched.node.looks.clear()
    watched.type("FLUSHALL")
    assert len(watched.node.looks) < 200
