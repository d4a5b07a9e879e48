"""Lessons on a real server, and a real server looked at without writing to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import RealServer as Started
from tests.real import start_server
from tutor.client import Connection
from tutor.lesson.catalogue import installed_course
from tutor.lesson.connected import Connected
from tutor.lesson.controller import LessonController
from tutor.lesson.progress import Progress
from tutor.lesson.real_server import RealServer, ServerAddress, may_run, parse_address, why_not
from tutor.plain import Plain, PlainConnected

pytestmark = pytest.mark.long
COURSE = installed_course()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    with start_server("--requirepass", "secret") as server:
        yield server


@pytest.fixture
def server(started: Started) -> Iterator[Connection]:
    """A connection to the server, which is empty."""
    connection = Connection.tcp("127.0.0.1", started.port, timeout=20)
    connection.call("AUTH", "secret")
    connection.call("FLUSHALL")
    yield connection
    connection.call("FLUSHALL")
    connection.close()


@pytest.fixture
def url(started: Started) -> str:
    return f"redis://:secret@127.0.0.1:{started.port}"


def play(make: type[Plain], controller: LessonController, *typed: str) -> str:
    lines, written = list(typed), list[str]()
    make(controller, lambda prompt: lines.pop(0) if lines else None, written.append).run()
    return "\n".join(written)


def test_a_lesson_is_taken_undone_and_leaves_the_server_as_it_was(server: Connection, url: str) -> None:
    server.call("CONFIG", "SET", "maxmemory", "100mb")
    real = RealServer(parse_address(url), writes=True)
    controller = LessonController(COURSE.find("strings"), COURSE, Progress(), real=real)
    seen: list[object] = []

    def look(prompt: str) -> str | None:
        seen.append(server.call("GET", "user:1"))
        return None

    lines = [":run", "SET user:1 Ada", "SELECT 3", "CONFIG SET maxmemory 50mb", ":undo", ":undo", "SET user:1 Bob"]
    written: list[str] = []
    Plain(controller, lambda prompt: lines.pop(0) if lines else look(prompt), written.append).run()
    text = "\n".join(written)
    assert "Done: Store your first name" in text and "(taken back: SET user:1 Ada)" not in text
    assert "(taken back: CONFIG SET maxmemory 50mb)" in text and "(taken back: SELECT 3)" in text
    assert seen == [b"Bob"], "what was typed reached the server, in the database selected before"
    assert server.call("DBSIZE") == 0 and server.call("CONFIG", "GET", "maxmemory")[1] == b"104857600"


def test_the_lesson_resumes_on_the_server(server: Connection, url: str) -> None:
    for typed, told in (("SET user:1 Ada", "Done: Store"), ("GET user:1", '"Ada"')):
        real = RealServer(parse_address(url), writes=True)
        controller = LessonController(COURSE.find("strings"), COURSE, Progress(), real=real)
        assert told in play(Plain, controller, typed)
        assert server.call("DBSIZE") == 0


@pytest.mark.parametrize(
    "lesson, told",
    [
        ("first-replica", "needs several machines"),
        ("pull-the-plug", "needs several machines"),
        ("nosuch", "no lesson"),
    ],
)
def test_a_lesson_for_which_it_cannot_be_taken_is_refused_in_one_line(
    server: Connection, url: str, lesson: str, told: str
) -> None:
    reason = why_not(lesson, url)
    assert told in reason and "\n" not in reason


def test_a_server_that_holds_data_or_is_not_there_is_refused(server: Connection, url: str) -> None:
    server.call("SET", "mine", "1")
    assert "holds 1 key. A lesson takes an empty server" in why_not("strings", url)
    assert server.call("GET", "mine") == b"1"
    assert "WRONGPASS" in why_not("strings", url.replace("secret", "wrong"))
    assert "Connection refused" in why_not("strings", "127.0.0.1:1")
    assert "is not an address" in why_not("strings", "http://127.0.0.1")


def test_no_lesson_that_ends_servers_or_writes_files_is_taken() -> None:
    real = RealServer(ServerAddress(port=1))
    refused = {lesson.id for lesson in COURSE.lessons if not lesson.on_machines and "uses" in _reason(real, lesson)}
    for lesson in COURSE.lessons:
        text = " ".join(
            each.command for step in lesson.steps for example in step.examples for each in example.exchanges
        )
        if not lesson.on_machines and any(word in text.split() for word in ("SHUTDOWN", "BGSAVE", "REPLICAOF")):
            assert lesson.id in refused


def _reason(real: RealServer, lesson) -> str:
    try:
        return real.refusal(lesson)
    except Exception as error:  # it could be taken, were the server there
        return str(error)


def test_a_real_server_is_looked_at_and_not_written(server: Connection, url: str) -> None:
    server.call("ZADD", "board", "3", "ann", "5", "bob")
    server.call("SET", "dying", "1", "EX", "1000")
    server.call("CONFIG", "RESETSTAT")
    typed = ["GET board", ":why", ":picture board", ":picture memory", "SET mine 1", "2 INCR n", "FLUSHALL",
             'EVAL "return 1" 0', "CONFIG SET maxmemory 1", ":undo", "SELECT 1", "DBSIZE"]  # fmt: skip
    text = play(PlainConnected, Connected(url), *typed)
    assert "board holds a sorted set" in text and "ann" in text and "used" in text
    assert text.count("This connection is read-only") == 5 and "Nothing is taken back" in text
    assert "Error" not in text
    stats = bytes(getattr(server.call("INFO", "commandstats"), "text", b"") or server.call("INFO", "commandstats"))
    names = {line.split(b":")[0].removeprefix(b"cmdstat_") for line in stats.splitlines() if b":" in line}
    for name in names - {b"auth", b"config|resetstat"}:
        assert may_run(name.split(b"|")), name
    assert server.call("ZCARD", "board") == 2 and server.call("EXISTS", "mine") == 0


def test_writes_can_be_allowed(server: Connection, url: str) -> None:
    text = play(PlainConnected, Connected(f"{url} write"), "SET mine 1", "GET mine")
    assert "mine is a new string: 1." in text
    assert server.call("GET", "mine") == b"1"


def test_addresses() -> None:
    assert parse_address("example.org") == ServerAddress("example.org")
    assert parse_address("10.0.0.1:7000") == ServerAddress("10.0.0.1", 7000)
    assert parse_address("rediss://ann:p%40ss@h:1/3") == ServerAddress("h", 1, "ann", "p@ss", 3, True)
    assert parse_address("redis://secret@h") == ServerAddress("h", password="secret")
    for wrong in ("", "http://h", "redis://h/x", "h:port"):
        with pytest.raises(ValueError):
            parse_address(wrong)
