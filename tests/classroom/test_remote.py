"""`redis-tutor join`: a learner's own terminal, with the work sent to the hub when there is a connection."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.conftest import ServedClass
from tests.prompt.screen import Terminal
from tests.waiting import wait_until
from tutor.classroom.outbox import LearnerOutbox
from tutor.classroom.remote import CannotJoin, RemoteClass, RemoteUplink
from tutor.classroom.store import ClassStore

LESSON = "what-redis-is"


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a learner's own computer, of this process, too."""
    path = tmp_path / "own"
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(path))
    return path


def answers(*lines: str) -> Callable[[str], str | None]:
    waiting = list(lines)
    return lambda prompt: waiting.pop(0) if waiting else None


def lines_of(served: ServedClass) -> list[str]:
    store = ClassStore(served.folder / "store.sqlite3")
    found = [str(each.body["row"]["line"]) for each in store.records().result() if "line" in each.body.get("row", {})]
    store.close()
    return found


def signed_in(served: ServedClass, name: str) -> RemoteClass:
    hub = RemoteClass(served.address)
    hub.sign_in(answers(served.code, name, "yes"), lambda text: None)
    return hub


def test_signing_in_and_again_with_the_personal_code(served: ServedClass, home: Path) -> None:
    said: list[str] = []
    hub = RemoteClass(served.address)
    hub.sign_in(answers(served.code, " Own  Terminal ", "y"), said.append)
    assert hub.member.name == "Own Terminal"
    (kept,) = home.rglob("class.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert RemoteClass(served.address).member == hub.member, "it is known the next time"
    code = said[0].split()[4].rstrip(".")
    other = RemoteClass(served.address)
    other.member = None
    other.sign_in(answers(code), said.append)
    assert other.member.name == "Own Terminal"


@pytest.mark.parametrize(
    "typed, problem",
    [
        (("AAA-AAA", "X"), "not the code"),
        (("AAAA-AAAA-AAAA",), "no learner with this code"),
        (("CODE", "Y", "no"), "have not joined"),
        (("CODE", ""), "Enter a name"),
    ],
)
def test_what_does_not_let_one_in(served: ServedClass, home: Path, typed: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CannotJoin, match=problem):
        RemoteClass(served.address).sign_in(
            answers(*(served.code if each == "CODE" else each for each in typed)), lambda text: None
        )


@pytest.mark.parametrize("address", ["", "ftp://x", "http://"])
def test_addresses_that_are_none(home: Path, address: str) -> None:
    with pytest.raises(CannotJoin, match="not an address"):
        RemoteClass(address)


def test_records_arrive_once_however_often_they_are_sent(served: ServedClass, home: Path) -> None:
    hub = signed_in(served, "Often")
    box = hub.outbox()
    for number in range(450):
        box.add(lesson=LESSON, row={"line": f"SET often {number}"})
    heard: list[dict[str, Any]] = []
    link = RemoteUplink(hub, box, heard.append, lambda state: None)
    link.send()
    assert box.saved == 200
    old = hub.post(
        "/records", {"outbox": box.id, "records": [{"n": 5, "at": 1, "row": {"line": "twice"}}], "heard": None}
    )
    assert old["saved"] == 200
    ahead = hub.post("/records", {"outbox": box.id, "records": [{"n": 900, "at": 1}], "heard": None})
    assert ahead["saved"] == 200, "a gap is not accepted"
    link.close()
    assert box.saved == 450 and link.state().startswith("saved by the hub")
    found = [line for line in lines_of(served) if line.startswith("SET often")]
    assert found == [f"SET often {number}" for number in range(450)]


@pytest.mark.long
def test_without_a_connection_nothing_is_lost(own_class: ServedClass, home: Path) -> None:
    own_class.begin()
    hub = signed_in(own_class, "Offline")
    box = hub.outbox()
    told: list[str] = []
    link = RemoteUplink(hub, box, lambda message: None, told.append)
    link.start()
    box.add(lesson=LESSON, row={"line": "one"})
    wait_until(lambda: box.saved == 1, "the first is saved")
    own_class.kill()
    box.add(lesson=LESSON, row={"line": "two"})
    wait_until(lambda: told and told[-1].startswith("not saved"), "the learner is told")
    own_class.begin()
    wait_until(lambda: box.saved == 2, "the second is saved without being asked for")
    wait_until(lambda: told[-1].startswith("saved"), "the learner is told")
    link.close()
    assert lines_of(own_class) == ["one", "two"]


def test_the_teachers_lines_and_stops_arrive(served: ServedClass, home: Path) -> None:
    hub = signed_in(served, "Listener")
    heard: list[dict[str, Any]] = []
    link = RemoteUplink(hub, hub.outbox(), heard.append, lambda state: None)

    async def say(**action: Any) -> None:
        async with served.browser() as teacher:
            await teacher.enter_as_teacher(served.link)
            await teacher.do(**action)

    go(say(action="say", text="before"))
    link.send()
    assert heard == [], "what was said before is over"
    go(say(action="say", text="hello"))
    go(say(action="stop", lesson=LESSON, step=2))
    link.send()
    link.send()
    assert heard == [{"say": "hello"}, {"stops": {LESSON: 2}}]
    go(say(action="stop", lesson=LESSON, step=None))


@pytest.mark.parametrize(
    "records",
    [
        [{"n": 1, "at": 1 << 90, "row": {"line": "x"}}],
        [{"n": 1, "at": 1, "lesson": LESSON, "journal": {}, "rows": [1, "x", None]}],
        [{"n": 1, "at": 1, "lesson": LESSON, "row": {"step": "² x"}}],
        [{"n": 1, "at": 1, "lesson": LESSON, "row": {"back": "x"}}],
        [{"n": 1, "at": 1, "lesson": [], "row": {"done": {"a": []}}}],
        [{"n": 1, "at": 1, "lesson": LESSON, "mistake": None, "task": {}}],
        [{"n": "x", "at": 1}],
        [{"at": 1}],
        ["text"],
        "text",
    ],
)
def test_forged_records_harm_nobody(served: ServedClass, home: Path, records: Any) -> None:
    hub = signed_in(served, f"Forger {abs(hash(json.dumps(records)))}")
    with contextlib.suppress(CannotJoin):
        assert hub.post("/records", {"outbox": "f0", "records": records, "heard": None})["saved"] <= 1
    box = LearnerOutbox(home / "box")
    box.add(row={"line": "honest"})
    link = RemoteUplink(hub, box, lambda message: None, lambda state: None)
    link.send()
    assert box.saved == 1


@pytest.mark.long
def test_a_lesson_in_ones_own_terminal(served: ServedClass, home: Path) -> None:
    env = {"REDIS_TUTOR_HOME": str(home), "TEXTUAL_ANIMATIONS": "none", "PYTHONPATH": os.getcwd()}
    argv = [sys.executable, "-m", "tutor", "join", served.address]
    with Terminal(argv, env=env, columns=100, rows=30) as screen:
        screen.show("Code of the class")
        screen.type(f"{served.code}\r")
        screen.show("Your name")
        screen.type("Terminal person\r")
        screen.show("Right?")
        screen.type("yes\r")
        screen.show("lessons done")
        screen.type("\r")
        screen.show("6379>")
        screen.type("ECHO from-my-own-computer\r")
        wait_until(lambda: "ECHO from-my-own-computer" in lines_of(served), "it is on the hub")
        assert "ECHO from-my-own-computer" in (home / "steps" / f"{LESSON}.jsonl").read_text()
        screen.type("\x11")
        assert screen.ended() == 0
        assert b"saved by the hub" in screen.raw
