"""What a class keeps on disk."""

import sqlite3
import stat
import time
from pathlib import Path

import pytest

from tutor.classroom.outbox import LearnerOutbox
from tutor.classroom.store import ClassStore, StoredRecord, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


def record(n: int, **body: object) -> StoredRecord:
    return StoredRecord(1, "box", n, 1000 + n, dict(body))


def test_a_record_that_arrives_twice_is_stored_once(path: Path) -> None:
    store = ClassStore(path)
    store.append([record(1, row="a"), record(2, row="b")]).result()
    store.append([record(2, row="b"), record(3, row="c")]).result()
    store.close()
    store = ClassStore(path)
    assert [(each.n, each.body) for each in store.records(1).result()] == [
        (1, {"row": "a"}),
        (2, {"row": "b"}),
        (3, {"row": "c"}),
    ]
    assert store.last_numbers().result() == {(1, "box"): 3}
    store.close()


def test_learners_and_their_codes(path: Path) -> None:
    store = ClassStore(path)
    ada = store.add_learner("Ada", "digest-a").result()
    bob = store.add_learner("Bob", "digest-b", roster=True).result()
    assert not bob.joined
    assert store.learner_of_code("digest-a").result() == ada
    assert store.learner_of_code("digest-b").result().joined
    assert store.learner_of_code("digest-c").result() is None
    store.add_token("t", "learner", ada.id, time.time() + 60).result()
    store.add_token("old", "learner", ada.id, time.time() - 1).result()
    assert list(store.tokens().result()) == ["t"]
    store.change_code(ada.id, "digest-d").result()
    assert store.tokens().result() == {}
    assert store.learner_of_code("digest-a").result() is None
    store.close()


def test_who_is_forgotten_leaves_nothing_in_the_files(path: Path) -> None:
    store = ClassStore(path)
    ada = store.add_learner("Adalovelace", "code").result()
    store.append([StoredRecord(ada.id, "box", 1, 1, {"row": {"line": "SET adaskey 1"}})]).result()
    store.forget(ada.id).result()
    assert store.learners().result() == []
    store.close()
    data = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"Adalovelace" not in data
    assert b"adaskey" not in data


def test_only_the_owner_can_read_it(path: Path) -> None:
    ClassStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_newer_schema_is_refused(path: Path) -> None:
    ClassStore(path).close()
    base = sqlite3.connect(path)
    base.execute("PRAGMA user_version=99")
    base.close()
    with pytest.raises(StoreError, match=r"newer redis-tutor.*schema 99"):
        ClassStore(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"nonsense " * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        ClassStore(path)


# -- the outbox


def test_an_outbox_keeps_what_is_not_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "box.jsonl"
    box = LearnerOutbox(path)
    assert [box.add(row=each) for each in "abc"] == [1, 2, 3]
    box.confirm(2)
    box.close()
    again = LearnerOutbox(path)
    assert again.id == box.id
    assert [each["row"] for each in again.after(again.saved)] == ["c"]
    assert again.add(row="d") == 4
    again.confirm(4)
    again.close()
    assert len(path.read_text().splitlines()) == 1, "what is confirmed is removed"


def test_an_outbox_with_a_truncated_line_goes_on_before_it(tmp_path: Path) -> None:
    path = tmp_path / "box.jsonl"
    box = LearnerOutbox(path)
    box.add(row="a")
    box.add(row="b")
    box.close()
    path.write_bytes(path.read_bytes()[:-3])
    again = LearnerOutbox(path)
    assert [each["row"] for each in again.after(0)] == ["a"]
    assert again.add(row="c") == 2


def test_an_outbox_says_since_when_it_is_not_saved(tmp_path: Path) -> None:
    box = LearnerOutbox(tmp_path / "box.jsonl")
    assert not box.failing_since
    box.add(row="a")
    assert box.failing_since
    box.confirm(1)
    assert not box.failing_since and box.saved_at
