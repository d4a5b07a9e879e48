"""A controller without a server: a lesson of three steps over a dict, for tests and for looking at the screen."""

from collections.abc import Callable, Sequence
from typing import Any

from tutor.lesson import messages as m
from tutor.lesson.view import (
    ChapterEntry,
    CourseView,
    EventEntry,
    ExampleView,
    Frame,
    HintView,
    KeyEntry,
    KeysView,
    LessonEntry,
    LessonSetup,
    PredictionView,
    ProseView,
    Question,
    StepView,
    TaskEntry,
    Tasks,
    WireEntry,
)
from tutor.prompt.rows import Row, Span, row

COMMANDS = {
    "SET": "key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]",
    "SETEX": "key seconds value",
    "SETNX": "key value",
    "GET": "key",
    "DEL": "key [key ...]",
    "STRLEN": "key",
}


class FakeCompleter:
    def complete(self, text: str) -> Sequence[str]:
        return [name for name in COMMANDS if name.startswith(text.upper())] if " " not in text else []

    def hint(self, text: str) -> Sequence[Span]:
        word = text.split(" ")[0].upper()
        return [(f"{word} ", "dim"), (COMMANDS[word], "dim")] if word in COMMANDS else []

    def ghost(self, text: str) -> str:
        return ""

    def highlight(self, text: str) -> Sequence[Span]:
        return [(text, "command")]

    def keep(self, line: str) -> None:
        self.lines.append(line)

    def is_command(self, line: str, whole: bool = False) -> bool:
        return line.split(" ")[0].upper() in COMMANDS or line.startswith(":")

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines


PROSE = """\
A key is a name; a string is the simplest thing it can hold: **up to 512 MB** of any bytes, text or not. `SET` stores
one, `GET` reads it back.

A second `SET` *replaces* the value. It does not ask.
"""

STEPS = (
    ("Storing a value", PROSE, (("SET tutorialspoint redis", "OK"), ("GET tutorialspoint", '"redis"')),
     (("read", "Read the value back"), ("name", "Store your first name under `user:1`"))),
    ("How long is it?", "`STRLEN` counts bytes, not characters.", (("STRLEN tutorialspoint", "(integer) 5"),),
     (("len", "Ask for the length of `user:1`"),)),
    ("Gone", "`DEL` removes keys of any type and says how many there were.", (), (("del", "Remove `user:1`"),)),
)  # fmt: skip


class FakeController:
    """Understands SET, GET, DEL and STRLEN."""

    def __init__(self, terminals: tuple[str, ...] = ("redis",)) -> None:
        self.terminals = terminals
        self.data: dict[str, str] = {}
        self.at = 0
        self.done: set[str] = set()
        self.ran: set[str] = set()
        self.predicted: PredictionView | None = None
        self.level = 0
        self.acts: list[str] = []
        self.lines: list[str] = []
        self.marks: dict[str, str] = {}
        self.closed = False
        self.scrollback = None
        self.post: Callable[[m.News], object] = lambda message: None

    async def open(self, post: Callable[[m.News], object]) -> None:
        self.post = post
        post(m.LessonOpened(LessonSetup("strings", "Strings", "Keys and types", self.terminals)))
        for name in self.terminals:
            post(m.PromptShown(name, "127.0.0.1:6379> "))
        self.show(fresh=True)
        post(m.KeysShown(KeysView()))

    async def close(self) -> None:
        self.closed = True

    async def recording(self) -> bytes | None:
        return None

    async def resume(self) -> None:
        pass

    async def continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> None:
        pass

    def completer(self, terminal: str) -> FakeCompleter:
        return FakeCompleter(self.lines)

    def history(self, terminal: str) -> list[str]:
        return self.lines

    def view(self) -> StepView:
        title, prose, exchanges, tasks = STEPS[self.at]
        blocks: list = [ProseView(prose)]
        if exchanges:
            blocks.append(ExampleView(f"e{self.at}", exchanges, "redis", f"e{self.at}" in self.ran))
        if self.at == 1:
            blocks.append(self.predicted or PredictionView("p", "What does `STRLEN` say of a key that is not there?"))
        blocks.append(Tasks(tuple(TaskEntry(id, text, id in self.done) for id, text in tasks)))
        done = tuple(all(id in self.done for id, _ in tasks) for _, _, _, tasks in STEPS)
        return StepView(
            "strings", "Strings", "Keys and types", self.at + 1, len(STEPS), done, title, tuple(blocks), 4
        )

    def show(self, fresh: bool = False) -> None:
        self.post(m.StepShown(self.view(), fresh))

    def keeps_blanks(self, terminal: str) -> bool:
        return False

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        words = line.split()
        name, before = words[0].upper(), dict(self.data)
        rows: list[Row]
        marks: dict[str, str] = {}
        if name == "SET" and len(words) == 3:
            marks[words[1]] = "changed" if words[1] in self.data else "new"
            self.data[words[1]] = words[2]
            rows, raw = [row("OK", "reply")], "+OK\\r\\n"
            if words[1] == "user:1":
                self.done.add("name")
        elif name == "GET" and len(words) == 2:
            value = self.data.get(words[1])
            marks[words[1]] = "same"
            rows = [row("(nil)", "dim") if value is None else row(f'"{value}"', "string")]
            raw = "$-1\\r\\n" if value is None else f"${len(value)}\\r\\n{value}\\r\\n"
            self.done.add("read")
        elif name == "STRLEN":
            rows, raw = [row(f"(integer) {len(self.data.get(words[1], ''))}", "number")], ":5\\r\\n"
            marks[words[1]] = "same"
            if words[1] == "user:1":
                self.done.add("len")
        elif name == "DEL":
            gone = self.data.pop(words[1], None) is not None
            marks[words[1]] = "gone"
            rows, raw = [row(f"(integer) {int(gone)}", "number")], ":1\\r\\n"
            self.done.add("del")
        else:
            text = f"(error) ERR unknown command '{words[0]}', with args beginning with: "
            rows, raw = [row(text, "error"), row("  :why explains it", "note")], "-ERR …\\r\\n"
        if typed_for:
            self.ran.add(typed_for)
        self.post(m.TerminalOutput(terminal, rows))
        keys = {**self.data, **{k: v for k, v in before.items() if k in marks}}
        self.post(
            m.KeysShown(
                KeysView(
                    tuple(
                        KeyEntry(k, "string", "embstr", f"{len(v)} B", "", f'"{v}"', marks.get(k, ""), 0, (f'"{v}"',))
                        for k, v in sorted(keys.items())
                    ),
                    len(keys), 0, line,
                )
            )
        )  # fmt: skip
        frames = [Frame(f"*{len(words)}\\r\\n", f"an array of {len(words)}")]
        frames += [Frame(f"${len(w)}\\r\\n{w}\\r\\n", f"{len(w)} bytes: {w}", 1) for w in words]
        self.post(m.WireShown([WireEntry(True, terminal, 40, tuple(frames)),
                               WireEntry(False, terminal, len(raw), (Frame(raw, rows[0].text),))]))  # fmt: skip
        self.post(m.EventsShown([EventEntry("12:00:00.001", "command", line, "#3")]))
        self.show()
        self.post(m.PromptShown(terminal, "127.0.0.1:6379> "))
        if typed_for == "e1" and not self.predicted:
            question = Question("p", "What does STRLEN say of a key that is not there?", ("0", "nil", "an error"),
                                "STRLEN nothing")  # fmt: skip
            self.post(m.PredictionAsked(terminal, question))

    async def noted(self) -> None:
        pass

    async def interrupt(self, terminal: str) -> None:
        self.post(m.PromptShown(terminal, "127.0.0.1:6379> "))

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        self.predicted = PredictionView(
            question.id, question.text, answer, answer == "0", "0", "A key that is not there has no bytes."
        )
        self.post(m.PromptShown(terminal, "127.0.0.1:6379> "))
        self.post(m.TypeIn(terminal, [question.command]))
        self.show()

    async def run_example(self, example: ExampleView) -> None:
        self.post(m.TypeIn(self.terminals[0], [command for command, _ in example.exchanges], example.id))

    async def act(self, action: str) -> None:
        self.acts.append(action)
        if action == "hint":
            self.level = min(3, self.level + 1)
            hints = (
                "SET wants a key and a value; you have the key so far.",
                "The shape is SET key value.",
                "Like so:",
            )
            self.post(
                m.HintShown(
                    HintView(hints[self.level - 1], self.level, 3, "SET user:1 Ada" if self.level == 3 else "")
                )
            )
        elif action == "show":
            self.post(m.TypeIn(self.terminals[0], ["SET user:1 Ada"]))
        elif action == "next":
            if self.at + 1 == len(STEPS):
                self.post(m.Finished("Strings", "counters", "Counters"))
                return
            self.at += 1
            self.show(fresh=True)
        elif action == "back":
            self.at = max(0, self.at - 1)
            self.show(fresh=True)
        elif action in ("undo", "reset", "reset_lesson"):
            self.data.clear()
            self.done.clear()
            self.post(m.Cleared("The server is back where it was."))
            self.post(m.KeysShown(KeysView()))
            self.show()
        elif action == "why":
            self.post(
                m.Notice("Redis does not know a command of this name. Commands are one word; check the spelling.")
            )


class FakeCourse:
    """Two chapters; the strings lesson can be taken."""

    saves = True

    def __init__(self) -> None:
        self.controllers: list[FakeController] = []
        self.reset = False

    def view(self) -> CourseView:
        return CourseView(
            (
                ChapterEntry(
                    1,
                    "Meet Redis",
                    (
                        LessonEntry("what", "What Redis is", 8, 6, 6, True, True, summary="A data structure server."),
                        LessonEntry("fast", "Why it is fast", 10, 5, 5, True, True, True, missed=1),
                        LessonEntry("first", "The first commands", 10, 7, 2, False, True),
                    ),
                ),
                ChapterEntry(
                    2,
                    "Keys and types",
                    (
                        LessonEntry("keys", "Keys and DEL", 8, 6, 6, True, True),
                        LessonEntry("strings", "Strings", 12, 7, 0, summary="SET, GET, what a value may hold."),
                        LessonEntry("counters", "Counters and atomicity: two clients race", 9, 6),
                    ),
                ),
                ChapterEntry(3, "Working together"),
            ),
            "strings",
            ("lessons/broken.md:3: 'title' is missing",),
        )

    def controller(self, lesson: str) -> FakeController:
        if lesson not in ("strings", "counters"):
            raise LookupError(f"there is no lesson {lesson!r}")
        self.controllers.append(FakeController())
        return self.controllers[-1]

    def sandbox(self) -> FakeController:
        return self.controller("strings")

    def find(self, query: str) -> list:
        return []

    def bookmarks(self) -> list:
        return []

    def remove_bookmark(self, key: str) -> None:
        pass

    def placement(self, chapter: int) -> None:
        raise LookupError(chapter)

    def claim(self, chapter: int) -> tuple[str, str]:
        return "strings", "Solve every task."

    def take_placement_back(self, chapter: int) -> None:
        pass

    def review(self, lesson: str = "") -> list:
        return []

    def review_answer(self, key: str, said: str) -> None:
        return None

    def glossary(self) -> tuple[tuple[str, str], ...]:
        return (("backlog", "The latest part of the replication stream that a master keeps."),)

    def lessons_on(self, term: str) -> tuple[tuple[str, str], ...]:
        return (("strings", "Strings"),)

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        return (("strings", "Strings"),) if command == "SET" else ()

    def lessons_of_scenario(self, scenario: str) -> tuple[tuple[str, str], ...]:
        return (("strings", "Strings"),) if scenario == "partial-resync" else ()

    def reset_everything(self) -> None:
        self.reset = True
