"""The multi-line editor without a screen: what its text is, what it runs, what came of it, and that it is kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lessons.conversing import converse
from tutor.lesson import editor
from tutor.lesson import messages as m
from tutor.lesson.catalogue import Catalogue, installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.driver import Driver
from tutor.lesson.editor import (
    COMMANDS,
    FUNCTION,
    SCRIPT,
    CannotRun,
    DraftFile,
    EditorRun,
    EditorText,
    kind_of,
    lines_of,
)
from tutor.lesson.free_play import FreePlay
from tutor.plain import PlainSandbox
from tutor.prompt import split_args
from tutor.prompt.lua import highlight_lua

SELL = """\
-- sell one, if there is any
local left = tonumber(redis.call('GET', KEYS[1]) or "0")
if left < 1 then
  return redis.error_reply('SOLD OUT')
end
redis.call('RPUSH', "sold ü", ARGV[1])
return redis.call('DECR', KEYS[1])
"""
LIBRARY = """\
#!lua name=shop
local function sell(keys, args)
  return redis.call('DECRBY', keys[1], args[1])
end
redis.register_function('sell', sell)
"""


@pytest.mark.parametrize(
    "text, kind",
    [
        ("", SCRIPT),
        ("return 1", SCRIPT),
        ("\n-- GET is called below\nlocal x = redis.call('GET', 'k')", SCRIPT),
        ("redis.call('SET', 'a', 1)", SCRIPT),
        ("set = 3\nreturn set", SCRIPT),
        ("type (x)", SCRIPT),
        ("for i = 1, 3 do end", SCRIPT),
        ("#!lua flags=no-writes\nreturn 1", SCRIPT),
        (LIBRARY, FUNCTION),
        ("MULTI\nSET a 1\nEXEC", COMMANDS),
        ("-- a transaction\n\n  watch a\nMULTI", COMMANDS),
        ("config get dir", COMMANDS),
        ("hello there world", COMMANDS),
        ("nonsense here", SCRIPT),
    ],
)
def test_what_a_text_is(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_a_script_is_one_line_that_says_the_same() -> None:
    draft = EditorText(SELL, '"my stock" other', "ann")
    [typed] = lines_of(draft)
    assert "\n" not in typed.line
    assert split_args(typed.line) == [b"EVAL", SELL.encode(), b"2", b"my stock", b"other", b"ann"]


def test_a_library_is_loaded_and_its_function_called() -> None:
    [load] = lines_of(EditorText(LIBRARY, "apples", "3"))
    assert split_args(load.line) == [b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.encode()]
    _, call = lines_of(EditorText(LIBRARY, "apples", "3", "sell"))
    assert call.line == "FCALL sell 1 apples 3"


def test_commands_are_lines_with_their_numbers() -> None:
    lines = lines_of(EditorText("MULTI\n\n-- the first\n  SET a 'x y'\nEXEC\n"))
    assert [(each.number, each.line) for each in lines] == [(1, "MULTI"), (4, "SET a 'x y'"), (5, "EXEC")]


@pytest.mark.parametrize(
    "draft, why",
    [
        (EditorText(" \n "), "nothing to run"),
        (EditorText("return 1", '"open'), "quotes in KEYS"),
        (EditorText("return 1", "", "'open"), "quotes in ARGV"),
        (EditorText(LIBRARY, call='"open'), "quotes in FCALL"),
        (EditorText("return 1" + " " * editor.MOST_CHARACTERS), "too long"),
    ],
)
def test_what_cannot_be_run_is_refused(draft: EditorText, why: str) -> None:
    with pytest.raises(CannotRun, match=why):
        lines_of(draft)


@pytest.mark.parametrize(
    "reply, line, text",
    [
        ("ERR Error compiling script (new function): user_script:2: unexpected symbol near '='", 2,
         "Error compiling script (new function): unexpected symbol near '='"),
        ("ERR user_script:3: attempt to index a nil value script: b57a, on @user_script:3.", 3,
         "attempt to index a nil value"),
        ("ERR value is not an integer or out of range script: fddd, on @user_script:7.", 7,
         "value is not an integer or out of range"),
        ("ERR Wrong number of args calling Redis command from script script: a, on @user_function:3.", 3,
         "Wrong number of args calling Redis command from script"),
        ("ERR Error registering functions: ERR user_function:3: no global 'foo'", 3,
         "Error registering functions: no global 'foo'"),
        ("WRONGTYPE Operation against a key", None, "WRONGTYPE Operation against a key"),
    ],
)  # fmt: skip
def test_an_error_names_its_line(reply: str, line: int | None, text: str) -> None:
    assert (editor.error_line(reply), editor.plain_error(reply)) == (line, text)


def test_lua_is_highlighted() -> None:
    text = "local s = [[a\nb]] -- rest\nreturn redis.call('GET', KEYS[1]), 0x1F, x.y"
    rows = text.split("\n")
    found = {
        (rows[at][start:end], style) for at, spans in highlight_lua(text).items() for start, end, style in spans
    }  # fmt: skip
    assert found == {
        ("local", "keyword"), ("[[a", "string"), ("b]]", "string"), ("-- rest", "note"), ("return", "keyword"),
        ("redis.call", "redis"), ("'GET'", "string"), ("KEYS", "redis"), ("1", "number"), ("0x1F", "number"),
    }  # fmt: skip
    assert highlight_lua("'open\n--[[ open\nto the end")[2] == [(0, 10, "note")]
    assert highlight_lua("x" * 60_000) == {}


def test_every_state_of_the_text_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "steps" / "x.edit"
    assert DraftFile(path).keep(EditorText("return 1", "k"))
    assert DraftFile(path).draft == EditorText("return 1", "k")
    assert DraftFile(path, writes=False).keep(EditorText("other")) and DraftFile(path).draft.text == "return 1"
    assert DraftFile(path).keep(EditorText("\udcff")) and DraftFile(path).draft.text == "?"
    assert not DraftFile(path).keep(EditorText("x" * (editor.MOST_KEPT + 1)))
    path.write_bytes(b'{"text": 3')
    assert DraftFile(path).draft == EditorText() and path.with_suffix(".edit-damaged").exists()
    assert not DraftFile(Path("/proc/nowhere/x.edit")).keep(EditorText("return 1"))


# -- run by controllers


class Edited:
    """A controller whose editor is used."""

    def __init__(self, controller: LessonController) -> None:
        self.controller = controller
        self.driver = Driver(controller)
        self.said = list(self.driver.open())

    def run(self, text: str, keys: str = "", args: str = "", call: str = "") -> EditorRun:
        self.controller.keep_draft(EditorText(text, keys, args, call))
        self.said = []
        for news in self.driver.do(self.controller.run_draft(), "redis"):
            self.said.append(news)
            if isinstance(news, m.TypeIn):
                for line in news.lines:
                    assert news.at_once
                    self.driver.begin(self.controller.submit(news.terminal, line, news.typed_for))
        runs = [news.run for news in self.said if isinstance(news, m.EditorRan)]
        assert not runs or not runs[0].over
        return runs[-1] if runs else EditorRun("")

    def act(self, action: str) -> None:
        self.said = list(self.driver.do(self.controller.act(action), "redis"))

    def ask(self, *argv: bytes) -> object:
        return self.controller._inspect(argv, 0)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Edited]]:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    made: list[Edited] = []

    def open_one(lesson: str = "") -> Edited:
        found = installed_course().find(lesson) if lesson else None
        made.append(Edited(LessonController(found, Catalogue(Path()), None, seed=1) if found else FreePlay()))
        return made[-1]

    yield open_one
    for each in made:
        each.driver.close()


@pytest.mark.long
def test_a_script_runs_as_a_command_does_and_shows_its_calls(opened: Callable[..., Edited]) -> None:
    sandbox = opened()
    sandbox.run("SET stock 2")
    run = sandbox.run(SELL, "stock", "ann")
    assert [(each.command, each.reply) for each in run.calls or ()] == [
        ("GET stock", '"2"'), ('RPUSH "sold ü" ann', "1"), ("DECR stock", "1")
    ]  # fmt: skip
    assert run.lines[0].reply == "1" and not run.error
    changed = [news.text for news in sandbox.said if isinstance(news, m.Changed)]
    assert changed and any(isinstance(news, m.PictureShown) for news in sandbox.said)
    sandbox.act("undo")
    assert sandbox.ask(b"GET", b"stock") == b"2" and sandbox.controller.draft.text == SELL, (
        "one undo, and the text stays"
    )
    sandbox.run("DEL stock")
    run = sandbox.run(SELL, "stock", "ann")
    assert (run.error, run.error_line) == ("SOLD OUT", None) and len(run.calls or ()) == 1
    sandbox.act("why")
    rows = sandbox.controller._journal.trail()[-1][1]  # type: ignore[union-attr]
    assert {row["for"] for row in rows if "line" in row} == {"editor 0"}


@pytest.mark.long
def test_an_error_is_found_at_its_line(opened: Callable[..., Edited]) -> None:
    sandbox = opened()
    run = sandbox.run("local a = 1\nlocal b = = 2\n")
    assert (run.error_line, run.calls, run.called) == (2, (), True) and "unexpected symbol" in run.error
    run = sandbox.run("redis.call('SET', 'a', 'b')\n\nreturn redis.call('INCR', 'a')")
    assert (run.error_line, run.error) == (3, "value is not an integer or out of range")
    assert [each.failed for each in run.calls or ()] == [False, True]
    assert "INCR" in "\n".join(row.text for row in editor.rows_of_run(run, sandbox.controller.draft.text))
    run = sandbox.run("if true then\n  return 1\n")
    assert run.error_line == 2, "the end of the text"
    run = sandbox.run("MULTI\nSET n x\nINCR n\nGET n\nEXEC")
    assert (run.error_line, run.error) == (3, "value is not an integer or out of range")
    run = sandbox.run("MULTI\nSET n\nEXEC")
    assert run.error_line == 2 and [each.failed for each in run.lines] == [False, True, True]


@pytest.mark.long
def test_a_library_is_replaced_and_called(opened: Callable[..., Edited]) -> None:
    sandbox = opened()
    run = sandbox.run(LIBRARY)
    assert run.lines[0].reply == '"shop"' and not run.called
    run = sandbox.run(LIBRARY.replace("DECRBY", "INCRBY"), "apples", "3", "sell")
    assert [each.command for each in run.calls or ()] == ["INCRBY apples 3"] and run.lines[1].reply == "3"
    run = sandbox.run(LIBRARY, "apples", "", "sell")
    assert run.error_line == 3


@pytest.mark.long
def test_it_comes_back_with_the_sandbox_even_after_a_kill(opened: Callable[..., Edited]) -> None:
    sandbox = opened()
    sandbox.run("MULTI\nSET a 1\nINCR a\nEXEC")
    sandbox.controller.keep_draft(EditorText("return redis.call('GET', KEYS[1])", "a"))
    journal = sandbox.controller._journal
    assert journal is not None
    journal.close()
    journal._reads_only = True  # as if it had been killed
    again = opened()
    assert again.controller.draft == EditorText("return redis.call('GET', KEYS[1])", "a")
    assert again.ask(b"GET", b"a") == b"2"
    run = again.run(again.controller.draft.text, "a")
    assert run.lines[0].reply == '"2"'


@pytest.mark.long
def test_a_running_command_is_not_disturbed_and_ctrl_c_stops_the_lines(opened: Callable[..., Edited]) -> None:
    sandbox = opened()
    run = sandbox.run("SET a 1\nBLPOP nothing 0\nSET b 1")
    assert not run.over and [each.number for each in run.lines] == [1]
    assert sandbox.run("return 1") == EditorRun("")
    assert [news.reason for news in sandbox.said if isinstance(news, m.EditorRefused)] == [
        "A command is still running in the terminal. Ctrl-C stops it."
    ]
    sandbox.said = list(sandbox.driver.do(sandbox.controller.interrupt("redis"), "redis"))
    [stopped] = [news.run for news in sandbox.said if isinstance(news, m.EditorRan)]
    assert stopped.over and stopped.stopped and sandbox.ask(b"EXISTS", b"b") == 0
    assert sandbox.run("return 1").lines[0].reply == "1"


@pytest.mark.long
def test_a_task_is_done_from_the_editor_and_shells_are_left_out(opened: Callable[..., Edited]) -> None:
    lesson = opened("scripting")
    task = lesson.controller._session.open_task
    assert task is not None
    solution = [split_args(line) for line in task.solution]
    text = next(argv[1].decode() for argv in solution if argv and argv[0].lower() == b"eval")
    _, _, count, *rest = next(argv for argv in solution if argv and argv[0].lower() == b"eval")
    for argv in solution:
        if argv and argv[0].lower() != b"eval":
            lesson.run(" ".join(word.decode() for word in argv))
    keys, args = rest[: int(count)], rest[int(count) :]
    lesson.run(text, " ".join(map(bytes.decode, keys)), " ".join(map(bytes.decode, args)))
    assert any(isinstance(news, m.TaskCompleted) for news in lesson.said)
    lesson.controller._is_prompt = lambda terminal: False  # type: ignore[method-assign]
    lesson.run("return 1")
    assert [news.reason for news in lesson.said if isinstance(news, m.EditorRefused)] == [editor.NO_TERMINAL]


@pytest.mark.long
def test_the_plain_mode_takes_lines_until_a_full_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    typed = [
        ":edit", "local n = redis.call('INCR', KEYS[1])", "return nothing", ".", "hits", "",
        ":edit 2", "return n * 2", ".", "", "",
        ":edit", ".", "-", "",
        ":edit 9", ":edit", "MULTI", "SET a 1", "EXEC", ".", ":quit",
    ]  # fmt: skip
    written: list[str] = []

    def read(prompt: str) -> str | None:
        written.append(prompt)
        return typed.pop(0) if typed else None

    PlainSandbox(FreePlay(), read, written.append).run()
    said = "\n".join(written)
    assert "1 INCR hits → 1\n✗ line 2: Script attempted to access nonexistent global variable 'nothing'" in said
    assert "  return nothing" in said and "KEYS [hits] (Enter keeps it, - for none): " in said
    assert "1 INCR hits → 2" in said and "(integer) 4" in said
    assert "  1 local n = redis.call('INCR', KEYS[1])\n  2 return n * 2" in said
    assert "The text has 2 lines." in said
    assert (
        typed == []
        and json.loads((tmp_path / "steps" / "sandbox.edit").read_text())["text"] == "MULTI\nSET a 1\nEXEC"
    )


def test_the_end_of_the_input_keeps_the_text() -> None:
    said = converse(installed_course().find("keys"), ":edit", "return 1", "return 2")
    assert "... " in said and "integer" not in said.rpartition("... ")[2]
