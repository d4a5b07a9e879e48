"""Grading by replay: journals that are right, wrong, forged, truncated, or of another version of their lesson."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.conftest import ServedClass, made
from tests.classroom.recorded import as_file, claimed, forged, record
from tests.share import share
from tutor.classroom.export import export_csv
from tutor.classroom.grading import (
    COLUMNS,
    CannotGrade,
    GradedTask,
    JournalRuns,
    Marking,
    grade,
    read_journal,
    results,
    runs_of,
)
from tutor.classroom.store import ClassStore, StoredRecord
from tutor.lesson.catalogue import installed_course
from tutor.lesson.model import Lesson

pytestmark = pytest.mark.long

COURSE = installed_course()
LESSONS = [*share(COURSE.lessons, 12), COURSE.find("latency")]  # which needs DEBUG SLEEP
Row = dict[str, Any]


def lesson(name: str) -> Lesson:
    return COURSE.find(name)


def statuses(which: Lesson, rows: list[Row]) -> list[str]:
    ((header, kept),) = read_journal(as_file(rows)).runs
    return [task.status for task in grade(which, header, kept).tasks]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A journal of the first lesson, all of whose tasks are done."""
    return record(lesson("what-redis-is"), tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("which", LESSONS, ids=lambda each: each.id)
def test_every_lesson(which: Lesson, tmp_path: Path) -> None:
    """Taken by the book; the same file without its lines; and a file that claims everything."""
    rows = record(which, tmp_path / "right")
    tasks = sum(len(step.tasks) for step in which.steps)
    assert statuses(which, rows) == ["done"] * tasks
    assert "done" not in statuses(which, forged(rows))
    last = len(which.steps[-1].tasks)  # the last step is not left, so nothing is claimed there
    found = statuses(which, claimed(record(which, tmp_path / "open", solves=False), which))
    assert found == ["unconfirmed"] * (tasks - last) + ["open"] * last


def test_a_truncated_journal_counts_up_to_there(right: list[Row]) -> None:
    data = as_file(right)
    at = next(number for number, row in enumerate(right) if row.get("done"))
    cut = as_file(right[: at + 1])
    for extra in (b"", data[len(cut) : len(cut) + 20], b"\x00\xff garbage\n{}\n"):
        ((header, rows),) = read_journal(cut + extra).runs
        assert [task.status for task in grade(lesson("what-redis-is"), header, rows).tasks] == ["done"] + ["open"] * 3


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"journal": 99}, "newer redis-tutor"),
        ({"seed": 0}, "no seed"),
        ({"seed": "x"}, "no seed"),
        ({"journal": "3"}, "newer redis-tutor"),
    ],
)
def test_headers_that_are_refused(right: list[Row], change: Row, problem: str) -> None:
    with pytest.raises(CannotGrade, match=problem):
        statuses(lesson("what-redis-is"), [{**right[0], **change}, *right[1:]])


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b"text\n", b'{"step": "0 x"}\n', b'{"journal": 3}\n'])
def test_files_that_are_no_journals(data: bytes) -> None:
    with pytest.raises(CannotGrade):
        read_journal(data)


def test_another_version_of_the_lesson(right: list[Row]) -> None:
    renamed = [{**row, "step": "1 Renamed"} if row.get("step", "").startswith("1 ") else row for row in right]
    with pytest.raises(CannotGrade, match="another version"):
        statuses(lesson("what-redis-is"), renamed)
    ((header, rows),) = read_journal(as_file([{**right[0], "digest": "older"}, *right[1:]])).runs
    result = grade(lesson("what-redis-is"), header, rows)
    assert result.note == "The lesson's text has changed since."
    assert all(task.done for task in result.tasks)


def test_lines_of_another_lesson_do_not_help(right: list[Row]) -> None:
    which = (
        lesson("first-commands") if any(each.id == "first-commands" for each in COURSE.lessons) else COURSE.lessons[1]
    )
    rows = [{**right[0], "lesson": which.key}, *right[1:]]
    with pytest.raises(CannotGrade, match="another version"):
        statuses(which, rows)


def test_shown_solutions_and_hints(right: list[Row]) -> None:
    at = next(number for number, row in enumerate(right) if "done" in row) - 1
    stamp = right[at]["at"]
    shown = [*right[:at], {"action": "show", "at": stamp}, *right[at:]]
    assert statuses(lesson("what-redis-is"), shown)[0] == "shown"
    hinted = [*right[:at], {"action": "hint", "at": stamp}, {"action": "hint", "at": stamp}, *right[at:]]
    ((header, rows),) = read_journal(as_file(hinted)).runs
    task = grade(lesson("what-redis-is"), header, rows).tasks[0]
    assert (task.status, task.hints, task.attempts) == ("done", 2, 1)
    assert Marking(10, 3).of(task) == 4
    assert Marking(10, 0).of(task) == 10
    assert Marking(10, 9).of(task) == 0


def test_time_passes_in_a_replay_as_it_did(tmp_path: Path) -> None:
    """A key that expires between two lines of the journal has expired in the replay, at once."""
    which = lesson("what-redis-is")
    step = f"0 {which.steps[0].title}"
    start = 1_700_000_000_000
    rows = [
        {"journal": 3, "lesson": which.key, "digest": which.digest, "seed": 7},
        {"step": step, "at": start},
        {"terminal": "redis", "line": "SET hello 1 EX 100", "for": None, "at": start + 1000},
        {"terminal": "redis", "line": "EVAL \"return redis.call('GET','hello') and 'no' or 'hello'\" 0", "for": None}
        | {"at": start + 200_000},
        {"terminal": "redis", "line": "ECHO hello", "for": None, "at": start + 201_000},
        {"done": "task1", "at": start + 201_000},
    ]
    assert statuses(which, rows)[0] == "done"
    ((header, kept),) = read_journal(as_file(rows)).runs
    assert grade(which, header, kept).tasks[0].at == start + 201_000


def test_a_script_that_never_ends_does_not_stop_the_grading(right: list[Row]) -> None:
    at = next(number for number, row in enumerate(right) if "done" in row) + 1
    endless = {"terminal": "redis", "line": 'EVAL "while true do end" 0', "for": None, "at": right[at]["at"]}
    ((header, rows),) = read_journal(as_file([*right[:at], endless, *right[at:]])).runs
    result = grade(lesson("what-redis-is"), header, rows)
    assert [task.status for task in result.tasks] == ["done"] + ["open"] * 3
    assert "The replay ended early" in result.note


def test_python_never_runs_in_a_replay(tmp_path: Path) -> None:
    which = next(each for each in COURSE.lessons if any(map(each.is_python, each.terminals)))
    terminal = next(filter(which.is_python, which.terminals))
    victim = tmp_path / "written"
    rows = [
        {"journal": 3, "lesson": which.key, "digest": which.digest, "seed": 7},
        {"step": f"0 {which.steps[0].title}", "at": 1},
        {"terminal": terminal, "line": f"open({str(victim)!r}, 'w').write('x')", "for": None, "at": 2},
        {"action": "complete", "at": 3},
        {"step": f"1 {which.steps[1].title}", "at": 4},
    ]
    statuses(which, rows)
    assert not victim.exists()


# -- rows


def test_identical_journals_are_pointed_out(right: list[Row], tmp_path: Path) -> None:
    other = record(lesson("what-redis-is"), tmp_path)
    long = [{"terminal": "redis", "line": f"SET k {n}", "for": None, "at": right[1]["at"]} for n in range(10)]
    at = 2
    journals = {
        "ada": [*right[:at], *long, *right[at:]],
        "bob": [*right[:at], *long, *right[at:]],
        "eve": [*other[:at], *long, *other[at:]],
        "sue": other,
    }
    rows, problems = results(
        [(name, read_journal(as_file(each))) for name, each in journals.items()], COURSE, Marking()
    )
    assert problems == []
    first = {row["learner"]: row for row in rows if row["step"] == 1}
    assert (first["ada"]["same_journal"], first["ada"]["same_lines"]) == ("bob", "eve")
    assert first["eve"]["same_journal"] == "sue", "the same seed"
    assert (first["sue"]["same_journal"], first["sue"]["same_lines"]) == ("eve", "")


def test_the_best_of_several_times_counts(right: list[Row]) -> None:
    again = [
        right[0],
        right[1],
        {"step": "", "at": 5},
        *right[1:],
        {"step": "", "at": 6},
        right[1],
    ]
    rows, problems = results([("ada", read_journal(as_file(again)))], COURSE, Marking())
    assert problems == []
    assert [row["status"] for row in rows] == ["done"] * 4


@pytest.mark.parametrize(
    "row",
    [
        {"prediction": [], "answer": {}},
        {"terminal": [], "line": {}},
        {"done": {}},
        {"stopped": []},
        {"ran": "redis", "sent": [[1]]},
        {"back": 10**30},
        {"undone": {}},
        {"step": ["0"]},
    ],
)
def test_rows_that_no_tutor_wrote_stop_nothing(right: list[Row], row: Row) -> None:
    forged_rows = [*right[:2], {**row, "at": "x"}, *right[2:]]
    rows, problems = results(
        [("eve", read_journal(as_file(forged_rows))), ("ada", read_journal(as_file(right)))], COURSE, Marking()
    )
    assert [each["status"] for each in rows if each["learner"] == "ada"] == ["done"] * 4
    assert len(problems) <= 1


def test_what_is_done_after_the_deadline_is_late() -> None:
    task = GradedTask(0, "t", "", done=True, at=1_700_000_000_000)
    when = datetime.fromtimestamp(1_700_000_000, UTC)
    assert not Marking(deadline=when).is_late(task)
    task.at += 1
    assert Marking(deadline=when).is_late(task)


def test_a_spreadsheet_executes_no_cell() -> None:
    text = export_csv([{"learner": '=HYPERLINK("x")', "points": -1}], ["learner", "points"])
    assert list(csv.reader(io.StringIO(text)))[1] == ['\'=HYPERLINK("x")', "-1"]


def test_records_of_a_class_become_journals() -> None:
    header = {"journal": 3, "lesson": "l", "seed": 1}
    records: list[Row] = [
        {"lesson": "l", "row": {"step": "lost: before any journal"}},
        {"lesson": "l", "journal": header, "rows": []},
        {"lesson": "l", "row": {"step": "0 A"}},
        {"lesson": "l", "row": {"line": "PING"}},
        {"lesson": "l", "journal": header, "rows": [{"step": "0 A"}, {"line": "PING"}]},
        {"lesson": "l", "row": {"line": "GET"}},
        {"lesson": "l", "row": {"back": 2}},
        {"help": True},
        {"lesson": "l", "row": {"step": ""}},
        {"lesson": "l", "journal": {**header, "seed": 2}, "rows": []},
        {"lesson": "l", "row": {"step": "0 A"}},
    ]
    runs = runs_of(records)["l"].runs
    assert [(found["seed"], rows) for found, rows in runs] == [
        (1, [{"step": "0 A"}, {"line": "PING"}]),
        (2, [{"step": "0 A"}]),
    ]


# -- the commands


def test_grade_prints_rows_for_each_task(right: list[Row], tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    for name, rows in (("ada", right), ("bob", forged(right))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "what-redis-is.jsonl").write_bytes(as_file(rows))
    files = [str(tmp_path / name / "what-redis-is.jsonl") for name in ("ada", "bob")]
    done = home.run("grade", *files)
    assert done.returncode == 0, done.stderr
    assert "ada/what-redis-is: what-redis-is: 4 of 4 tasks, 40 of 40 points" in done.stdout
    assert "bob/what-redis-is: what-redis-is: 0 of 4 tasks, 0 of 40 points" in done.stdout
    assert "the same journal as ada/what-redis-is" in done.stdout
    table = list(csv.DictReader(io.StringIO(home.run("grade", "--csv", *files).stdout)))
    assert list(table[0]) == COLUMNS and len(table) == 8
    assert json.loads(home.run("grade", "--json", "--points", "5", files[0]).stdout)[0]["points"] == 5
    wrong = home.run("grade", files[0], str(tmp_path / "missing.jsonl"))
    assert wrong.returncode == 1 and "missing.jsonl: No such file" in wrong.stderr
    assert home.run("grade", "--deadline", "yesterday", files[0]).returncode == 1


def test_a_class_is_exported(right: list[Row], tmp_path: Path) -> None:
    home = made(tmp_path / "home", "points: 7\ndeadline: 2001-01-01T00:00:00+01:00\n")
    store = ClassStore(home.folder / "store.sqlite3")
    ada = store.add_learner("Ada; 'x' ../..", "code").result()
    bodies = [{"lesson": "what-redis-is", "journal": right[0], "rows": []}]
    secret = {"terminal": "redis", "line": "AUTH hunter22", "for": None, "at": right[1]["at"]}
    bodies += [{"lesson": "what-redis-is", "row": row} for row in [right[1], secret, *right[2:]]]
    store.append([StoredRecord(ada.id, "box", n, n, body) for n, body in enumerate(bodies, 1)]).result()
    store.add_learner("Idle", "another code").result()
    store.close()
    table = list(csv.DictReader(io.StringIO(home.run("class", "export").stdout)))
    assert [(row["learner"], row["status"], row["points"], row["late"]) for row in table] == [
        *[("Ada; 'x' ../..", "done", "7", "yes")] * 4,
        ("Idle", "open", "0", "no"),
    ]
    assert (table[-1]["lesson"], table[-1]["note"]) == ("", "opened no lesson")
    with open(home.folder / "class.yaml", "a") as settings:
        settings.write("lessons: [what-redis-is, first-commands]\n")
    table = list(csv.DictReader(io.StringIO(home.run("class", "export").stdout)))
    idle = [(row["lesson"], row["status"]) for row in table if row["learner"] == "Idle"]
    assert idle[:4] == [("what-redis-is", "open")] * 4 and idle[-1] == ("first-commands", "open")
    assert len(table) == 2 * len(idle), "each learner has every task of the class's lessons"
    assert home.run("class", "export", "test", "--journals", str(tmp_path / "out")).returncode == 0
    (path,) = (tmp_path / "out").rglob("*.jsonl")
    assert path.parent.parent == tmp_path / "out", "a name leads nowhere else"
    assert "hunter22" not in path.read_text()


def test_a_class_that_was_played_gets_its_result(own_class: ServedClass) -> None:
    import asyncio

    from tests.classroom.test_terminals import joined, open_first

    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "Player") as (_, page):
            await open_first(page)
            await page.type("ECHO hello\r")
            await page.show('"hello"')
            await page.type("\x1b[19~")
            await page.show("step 2 of 5")

    asyncio.run(play())
    own_class.end()
    table = list(csv.DictReader(io.StringIO(own_class.run("class", "export").stdout)))
    assert [row["status"] for row in table] == ["done", "open", "open", "open"]
    assert JournalRuns().runs == []
