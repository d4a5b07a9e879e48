"""What the terminals showed, and what was being typed, as the next program finds it."""

from pathlib import Path

from tutor.lesson.scrollback import Scrollback
from tutor.prompt.rows import row


def test_what_was_being_typed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sample.screen"
    kept = Scrollback(path, fresh=True)
    kept.add("alice", [row("OK")])
    for text in ("S", "SE", "SET k"):
        kept.keep_draft("alice", text)
    kept.keep_draft("bob", "GET")
    kept.keep_draft("bob", "")
    for _ in range(2):  # opening writes the file anew
        again = Scrollback(path, fresh=False)
        assert (again.draft("alice"), again.draft("bob")) == ("SET k", "")
        assert [each.text for each in again.rows("alice")] == ["OK"]
    assert Scrollback(path, fresh=True).draft("alice") == ""
