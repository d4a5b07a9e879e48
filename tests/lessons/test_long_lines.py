"""A line of 200,000 characters, pasted by mistake, is never repeated whole."""

import pytest
from textual.app import App

from tests.lessons.conversing import converse
from tests.lessons.test_session import LESSON
from tests.screens.driving import run
from tutor import standard_streams
from tutor.lesson.checks import Attempt, Finding
from tutor.lesson.diagnosis import explain_error
from tutor.lesson.hints import react
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session, Typed, WentBack
from tutor.prompt.words import LINE, shorten, split_args
from tutor.theme import shades
from tutor.widgets.terminal import Terminal

pytestmark = pytest.mark.long

LONG = "x" * 200_000
MOST = LINE + 200  # with what is said about it

LINES = [
    LONG,
    f"SET user:1 {LONG}",
    f"SET {LONG} 1",
    f"SET user:1 Ada {LONG}",
    f"INCR {LONG} 1",
    f'"{LONG}',
    f"CONFIG {LONG}",
    f"LPUSH a {LONG}",
    f"{LONG} a b",
    "SET a " + "y " * 50_000,
]


@pytest.fixture(scope="module")
def server():
    engine = EngineServer(LESSON.terminals, seed=1)
    yield engine
    engine.close()


def test_shorten():
    assert shorten("abc", 3) == "abc"
    assert shorten(LONG, 5) == "xxxxx… (200,000 characters)"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:16])
def test_the_plain_mode_repeats_no_long_line(line):
    typed = ["", line, ":hint", ":why", ":hint", ":undo", f":{LONG}", f":terminal {LONG}", f":lab {LONG}"]
    written = converse(LESSON, *typed).splitlines()
    assert [row[:80] for row in written if len(row) > MOST] == []


def test_a_line_in_a_pipe_is_shown_shortened(monkeypatch, capsys):
    class Pipe:
        def isatty(self):
            return False

        def readline(self):
            return f"SET a {LONG}\n"

    monkeypatch.setattr(standard_streams.sys, "stdin", Pipe())
    assert standard_streams.read_line("> ") == f"SET a {LONG}\n"
    assert len(capsys.readouterr().out) < MOST


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:16])
def test_events_of_a_session_hold_no_long_line(server, line):
    server.renew(LESSON.terminals)
    session = Session(LESSON, server)
    session.open()
    events = [*session.submit("alice", line), *session.undo()]
    for event in events:
        assert len(event.line if isinstance(event, Typed) else getattr(event, "text", "")) < MOST
        assert isinstance(event, Typed) or not isinstance(event, WentBack) or event.text.startswith("taken back: ")


@pytest.mark.parametrize(
    "error",
    [
        b"ERR unknown command 'x'",
        b"ERR unknown subcommand 'x'",
        b"ERR wrong number of arguments for 'x' command",
        b"ERR syntax error",
        b"WRONGTYPE Operation against a key",
        b"ERR value is not an integer or out of range",
        b"ERR something else",
    ],
)
@pytest.mark.parametrize("line", [*LINES, f"GET {LONG}"], ids=lambda line: line[:16])
def test_errors_are_explained_without_the_line(line, error):
    argv = split_args(line) or [line.encode()]
    assert len(explain_error(argv, error, lambda argv, db: b"string")) < MOST
    attempt = Attempt("alice", tuple(argv), f"(error) {error.decode()}\n", failed=True)
    task = LESSON.steps[0].tasks[0]
    finding = Finding(False, "there is no key `user:1` yet", "absent", "user:1")
    assert len(react(task, finding, lambda argv, db: None, [attempt])) < MOST


def test_the_terminal_draws_a_part_of_a_long_line():
    class Screen(App):
        def get_theme_variable_defaults(self):
            return shades({})

        def compose(self):
            yield Terminal(history=[f"SET a {LONG}"])

    def longest(rows):
        return max(len("".join(text for text, _ in row.spans)) for row in rows)

    async def drive():
        app = Screen()
        async with app.run_test(size=(80, 24)) as pilot:
            terminal = app.query_one(Terminal)
            terminal.focus()
            await pilot.press("up")
            assert terminal.editor.text.endswith(LONG)
            drawn = longest(terminal.tail())
            await pilot.press("home", "enter")
            await pilot.pause()
            return drawn, longest(terminal.rows)

    drawn, entered = run(drive())
    assert drawn < 1100
    assert entered < MOST
