"""The sandbox: data sets, the learner's own files, and everything as it was when it is opened again."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.resp import encode_command
from tests.waiting import PATIENCE_S
from tutor.lesson import datasets, free_play
from tutor.lesson import messages as m
from tutor.lesson.driver import Driver
from tutor.lesson.free_play import FreePlay
from tutor.lesson.own_files import CannotLoad, make_dump
from tutor.lesson.view import ExampleView, ProseView
from tutor.prompt import split_args

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Played:
    """A sandbox, and what it said last."""

    def __init__(self, keeps: bool = True) -> None:
        self.controller = FreePlay(keeps=keeps)
        self.driver = Driver(self.controller)
        self.news = list(self.driver.open())

    def act(self, action: str) -> str:
        self.news = list(self.driver.do(self.controller.act(action), "redis"))
        return self.said

    def type(self, line: str) -> str:
        self.news = list(self.driver.do(self.controller.submit("redis", line, None), "redis"))
        return "\n".join(row.text for news in self.news if isinstance(news, m.TerminalOutput) for row in news.rows)

    @property
    def said(self) -> str:
        return "\n".join(news.text for news in self.news if isinstance(news, m.Notice | m.Cleared))

    def data(self) -> dict[bytes, object]:
        inspect = self.controller._inspect
        return {key: inspect([b"DUMP", key], 0) for key in sorted(inspect([b"KEYS", b"*"], 0))}

    def kill(self) -> None:
        """End without a word, as kill -9 does: nothing is closed in order."""
        journal = self.controller._journal
        assert journal is not None
        journal.close()
        journal._reads_only = True
        self.close()

    def close(self) -> None:
        self.driver.close()


@pytest.fixture
def played() -> Iterator[Callable[[], Played]]:
    made: list[Played] = []

    def play(keeps: bool = True) -> Played:
        made.append(Played(keeps))
        return made[-1]

    yield play
    for each in made:
        if not each.controller.closed:
            each.close()


def test_an_undo_takes_back_the_line_that_was_entered_before_it(played: Callable[..., Played]) -> None:
    sandbox = played()
    sandbox.type("SET m 10")

    async def at_once() -> None:
        controller = sandbox.controller
        await asyncio.gather(controller.submit("redis", "SET m 11", None), controller.act("undo"))

    def told() -> list[str]:
        return [news.text for news in sandbox.news if isinstance(news, m.Cleared)]

    for _ in range(5):
        sandbox.news = list(sandbox.driver.do(at_once(), "redis"))
        assert told() == ["taken back: SET m 11"]
        assert isinstance([each for each in sandbox.news if isinstance(each, m.LineDone | m.Cleared)][-1], m.Cleared)
        assert sandbox.controller._inspect([b"GET", b"m"], 0) == b"10"
    assert sandbox.act("undo") == "taken back: SET m 10" and not sandbox.data()


def test_a_line_that_follows_at_once_begins_a_moment_of_its_own(
    played: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply is there, and the next line entered, before the session has taken note of the line before."""
    sandbox = played()
    controller = sandbox.controller
    picture = controller._picture

    async def slow(*args: Any) -> None:
        for _ in range(1000):  # turns of the loop, in which the next line could overtake
            await asyncio.sleep(0)
        await picture(*args)

    monkeypatch.setattr(controller, "_picture", slow)
    replied = asyncio.Event()
    post = controller._post

    def heard(news: Any) -> None:
        post(news)
        if isinstance(news, m.LineDone):
            controller._in_loop(replied.set)

    monkeypatch.setattr(controller, "_post", heard)

    async def two_lines() -> None:
        await controller.submit("redis", "SET m 10", None)
        await replied.wait()
        await controller.submit("redis", "SET m 11", None)

    list(sandbox.driver.do(two_lines(), "redis"))
    assert [each.line for each in controller._session.state.attempts] == ["SET m 10", "SET m 11"]
    assert sandbox.act("undo") == "taken back: SET m 11"
    assert controller._inspect([b"GET", b"m"], 0) == b"10"


@pytest.mark.parametrize("line", ["BLPOP nothing 0", "EVAL 'while true do end' 0", "MONITOR"])
def test_an_undo_does_not_wait_for_what_never_ends(line: str, played: Callable[..., Played]) -> None:
    sandbox = played()
    sandbox.type("SET m 10")

    async def at_once() -> None:
        await asyncio.gather(sandbox.controller.submit("redis", line, None), sandbox.controller.act("undo"))

    sandbox.news = list(sandbox.driver.do(at_once(), "redis"))
    assert sandbox.said == f"taken back: {line}"
    assert "10" in sandbox.type("GET m") and sandbox.act("undo") == "taken back: SET m 10"


def test_every_data_set_loads_and_what_it_says_to_try_works(played: Callable[..., Played]) -> None:
    sandbox = played(keeps=False)
    assert set(datasets.data_sets()) == {"shop", "leaderboard", "sensors", "places", "sessions"}
    for name, data in datasets.data_sets().items():
        assert sandbox.act(f"data {name}").startswith(f"{data.title}. The server has"), name
        assert data.title and data.about.count("\n- `") >= 3 and len(data.tries) >= 3
        for line in data.tries:
            printed = sandbox.type(line)
            assert printed and "(error)" not in printed and "(empty" not in printed, line
    written = {
        key
        for data in datasets.data_sets().values()
        for _, line in data.commands
        for key in (split_args(line) or [])[1:2]
    }
    assert written >= {b"product:1", b"sensor:kitchen", b"cities"}


def test_a_data_set_is_offered_explained_and_taken_back_by_one_undo(played: Callable[..., Played]) -> None:
    sandbox = played()
    sandbox.type("SET mine 1")
    assert "There is no data set 'shoes'" in sandbox.act("data shoes")
    sandbox.act("data shop")
    shown = next(news.step for news in reversed(sandbox.news) if isinstance(news, m.StepShown))
    examples = [block for block in shown.blocks if isinstance(block, ExampleView)]
    assert [each.exchanges[0][0] for each in examples] == list(datasets.find("shop").tries)
    assert shown.next_run == examples[0]
    assert sandbox.act("undo") == "taken back: :data shop"
    assert list(sandbox.data()) == [b"mine"]
    shown = next(news.step for news in reversed(sandbox.news) if isinstance(news, m.StepShown))
    assert not any(isinstance(block, ExampleView) for block in shown.blocks)
    offers = sandbox.controller.completer("redis").complete(":data s")
    assert offers == [":data sensors", ":data sessions", ":data shop"]


def test_the_text_is_about_the_data_that_was_loaded_last(played: Callable[..., Played]) -> None:
    def title() -> str:
        shown = next(news.step for news in reversed(sandbox.news) if isinstance(news, m.StepShown))
        return next(block.markdown for block in shown.blocks if isinstance(block, ProseView)).partition("\n")[0]

    sandbox = played()
    for name in ("shop", "leaderboard", "shop", "sessions"):
        sandbox.act(f"data {name}")
        assert title() == f"**{datasets.find(name).title}**"
    sandbox.act("undo")
    assert title() == f"**{datasets.find('shop').title}**"
    sandbox.close()
    again = played()
    assert again.controller._data_shown() == datasets.find("shop")


def test_keys_of_every_database_are_counted(played: Callable[..., Played], tmp_path: Path) -> None:
    file = tmp_path / "two.aof"
    file.write_bytes(
        b"".join(encode_command(line.split()) for line in (b"SET a 1", b"SELECT 5", b"SET b 2", b"SET c 3"))
    )
    sandbox = played(keeps=False)
    assert "The server has 3 keys in database 0 and database 5 now." in sandbox.act(f"load {file}")


def test_what_is_typed_while_a_file_is_read_runs_on_its_data(
    played: Callable[..., Played], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.aof"
    file.write_bytes(encode_command([b"SET", b"loaded", b"1"]))
    reading, typed = threading.Event(), threading.Event()

    def slow(name: str, target: Path) -> str:
        reading.set()
        assert typed.wait(PATIENCE_S)
        return make_dump(name, target)

    monkeypatch.setattr(free_play, "make_dump", slow)
    monkeypatch.setattr(free_play, "LONG_SECONDS", 0.0)
    sandbox = played(keeps=False)

    async def both() -> None:
        loading = asyncio.ensure_future(sandbox.controller.act(f"load {file}"))
        assert await asyncio.to_thread(reading.wait, PATIENCE_S)
        typing = asyncio.ensure_future(sandbox.controller.submit("redis", "INCR loaded", None))
        asyncio.get_running_loop().call_soon(typed.set)
        await asyncio.gather(loading, typing)

    sandbox.news = list(sandbox.driver.do(both(), "redis"))
    assert "is being read. What you type meanwhile runs after that." in sandbox.said
    assert sandbox.controller._inspect([b"GET", b"loaded"], 0) == b"2"


def test_nothing_is_brought_into_a_transaction(played: Callable[..., Played]) -> None:
    sandbox = played()
    sandbox.type("MULTI")
    assert "transaction" in sandbox.act("data shop")
    sandbox.type("DISCARD")
    sandbox.type("SUBSCRIBE news")
    assert "subscribed" in sandbox.act("data shop")


@pytest.mark.parametrize("killed", [False, True])
def test_it_comes_back_as_it_was_left(played: Callable[..., Played], killed: bool) -> None:
    first = played()
    first.act("data leaderboard")
    first.type("ZINCRBY board:summer 500 ann")
    first.type("SET mine 1")
    before = first.data()
    (first.kill if killed else first.close)()
    second = played()
    assert second.data() == before
    assert second.act("undo") == "taken back: SET mine 1"
    assert second.act("undo") == "taken back: ZINCRBY board:summer 500 ann"
    assert second.act("undo") == "taken back: :data leaderboard"
    assert second.data() == {}
    second.type("SET mine 2")
    second.close()
    assert list(played().data()) == [b"mine"]


def test_starting_afresh_forgets_everything(played: Callable[..., Played], home: Path, tmp_path: Path) -> None:
    first = played()
    first.type("SET mine 1")
    save(first, tmp_path / "mine.rdb")
    first.act(f"load {tmp_path / 'mine.rdb'}")
    assert list((home / "steps").glob("*.rdb"))
    assert free_play.EMPTY in first.act("reset")
    assert first.data() == {} and not list((home / "steps").glob("*.rdb"))
    first.close()
    again = played()
    assert again.data() == {} and "nothing to take back" in again.act("undo")


def save(sandbox: Played, file: Path) -> None:
    sandbox.type("SAVE")
    server = sandbox.controller.server
    shutil.copyfile(Path(server.directory) / "dump.rdb", file)  # type: ignore[union-attr]


def test_the_learners_own_dump_is_opened_and_never_written(played: Callable[..., Played], tmp_path: Path) -> None:
    first = played(keeps=False)
    first.act("data shop")
    mine, file = first.data(), tmp_path / "my shop.rdb"
    save(first, file)
    first.close()
    written = file.read_bytes()
    second = played()
    second.type("SET other 1")
    assert f"{file} is loaded. The server has {len(mine)} keys now." in second.act(f"load {file}")
    assert second.data() == mine
    second.type("FLUSHALL")
    second.type("SAVE")
    assert file.read_bytes() == written
    second.act("undo"), second.act("undo")
    second.close()
    file.unlink()  # what was loaded is kept
    third = played()
    assert third.data() == mine
    assert third.act("undo") == f"taken back: :load {file}"
    assert list(third.data()) == [b"other"]


AOF = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$1\r\nx\r\n"


def test_append_only_files_are_opened_alone_and_by_their_manifest(
    played: Callable[..., Played], tmp_path: Path
) -> None:
    sandbox = played(keeps=False)
    alone = tmp_path / "old.aof"
    alone.write_bytes(AOF)
    sandbox.act(f"load {alone}")
    assert list(sandbox.data()) == [b"a", b"l"]
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "mine.aof.manifest").write_text("file mine.aof.1.incr.aof seq 1 type i\n")
    assert "mine.aof.1.incr.aof, which it names, is not in the same folder" in sandbox.act(f"load {folder}")
    (folder / "mine.aof.1.incr.aof").write_bytes(AOF + b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n")
    sandbox.act(f"load {folder}")
    assert list(sandbox.data()) == [b"l"]
    alone.write_bytes(AOF + b"*2\r\n$3\r\nDE")
    assert f"what follows byte {len(AOF)} was left out" in sandbox.act(f"load {alone}")
    assert alone.read_bytes() == AOF + b"*2\r\n$3\r\nDE"


@pytest.mark.parametrize(
    "name, data, told",
    [
        ("a.rdb", b"REDIS0011\xfa\x09redis-ver\x057.2.4\xfe\x00\xf0\x01a", "at byte "),
        ("a.rdb", b"REDIS9999", "Can't handle RDB format version 9999"),
        ("a.aof", AOF + b"*1\r\n$3\r\nSET\r\n-\r\n", f"at byte {len(AOF) + 13}: "),
        ("a.aof", AOF + b"*1\r\n$4\r\nNOPE\r\n", "Unknown command 'NOPE'"),
        ("a.md", b"# A title\n\ntext", "is neither a dump nor an append-only file"),
        ("a.txt", b"hello", "is neither a dump nor an append-only file"),
        ("a.rdb", b"", "is empty"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_loaded_says_why_and_where(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(CannotLoad) as refused:
        make_dump(str(file), tmp_path / "made.rdb")
    assert str(refused.value).startswith(str(file)) and told in str(refused.value)
    assert not (tmp_path / "made.rdb").exists() and file.read_bytes() == data


def test_a_refused_file_leaves_the_data_alone(played: Callable[..., Played], tmp_path: Path) -> None:
    sandbox = played()
    sandbox.type("SET mine 1")
    file = tmp_path / "a.rdb"
    file.write_bytes(b"REDIS0011\xfe")
    assert "cannot be loaded" in sandbox.act(f"load {file}")
    assert "does not exist" in sandbox.act(f"load {tmp_path / 'none.rdb'}")
    assert list(sandbox.data()) == [b"mine"]
    assert sandbox.act("undo") == "taken back: SET mine 1"


def test_a_long_history_is_replaced_by_its_data(
    played: Callable[..., Played], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_play, "MANY_ROWS", 12)
    monkeypatch.setattr(free_play, "UNDO_KEPT", 3)
    first = played()
    first.type("CONFIG SET maxmemory 12345678")
    for number in range(16):
        first.type(f"RPUSH mine {number}")
    before = first.data()
    first.close()
    for _ in range(2):
        again = played()
        assert again.data() == before
        assert "12345678" in again.type("CONFIG GET maxmemory")
        rows = [json.loads(line) for line in (home / "steps" / "sandbox.jsonl").read_text().splitlines()]
        lines = [row["line"] for row in rows if "line" in row]
        assert lines[:2] == ["CONFIG SET maxmemory 12345678", free_play.LATER]
        assert lines[2:5] == ["RPUSH mine 13", "RPUSH mine 14", "RPUSH mine 15"]
        again.close()
    monkeypatch.setattr(free_play, "MANY_ROWS", 1000)
    last = played()
    last.type("GET nothing")
    for number in (15, 14, 13):
        assert last.act("undo") == f"taken back: RPUSH mine {number}"
    assert "nothing to take back" in last.act("undo")
    assert last.controller._inspect([b"LLEN", b"mine"], 0) == 13
    monkeypatch.setattr(free_play, "TOO_MANY_ROWS", 8)
    for number in range(9):
        last.type(f"RPUSH mine {number}")
    rows = [json.loads(line) for line in (home / "steps" / "sandbox.jsonl").read_text().splitlines()]
    assert len(rows) < 9 and len(list((home / "steps").glob("*.rdb"))) == 1
    before = last.data()
    last.close()
    assert played().data() == before
