"""An answer to a prediction means the option that the learner meant, or it is asked again."""

from dataclasses import replace
from typing import ClassVar

import pytest
from textual.app import App

from tests.lessons.conversing import converse
from tests.lessons.test_session import LESSON
from tests.screens.driving import run, type_line, until
from tutor import answers
from tutor.app import TutorApp
from tutor.lesson.catalogue import installed_course
from tutor.lesson.lines import wants_command
from tutor.lesson.model import Prediction
from tutor.lesson.reading import parse_lesson
from tutor.lesson.session import Nothing, Session
from tutor.lesson.shell_terminal import ShellCompleter
from tutor.lesson.view import Question
from tutor.prompt import LineHistory
from tutor.prompt.completer import PromptCompleter
from tutor.prompt.markdown import one_line, to_plain
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.theme import shades
from tutor.widgets.terminal import Terminal

pytestmark = pytest.mark.long

SHIPPED = [
    pytest.param(prediction, id=f"{lesson.id}:{prediction.line}")
    for lesson in installed_course().lessons
    for step in lesson.steps
    for prediction in step.predictions
]


def prediction(*options, answer=1, free=()):
    right = (options[answer - 1],) if options else free
    return Prediction("predict1", "What?", options, right, "Because.", (), 1)


class NoServer:
    """Predictions need no server."""

    def inspect(self, argv, db=0, server=""):
        return None

    def mark(self):
        return 0


@pytest.mark.parametrize("asked", SHIPPED)
def test_every_option_by_text_and_by_label(asked):
    options = asked.options
    if not options:
        assert all(asked.right(answer) for answer in asked.answers)
        return
    assert len({answers.bare(option) for option in options}) == len(options)
    session = Session(LESSON, NoServer())
    for index, (label, option) in enumerate(zip(asked.labels, options, strict=True)):
        texts = [option, to_plain(option), one_line(option), label, f"{label})", label.upper(), f" {label}. "]
        if not any(answers.bare(each) == str(index + 1) for each in options):
            texts.append(str(index + 1))
        for text in texts:
            made = session.predict(asked, text)
            assert made.answer == option, text
            assert made.right == (option in asked.answers), text
            assert session.said(asked) == option or session.said(asked) == ""
            assert asked.right(made.answer) == made.right


@pytest.mark.parametrize(
    "options, said, meant",
    [
        (("2", "3", "24"), "2", 0),
        (("2", "3", "24"), "3", 1),
        (("2", "3", "24"), "24", 2),
        (("2", "3", "24"), "1", 0),  # no option's text: the first
        (("2", "3", "24"), "b", 1),
        (("2", "3", "24"), "4", None),
        (("2", "0"), "2", 0),
        (("Nothing: the script is taken back", "`1`"), "1", 1),
        (("`(integer) 0`", "`(integer) 1`", "`(integer) 3`"), "2", 1),
        (("`(integer) 0`", "`(integer) 1`", "`(integer) 3`"), "0", 0),
        (("`(integer) 0`", "`(integer) 1`", "`(integer) 3`"), "(integer) 1", 1),
        (('`"1"`', "`(nil)`", "An error: the key is in another database"), "nil", 1),
        (('`"1"`', "`(nil)`", "An error: the key is in another database"), '"1"', 0),
        (('`"1"`', "`(nil)`", "An error: the key is in another database"), "an  ERROR", 2),
        (('`"1"`', "`(nil)`", "An error: the key is in another database"), "option 3", 2),
        (('`"1"`', "`(nil)`", "An error: the key is in another database"), "#2", 1),
        (("An error: a", "An error: b"), "an error", None),
        (('"5"', "(integer) 5"), "5", None),
        (("A **bold** [word](x.md)", "b"), "a bold word", 0),
        (("about 10,000", "about 100,000"), "about 10000", 0),
        (("x", "y"), "GET x", None),
        (("x", "y"), "0", None),
        (("x", "y"), "3", None),
        (("x", "y"), "²", None),
        (("x", "y"), "", None),
    ],
)
def test_what_an_answer_means(options, said, meant):
    assert answers.choose(options, said) == meant


def test_an_ambiguous_answer_is_told_from_one_that_matches_nothing():
    options = (
        "One: it asks the master",
        "None, until you add a line for each",
        "None: Sentinel needs only the master",
    )
    assert answers.choose(options, "one") == 0
    assert answers.choose(options, "none") is None
    assert answers.again(options, "none").startswith("Several options match: 2 and 3.")
    assert answers.again(options, "two") == answers.AGAIN


def test_options_are_lettered_where_a_text_is_a_number_of_the_list():
    assert answers.labels(("2", "3", "24")) == ("a", "b", "c")
    assert answers.labels(("0", "125001")) == ("1", "2")
    assert answers.labels(("`(integer) 1`", "`(integer) 0`")) == ("1", "2")


@pytest.mark.parametrize(
    "right, said, verdict",
    [
        (("1013",), "1,013", True),
        (("1013",), "(integer) 1013", True),
        (("1013",), "1014", False),
        (("1013",), "INCR tickets", None),
        (("p2",), "`p2`", True),
        (("p2",), "the second", None),
        (("(nil)", "nothing"), "nil", True),
        (("(nil)", "nothing"), "an error", False),
        (("0",), "none", True),
        (("2",), "two", True),
        (("2000",), "About 2,000", True),
        (("50 %", "half"), "50%", True),
        (("(integer) 0",), "(nil)", None),
    ],
)
def test_free_answers(right, said, verdict):
    asked = prediction(free=right)
    made = Session(LESSON, NoServer()).predict(asked, said)
    assert (None if isinstance(made, Nothing) else made.right) is verdict


PREDICTING = """---
id: predicting
title: Predicting
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

## One

> **Predict.** What?
>
> {options}

<details><summary>x</summary>

**Answer: {answer}.** Because.

```redis
127.0.0.1:6379> GET b
(nil)
```

</details>
"""


def in_plain_mode(options, answer, *typed):
    """Return what the plain mode writes when these lines are typed at a prediction."""
    shown = "\n> ".join(f"{number}. {option}" for number, option in enumerate(options, 1))
    lesson = parse_lesson(PREDICTING.format(options=shown, answer=answer), "predicting.md")
    text = converse(lesson, *typed)
    return text[text.index("Predict: ") :].splitlines()


def test_the_plain_mode_asks_again():
    written = in_plain_mode(("2", "3", "24"), 3, "perhaps", "three", "24")
    assert written.count(answers.AGAIN) == 2
    assert written[:4] == ["Predict: What?", "  a. 2", "  b. 3", "  c. 24"]
    assert written.count("Predict: What?") == 1
    assert "127.0.0.1:6379> GET b" in written
    assert written[written.index("Right.") + 1] == "Because."
    assert "Not quite. You answered: 2. Correct: 24." in in_plain_mode(("2", "3", "24"), 3, "2")
    assert "Right." in in_plain_mode(("2", "3", "24"), 3, "c")
    assert "Because." not in in_plain_mode(("2", "3", "24"), 3, "quux", "")


def test_a_command_at_a_question_goes_to_the_server():
    written = in_plain_mode(("yes", "no"), 1, "GET a", ":run", "1")
    assert written[written.index("(The question is still open: :run asks it again.)") - 1] == "(nil)"
    assert written.count("Predict: What?") == 2
    assert "Right." in written


def test_a_command_of_the_tutor_does_not_use_up_the_question():
    written = in_plain_mode(("yes", "no"), 1, ":help", "no")
    assert written.count("Predict: What?") == 2
    assert "Not quite. You answered: no. Correct: yes." in written


def in_the_full_screen(choices, *keys):
    """Return what a terminal answered when these keys were pressed at a question, and what it shows."""
    answered = []

    class Screen(App):
        BINDINGS: ClassVar = [(key, "lost", "a key of the screen") for key in "quyUabc?"]

        def get_theme_variable_defaults(self):
            return shades({})

        def compose(self):
            yield Terminal()

        def action_lost(self):
            answered.append("lost")

        def on_terminal_answered(self, message):
            answered.append(message.answer)

    async def drive():
        app = Screen()
        async with app.run_test(size=(80, 24)) as pilot:
            terminal = app.query_one(Terminal)
            terminal.focus()
            terminal.ask(Question("p", "What?", choices))
            await pilot.press(*keys)
            await pilot.pause()
            tail = "\n".join("".join(text for text, _ in row.spans) for row in terminal.tail())
            return answered, terminal.plain_text + tail

    return run(drive())


@pytest.mark.parametrize(
    "choices, keys, answer",
    [
        (("2", "3", "24"), ["2", "enter"], "2"),
        (("2", "3", "24"), ["2", "4", "enter"], "24"),
        (("2", "3", "24"), ["b", "enter"], "3"),
        (("2", "3", "24"), ["down", "down", "enter"], "24"),
        (("2", "3", "24"), ["2", "4", "up", "enter"], "3"),
        (("yes", "no", "quux"), ["2", "enter"], "no"),
        (("yes", "no", "quux"), [*"quux", "enter"], "quux"),
        (("yes", "no", "quux"), ["enter"], "yes"),
        (("yes", "no", "quux"), ["n", "o", "t", "backspace", "enter"], "no"),
        (("yes", "no", "quux"), ["z", "escape", "enter"], "yes"),
        (("yes", "no", "quux"), [*"not", "enter", *"no", "enter"], "no"),
    ],
)
def test_answers_in_the_full_screen(choices, keys, answer):
    assert in_the_full_screen(choices, *keys)[0] == [answer]


def test_the_full_screen_asks_again_and_drops_no_letter():
    answered, shown = in_the_full_screen(("yes", "no"), *"quy?", "enter")
    assert answered == []
    assert "your guess: quy?" in shown and answers.AGAIN in shown


@pytest.mark.parametrize(
    "line, alone, with_choices",
    [
        ("zincr board 100 bob", True, True),
        ("ZINCRBY board 100 bob", True, True),
        ("gte a", True, True),
        ("sentinel masters", True, True),
        ("DELETE a b c", True, True),
        ("redis-cli -n 10 PING", True, True),
        ("set the key", True, True),
        ("deleted at once", False, False),
        ("get", False, True),
        ("zincr", False, False),
        ("an error", False, False),
        ("MOVED 5649 127.0.0.1:7002", False, False),
        ("the second", False, False),
        ("1013", False, False),
        ("3 sets", False, False),
        ("a b", False, False),
    ],
)
def test_what_is_a_command_at_a_question(line, alone, with_choices):
    completer = PromptCompleter(LineHistory(), lambda prefix, limit: [], {})
    assert completer.is_command(line, whole=True) is alone
    assert completer.is_command(line) is with_choices


@pytest.mark.parametrize(
    "line, alone",
    [
        ("redis-cli -n 10 PING", True),
        ("pkill -9 redis-server", True),
        ("DELETE a b c", True),
        ("hostname", False),
        ("13", False),
        ("the second one", False),
    ],
)
def test_what_is_a_command_at_a_question_in_a_shell(line, alone):
    assert ShellCompleter(None).is_command(line, whole=True) is alone


def test_a_command_is_an_answer_where_a_command_is_asked_for():
    asked = Prediction("p", "Which?", (), ("DEL a", "UNLINK a"), "", (), 1)
    assert wants_command(asked) and not wants_command(replace(asked, answers=("13",)))


@pytest.mark.parametrize("asked", [each for each in SHIPPED if not each.values[0].options])
def test_no_free_answer_is_taken_for_a_command(asked):
    completer = PromptCompleter(LineHistory(), lambda prefix, limit: [], {})
    assert not any(completer.is_command(answer, whole=True) for answer in asked.answers)


def test_a_mistyped_command_is_not_the_answer_in_the_plain_mode():
    lesson = parse_lesson(PREDICTING.replace("> {options}", "> Type it.").format(answer="13"), "predicting.md")
    text = converse(lesson, "zincr board 100 bob", ":run", "13")
    assert "unknown command" in text and "Not quite" not in text and "Right." in text


async def put_off_and_asked(pilot, screen):
    """Have the first prediction of the lesson about counters asked."""
    terminal = screen.query_one(Terminal)
    await pilot.press("f3")
    await until(pilot, lambda: terminal.question, "the question")
    return terminal


@pytest.mark.parametrize("key", ["left", "escape"])
def test_a_command_typed_at_a_question_runs_and_the_question_stays(key, tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))

    async def drive():
        app = TutorApp("counters", None, Preferences())
        async with app.run_test(size=(80, 30)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step, "the lesson")
            terminal = await put_off_and_asked(pilot, app.screen)
            asked = terminal.question
            await type_line(pilot, "SET mine 1")
            await until(pilot, lambda: "mine is a new string" in terminal.plain_text, "what it changed")
            await until(pilot, lambda: not terminal.busy, "the prompt")
            assert terminal.question is asked
            await type_line(pilot, ":undo")
            await until(pilot, lambda: "taken back: SET mine 1" in terminal.plain_text, "the undo")
            await until(pilot, lambda: terminal.question, "the question")
            await pilot.press("escape")
            assert terminal.question is None
            await pilot.press("f8")
            await until(pilot, lambda: terminal.question, "the question that was put off")
            assert app.screen.step.number == 1 and "still open" in terminal.plain_text
            await pilot.press(key, "f8")  # put off once more, too, it does not come back
            await until(pilot, lambda: app.screen.step.number == 2, "the next step")
            await until(pilot, lambda: terminal.question is None, "the prompt")
            assert terminal.editor.text == "", "an answer goes with its question"
            await pilot.press("G", "E")
            terminal.ask(asked)
            await pilot.press("T")
            assert terminal.editor.text == "GET", "what was being typed stays"

    run(drive())


def test_an_example_that_is_being_typed_is_not_run_a_second_time(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))

    async def drive():
        app = TutorApp("what-redis-is", None, Preferences())
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step, "the lesson")
            screen = app.screen
            for number in (2, 3):
                await pilot.press("f8")
                await until(pilot, lambda number=number: screen.step.number == number, "the step")
            terminal, offered = screen.query_one(Terminal), screen.step.next_run
            commands = [command for command, _ in offered.exchanges if command]
            await pilot.press("f7")
            await pilot.press("f7")
            await until(pilot, lambda: terminal.question or screen.step.next_run != offered, "the end of the example")
            await screen.controller.run_example(offered)  # pressed before the screen showed that it has run
            await screen.controller.settled()
            await until(pilot, lambda: not terminal.busy and not terminal.is_typing, "the prompt")
            assert [terminal.plain_text.count(f"> {command}") for command in commands] == [1] * len(commands)

    run(drive())


def test_one_spelling_of_an_answer_is_shown():
    lesson = parse_lesson(
        PREDICTING.replace("> {options}", "> Type it.").format(answer="13 or 13.0"), "predicting.md"
    )
    text = converse(lesson, ":run", "12")
    assert "Correct: 13." in text and "13.0" not in text


def test_asterisks_of_emphasis_go_and_those_in_code_stay():
    text = "`KEYS *` reads *all* names, and `news.*` or `*x*` are **patterns**."
    assert to_plain(text) == one_line(text) == "KEYS * reads all names, and news.* or *x* are patterns."
