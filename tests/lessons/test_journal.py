"""The journal of a lesson: kept as it happens, read by the next program, and shown without passwords."""

import json

import pytest

from tests.lessons.test_session import LESSON, TEXT
from tutor.lesson.journal import LessonJournal
from tutor.lesson.listing import print_journal
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Nothing, Session
from tutor.prompt.history import redacted


@pytest.fixture(scope="module")
def server():
    engine = EngineServer(LESSON.terminals, seed=1)
    yield engine
    engine.close()


def rows(folder):
    return [json.loads(line) for line in (folder / "sample.jsonl").read_text().splitlines()]


def opened(server, folder, lesson=LESSON, step=0):
    server.renew(lesson.terminals)
    session = Session(lesson, server, journal=LessonJournal("sample", folder, lesson.digest))
    return session, session.open(step)


def test_everything_is_in_the_file_in_its_order(server, tmp_path):
    session, _ = opened(server, tmp_path)
    session.submit("alice", "SET user:1 Eve")
    session.undo()
    session.hint()
    session.predict(session.step.predictions[0], "2")
    session.submit("alice", "SET user:1 Ada")
    session.next()
    head, *rest = rows(tmp_path)
    assert head["journal"] == 3 and head["lesson"] == "sample" and head["digest"] == LESSON.digest
    assert head["seed"] == session.journal.seed > 0
    assert all(row.pop("at") > 1_600_000_000_000 for row in rest)
    assert rest == [
        {"step": "0 One"},
        {"terminal": "alice", "line": "SET user:1 Eve", "for": None},
        {"back": 1},
        {"action": "hint"},
        {"prediction": "predict1", "answer": "`(nil)`"},
        {"terminal": "alice", "line": "SET user:1 Ada", "for": None},
        {"done": "task1"},
        {"action": "complete"},
        {"step": "1 Two"},
    ]
    again = LessonJournal("sample", tmp_path, LESSON.digest)
    assert (again.step, again.entries, again.seed) == ("1 Two", [], head["seed"])


def test_an_example_that_was_taken_back_after_its_prediction_stays_so(server, tmp_path):
    session, _ = opened(server, tmp_path)
    (prediction,) = session.step.predictions
    (example,) = prediction.examples
    session.predict(prediction, "2")
    session.submit("alice", "SET mine 1")
    assert not session.undone(example)
    session.submit("alice", "DEL mine", example.id)
    session.undo()
    assert session.undone(example)
    for _ in range(2):  # what was replayed is in the file again
        session, _ = opened(server, tmp_path)
        assert session.undone(example) and session.said(prediction) and not session.ran(example)
    session.undo()
    assert not session.undone(example)


def test_a_truncated_row_is_dropped_and_the_next_one_is_readable(tmp_path):
    journal = LessonJournal("sample", tmp_path)
    journal.begin("0 One")
    journal.note(terminal="redis", line="SET a 1")
    with (tmp_path / "sample.jsonl").open("a") as file:
        file.write('{"terminal": "red')
    again = LessonJournal("sample", tmp_path)
    again.note(terminal="redis", line="SET a 2")
    assert [entry["line"] for entry in LessonJournal("sample", tmp_path).entries] == ["SET a 1", "SET a 2"]


def test_a_file_of_the_first_version_is_resumed(server, tmp_path):
    first = [{"step": "0 One"}, {"terminal": "alice", "line": "SET mine 1", "for": None}]
    (tmp_path / "sample.jsonl").write_text("".join(json.dumps(row) + "\n" for row in first))
    _, events = opened(server, tmp_path)
    assert Nothing("You are where you were: your commands have been replayed.") in events
    assert server.inspect([b"GET", b"mine"]) == b"1"
    assert rows(tmp_path)[0]["journal"] == 3


@pytest.mark.parametrize("damage", ["", "nonsense", "[]\n", '{"journal": 2}\n{"back": "x"}\n', '{"step": {}}\n\xff'])
def test_a_damaged_file_costs_nothing_else(server, tmp_path, damage):
    (tmp_path / "sample.jsonl").write_bytes(damage.encode("latin-1"))
    session, _ = opened(server, tmp_path)
    session.submit("alice", "SET mine 1")
    assert [entry.get("line") for entry in LessonJournal("sample", tmp_path).entries] == ["SET mine 1"]


def test_a_lesson_whose_text_has_changed_resumes_at_its_step_and_says_so(server, tmp_path):
    session, _ = opened(server, tmp_path)
    session.next()
    session.submit("alice", "SET mine 1")
    text = TEXT.replace("## One", "## New\n\nA step before.\n\n```redis\n127.0.0.1:6379> PING\nPONG\n```\n\n## One")
    changed = parse_lesson(text, "sample.md")
    session, events = opened(server, tmp_path, changed, 1)
    assert session.step.title == "Two" and session.step.number == 3
    assert Nothing("The text of this lesson has changed. You are at the same step, with its data.") in events
    assert server.inspect([b"GET", b"mine"]) == b"1"
    _, events = opened(server, tmp_path, changed, 2)
    assert not any("has changed" in getattr(event, "text", "") for event in events)


@pytest.mark.parametrize(
    "line, shown",
    [
        ("SET a 1", "SET a 1"),
        ("AUTH ada secret", "AUTH (redacted)"),
        ("CONFIG SET requirepass secret", "CONFIG (redacted)"),
        ("2 auth secret", "auth (redacted)"),
        ("ACL SETUSER ada >secret on", "ACL (redacted)"),
        ("redis-cli -a secret PING", "redis-cli -a (redacted) PING"),
        ("echo requirepass 'my secret' >> redis.conf", "echo requirepass (redacted) >> redis.conf"),
        ("printf 'AUTH secret\\r\\n' | nc 127.0.0.1 6379", "printf 'AUTH (redacted) | nc 127.0.0.1 6379"),
        ("GET requirepass", "GET requirepass"),
    ],
)
def test_an_export_tells_no_secret(tmp_path, line, shown):
    assert redacted(line) == shown
    journal = LessonJournal("sample", tmp_path)
    journal.begin("0 One")
    journal.note(terminal="redis", line=line)
    assert [json.loads(row).get("line") for row in journal.export().splitlines()] == [None, None, shown]
    assert LessonJournal("sample", tmp_path).entries[0]["line"] == line, "the learner's own file replays it"


def test_the_command_prints_it_and_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    assert print_journal("strings") == 1 and "you have not begun" in capsys.readouterr().err
    journal = LessonJournal("strings")
    journal.begin("0 Introduction")
    journal.note(terminal="redis", line="AUTH secret")
    before = (tmp_path / "steps" / "strings.jsonl").read_bytes()
    assert print_journal("strings") == 0
    told = capsys.readouterr().out.splitlines()
    assert json.loads(told[0])["journal"] == 3 and json.loads(told[2])["line"] == "AUTH (redacted)"
    assert (tmp_path / "steps" / "strings.jsonl").read_bytes() == before
    assert print_journal("strinks") == 1 and "did you mean strings" in capsys.readouterr().err
