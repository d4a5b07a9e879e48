"""A lesson that ends at any moment resumes there: with its data, ticks, predictions, undo history and terminals."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lessons.test_session import LESSON, TEXT
from tests.prompt.screen import Terminal
from tests.screens.test_real_terminal import children_of, program
from tests.share import share
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson.journal import LessonJournal
from tutor.lesson.progress import Progress
from tutor.lesson.reading import parse_lesson
from tutor.lesson.scrollback import MOST_ROWS, Scrollback
from tutor.lesson.server import EngineServer
from tutor.lesson.session import TEXT_CHANGED, Nothing, Session
from tutor.prompt.rows import Row, row

pytestmark = pytest.mark.long

LINES = (
    "SET user:1 Ada", "SET user:1 Bob", "INCR n", "INCR user:1", "RPUSH list x y", "LPOP list", "GET user:1",
    "SELECT 2",
    "SELECT 0", "MULTI", "SET in tx", "EXEC", "DEL list", "SADD s a b", "NONSENSE", "HELP GET", '"open', "GET a",
    "EVAL \"return redis.call('incr', 'lua')\" 0", "2 INCR n", "SUBSCRIBE news", "PUBLISH news hello", "SHUTDOWN",
)  # fmt: skip


@pytest.fixture(scope="module")
def servers():
    made = [EngineServer(LESSON.terminals, seed=1), EngineServer(LESSON.terminals, seed=1)]
    yield made
    for each in made:
        each.close()


def opened(server: EngineServer, folder: Path) -> Session:
    server.renew(LESSON.terminals)
    session = Session(LESSON, server, journal=LessonJournal("sample", folder, LESSON.digest))
    session.events = session.open()  # type: ignore[attr-defined]
    return session


def act(session: Session, choice: random.Random) -> None:
    what = choice.random()
    if what < 0.7:
        session.submit(choice.choice(LESSON.terminals), choice.choice(LINES))
    elif what < 0.76:
        session.undo()
    elif what < 0.82 and session.state.step == 0:
        session.next()
    elif what < 0.86:
        session.back()
    elif what < 0.88:
        choice.choice([session.reset_step, session.reset_lesson])()
    elif what < 0.92:
        session.hint()
    elif what < 0.95:
        session.show()
    elif session.step.predictions:
        session.predict(session.step.predictions[0], choice.choice("12"))


def everything(session: Session) -> tuple:
    server, state = session.server, session.state
    data = {
        (db, key): server.inspect([b"DUMP", key], db)
        for db in (0, 2)
        for key in server.inspect([b"KEYS", b"*"], db)
    }  # fmt: skip
    prompts = [server.prompt(name) for name in LESSON.terminals]
    # A line that could not be read is not replayed, nor what would end the server.
    attempts = [each for each in state.attempts[state.since :] if each.argv and each.argv[0] != b"SHUTDOWN"]
    return state.step, state.done, state.ran, state.predicted, state.completed, attempts, data, prompts


@pytest.mark.parametrize("seed", range(12))
def test_whatever_was_done_is_there_when_the_lesson_is_opened_again(servers, tmp_path, seed):
    choice = random.Random(seed)
    session = opened(servers[0], tmp_path)
    for _ in range(choice.randrange(1, 40)):
        act(session, choice)
    file = tmp_path / "sample.jsonl"
    written = file.read_bytes()
    again = opened(servers[1], tmp_path)
    assert everything(again) == everything(session)
    assert file.read_bytes() == written, "a replay changes nothing"
    for _ in range(3):  # undo and the way back lead to the same moments
        way = choice.choice(["undo", "undo", "back"])
        getattr(session, way)(), getattr(again, way)()
        assert everything(again) == everything(session), way
    act(again, choice)
    assert everything(opened(servers[0], tmp_path)) == everything(again)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_journal_resumes_at_the_last_good_moment_and_says_so(servers, tmp_path, seed):
    choice = random.Random(seed)
    session, moments, file = opened(servers[0], tmp_path), [], tmp_path / "sample.jsonl"
    for number in range(8):
        session.submit("alice", f"RPUSH mine {number}")
        moments.append((file.stat().st_size, everything(session)))
    data = bytearray(file.read_bytes())
    place = choice.randrange(moments[0][0], len(data) - 2)
    data[place] = 0xFF
    file.write_bytes(data)
    again = opened(servers[1], tmp_path)
    assert everything(again) == [state for size, state in moments if size <= place][-1]
    said = [each.text for each in again.events if isinstance(each, Nothing)]  # type: ignore[attr-defined]
    assert any("was damaged" in text for text in said)
    assert (tmp_path / "sample.copy-1.jsonl").read_bytes() == data
    assert not any("damaged" in getattr(each, "text", "") for each in opened(servers[1], tmp_path).events)  # type: ignore[attr-defined]


def test_a_command_that_was_running_at_the_end_is_not_run_again_for_ever(servers, tmp_path, monkeypatch):
    monkeypatch.setattr("tutor.lesson.session.UNANSWERED_SECONDS", 0.1)
    session = opened(servers[0], tmp_path)
    session.submit("alice", "SET mine 1")
    before = everything(session)
    session.before("alice", 'EVAL "while true do end" 0')  # the tutor is killed here
    again = opened(servers[1], tmp_path)
    assert any("was still running" in getattr(each, "text", "") for each in again.events)  # type: ignore[attr-defined]
    assert everything(again) == before
    again.submit("alice", "INCR mine")
    assert servers[1].inspect([b"GET", b"mine"]) == b"2"


def test_a_lesson_whose_text_has_changed_within_its_steps_keeps_everything(servers, tmp_path):
    session = opened(servers[0], tmp_path)
    session.submit("alice", "SET mine 1")
    session.next()
    session.submit("alice", "SET other 2")
    before = everything(session)
    servers[1].renew(LESSON.terminals)
    changed = parse_lesson(TEXT.replace("Read it.", "Read it, Bob."), "sample.md")
    again = Session(changed, servers[1], journal=LessonJournal("sample", tmp_path, changed.digest))
    events = again.open()
    assert everything(again) == before and Nothing(TEXT_CHANGED) in events
    again.back()
    assert servers[1].inspect([b"GET", b"mine"]) == b"1" and servers[1].inspect([b"EXISTS", b"other"]) == 0


def test_a_command_that_waited_is_typed_again(servers, tmp_path):
    session = opened(servers[0], tmp_path)
    session.submit("alice", "BLPOP q 0")
    session.submit("bob", "SET mine 1")
    again = opened(servers[1], tmp_path)
    assert again.waiting == [("alice", "BLPOP q 0", None)]
    assert servers[1].inspect([b"GET", b"mine"]) == b"1"
    again.submit(*again.waiting[0])
    again.submit("bob", "RPUSH q job")
    assert servers[1].inspect([b"EXISTS", b"q"]) == 0


def test_a_line_that_came_to_nothing_is_not_kept(servers, tmp_path):
    session = opened(servers[0], tmp_path)
    session.before("alice", "BLPOP q 0")
    session.stopped("alice")
    session.before("bob", "BLPOP q 0")
    session.submit("alice", "SET mine 1")
    session.stopped("bob")
    rows = [json.loads(line) for line in (tmp_path / "sample.jsonl").read_text().splitlines()]
    assert rows[3].pop("at") and rows[3] == {"back": 1}
    assert rows[-1].pop("at") and rows[-1] == {"stopped": "bob"}
    again = opened(servers[1], tmp_path)
    assert again.waiting == [] and servers[1].inspect([b"GET", b"mine"]) == b"1"


def test_a_second_window_keeps_nothing_and_says_so(tmp_path):
    first = LessonJournal("sample", tmp_path)
    first.begin("0 One")
    window = (
        "import sys; from pathlib import Path; from tutor.lesson.journal import IN_USE, LessonJournal\n"
        "second = LessonJournal('sample', Path(sys.argv[1]))\n"
        "second.note(terminal='redis', line='SET a 2')\n"
        "assert second.notice == IN_USE.format('lesson') and not second.writes and second.step == '0 One'"
    )
    subprocess.run([sys.executable, "-c", window, tmp_path], check=True, timeout=PATIENCE_S)
    first.note(terminal="redis", line="SET a 1")
    assert [entry["line"] for entry in LessonJournal("sample", tmp_path).entries] == ["SET a 1"]


def test_forgetting_the_progress_forgets_what_was_typed(servers, tmp_path):
    session = opened(servers[0], tmp_path / "steps")
    session.submit("alice", "SET mine 1")
    session.journal.close()
    Progress(tmp_path / "progress.json").forget()
    assert not list((tmp_path / "steps").iterdir())


def test_terminals_keep_what_they_showed(tmp_path):
    kept = Scrollback(tmp_path / "a.screen", fresh=True)
    kept.add("alice", [Row((("> ", "prompt"), ("GET a", "command")), indent=2), row("a note", "note")])
    kept.add("bob", [row(str(number)) for number in range(MOST_ROWS * 2)])
    with (tmp_path / "a.screen").open("a") as file:
        file.write('["alice", 0')  # a computer lost power
    again = Scrollback(tmp_path / "a.screen", fresh=False)
    assert [each.text for each in again.rows("alice")] == ["> GET a", "a note"]
    assert again.rows("alice")[1].words and again.rows("alice")[0].spans[0] == ("> ", "prompt")
    assert [each.text for each in again.rows("bob")] == [str(number) for number in range(MOST_ROWS, MOST_ROWS * 2)]
    again.clear("bob")
    assert Scrollback(tmp_path / "a.screen", fresh=False).rows("bob") == []
    assert Scrollback(tmp_path / "a.screen", fresh=True).rows("alice") == []


def test_their_file_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr("tutor.lesson.scrollback.MAX_BYTES", 100_000)
    kept = Scrollback(tmp_path / "a.screen", fresh=True)
    for number in range(5000):
        kept.add("alice", [row(f"line {number} {'x' * 40}")])
        assert (tmp_path / "a.screen").stat().st_size <= 100_000
    assert len(Scrollback(tmp_path / "a.screen", fresh=False).rows("alice")) == MOST_ROWS


def kill(screen: Terminal) -> None:
    pid = str(screen.child.pid)
    children = [
        pid,
        *(child for child in children_of(pid)),
        *(c for child in children_of(pid) for c in children_of(child)),
    ]
    os.kill(screen.child.pid, signal.SIGKILL)
    screen.ended()
    wait_until(lambda: not any(os.path.exists(f"/proc/{each}") for each in children[1:]), "the servers end")


def _clear(screen: Terminal, half: str) -> None:
    """See what was half typed when the program was killed at the prompt again, and delete it."""
    if half == "GETDEL ha":
        screen.show(f"> {half}")
        screen.type("\x15")
        screen.gone(f"> {half}")


@pytest.mark.parametrize("seed", share(range(2), 2))
def test_the_program_is_killed_at_any_moment_and_comes_back(tmp_path: Path, seed: int) -> None:
    choice, typed, half = random.Random(seed), 0, ""
    for _ in range(3):
        with program(tmp_path, "learn", "strings", columns=80, rows=40) as screen:
            screen.show("6379> ")
            if typed:
                screen.show("commands have been replayed")
                screen.show(f"RPUSH mine {typed}")  # what the terminal showed
            _clear(screen, half)
            for _ in range(choice.randrange(1, 4)):
                typed += 1
                screen.type(f"RPUSH mine {typed}\r")
                screen.show(f"(integer) {typed}")
            half = choice.choice(["", "GETDEL ha", "APPEND other x\r"])
            screen.type(half)
            if half == "GETDEL ha":
                screen.show(half)
            kill(screen)
    with program(tmp_path, "learn", "strings", columns=80, rows=40) as screen:
        screen.show("commands have been replayed")
        _clear(screen, half)
        screen.type("LLEN mine\r")
        reply = re.compile(rf"> LLEN mine.*\(integer\) {typed}\b", re.S)
        screen.until(lambda text: reply.search(text), "the list")
