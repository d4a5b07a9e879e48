"""A lesson line by line: for screen readers, for pipes, and for a plain terminal.

It shows the same controller's messages as the full screen, as text, once, in the order in which they arrive. It does
not draw, move or color anything. Commands of the tutor begin with a colon, as at the prompt of the full screen.
"""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tutor import answers
from tutor.ending import by_signal
from tutor.lesson import bookmarks, model
from tutor.lesson import messages as m
from tutor.lesson.actions import parse, plain_help, terminals_are, unknown
from tutor.lesson.catalogue import Catalogue, installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.driver import Driver
from tutor.lesson.editor import COMMANDS, FUNCTION, EditorRun, rows_of_run
from tutor.lesson.lines import wants_command
from tutor.lesson.progress import Progress
from tutor.lesson.reading import Problems
from tutor.lesson.real_server import RealServer, parse_address
from tutor.lesson.transcript import CONTINUED, prompted
from tutor.lesson.view import (
    Block,
    BookmarkEntry,
    ExampleView,
    HintView,
    LessonPlace,
    PredictionView,
    ProseView,
    Question,
    SceneView,
    StepView,
    Tasks,
)
from tutor.lesson_server.parent import HostError
from tutor.pictures.picture import PictureView
from tutor.prompt.markdown import one_line, to_paragraphs, to_plain
from tutor.prompt.rows import Row
from tutor.prompt.words import LINE, shorten
from tutor.standard_streams import read_line, read_silently, writer

CONFIRMED = "yes"
END_OF_TEXT = "."
PICTURE_WIDTH = 78
NOTHING_DRAWN = "No command has been about a key yet."
LEAVING = ("exit", "quit")


class Plain:
    """The conversation. `read` gives a line or None at the end; `write` takes one line of text."""

    place = "lesson"  # as actions have it

    def __init__(
        self,
        controller: LessonController,
        read: Callable[[str], str | None],
        write: Callable[[str], object],
        progress: Progress | None = None,
        first: int | None = None,
    ) -> None:
        """Make the conversation; `first` is a step (index) to go to as soon as the lesson is open."""
        self._first = first
        self.controller, self.lesson = controller, controller.lesson
        self.read, self._write = read, write
        self.progress = progress
        self.driver = Driver(controller)
        self.view: StepView | None = None
        self.question: Question | None = None  # that is to be answered
        self.picture: PictureView | None = None
        self.terminal = self.lesson.terminals[0]
        self.over = False
        self.leaves_for: LessonPlace | None = None  # once it is over, a bookmark in another lesson
        self._told: set[str] = set()  # the blocks of the step that were told
        self._farewell = ""  # what to say of a complete step once all of its text has been told
        self._skipped: set[str] = set()  # questions that :run asks again, and nothing else
        self._complete = False
        self._waiting: frozenset[str] = frozenset()  # terminals whose command waits
        self._arriving = ""  # the terminal to which the last line told belongs, if that came unasked

    def write(self, text: str = "") -> None:
        """Write lines."""
        self._arriving = ""
        for row in text.rstrip("\n").split("\n"):
            self._write(row)

    def run(self) -> None:
        """Take the lesson until it is over or left. Raises HostError if its server does not start."""
        self.introduce()
        self.write("Type Redis commands. :help lists the commands of the tutor.")
        if len(self.lesson.terminals) > 1:
            names = ", ".join(self.lesson.terminals)
            self.write(f"This lesson has several terminals: {names}. :terminal NAME changes to another.")
        try:
            self.hear(self.driver.open())
            if self._first is not None:
                self.visit(self._first)
            while not self.over:
                self.hear(self.driver.do())
                self.read_on()
                if not self.over:
                    self.turn()
        finally:
            self.driver.close()

    def introduce(self) -> None:
        """Say what this is."""
        front = self.lesson.front
        self.write(f"Lesson: {front.title}. About {front.minutes} minutes, {len(self.lesson.steps)} steps.")

    def turn(self) -> None:
        """Have the learner answer a question, or type a line."""
        if self.question is not None:
            self.ask()
            return
        where = f"{self.terminal} " if len(self.lesson.terminals) > 1 else ""
        prompt = f"{where}{self.controller.prompt(self.terminal)}"
        try:
            line = self.read(prompt)
        except KeyboardInterrupt:
            if self.terminal not in self._waiting and not prompt.endswith(CONTINUED):
                raise
            self.interrupt()
            return
        self.over = line is None
        if line is not None:
            self.take(line.rstrip("\r\n"))

    def take(self, line: str) -> None:
        """Do what a line asks for."""
        said = line.strip()
        if said in LEAVING:
            self.over = True
        elif said.startswith(":"):
            self.tutor_command(said[1:])
        elif said or self.controller.keeps_blanks(self.terminal):
            if self.terminal in self._waiting:  # as in redis-cli, where nothing can be typed while it waits
                self.interrupt()
            self.hear(self.driver.do(self.controller.submit(self.terminal, line, None), self.terminal))

    def interrupt(self) -> None:
        """Stop the command that waits in the terminal."""
        self.hear(self.driver.do(self.controller.interrupt(self.terminal)))

    def act(self, action: str) -> None:
        """Have the controller do something."""
        self.hear(self.driver.do(self.controller.act(action), self.terminal))

    def tutor_command(self, line: str) -> None:
        """Do what is typed behind a colon."""
        action, argument = parse(line)
        word = action.name if action is not None else line.partition(" ")[0]
        match [word, *argument.split()]:
            case ["run"]:
                self.run_next()
            case ["connect", *where] if self.place != "lesson":
                run_connected(" ".join(where), self.read, self._write)
            case ["data" | "load" | "export" | "bookmark", *names]:
                self.act(" ".join([word, *names]))
            case ["edit", *numbers] if action is not None and action.is_in(self.place):
                self.edit(numbers)
            case ["bookmarks", *words] if action is not None:
                self.bookmarks(words)
            case ["again"]:
                self.tell_heading()
            case ["picture", *names]:
                self.act(" ".join(["picture", *names]))
                drawn = self.picture.draw(PICTURE_WIDTH, 0).lines if self.picture is not None else ()
                self.write("\n".join("".join(text for text, _ in line) for line in drawn) or NOTHING_DRAWN)
            case ["lab", *names]:
                self.laboratory(names)
            case ["terminal", name] if name in self.lesson.terminals:
                self.terminal = name
            case ["terminal", *_]:
                self.write(terminals_are(self.lesson.terminals, self.terminal))
            case ["quit"] | ["q"]:
                self.over = True
            case ["hint" | "show"] if self._task_is_ahead:
                self.write("The task comes after this question. Answer it first, or skip it with an empty line.")
            case [name] if action is not None and not action.front_end:
                self.act(name)
            case ["help", *_]:
                for row in plain_help(self.place):
                    self.write(row)
            case _:
                self.write(unknown(line, self.place, plain=True))

    @property
    def _task_is_ahead(self) -> bool:
        """Whether a question is asked before the open task has been told."""
        task = self.view.open_task if self.view is not None else None
        return self.question is not None and task is not None and f"task {task.id}" not in self._told

    def run_next(self) -> None:
        """Run the next example that has something to type, or ask the prediction that comes before it."""
        match self.view.next_run if self.view is not None else None:
            case ExampleView() as example:
                self.run_example(example)
            case PredictionView(name):
                self._skipped.discard(name)
                self.act("predict")
            case None if self.view is not None and self.view.open_task is not None:
                self.write("There is nothing to run before the task.")
            case _:
                self.write("Every example of this step has been run.")

    def run_example(self, example: ExampleView) -> None:
        """Have an example typed."""
        self.hear(self.driver.do(self.controller.run_example(example), self.terminal))

    # -- the editor

    def edit(self, numbers: Sequence[str]) -> None:
        """Read a text of several lines, and run it; with a number, replace that line of the text."""
        rows = self.controller.draft.text.split("\n") if self.controller.draft.text else []
        for number, text in enumerate(rows, 1):
            self.write(f"{number:>3} {text}")
        before: list[str] = []
        after: list[str] = []
        if numbers:
            at = int(numbers[0]) if numbers[0].isdecimal() else 0
            if not 1 <= at <= len(rows):
                self.write(f"The text has {len(rows)} lines. :edit alone begins a new one.")
                return
            before, after = rows[: at - 1], rows[at:]
        self.write(
            "Type a Lua script, a function library (#!lua name=...) or commands. A single . ends and runs it"
            f"{'; typed at once, it runs the text above' if rows else ''}."
        )
        typed: list[str] = []
        while (line := self.read("... ")) is not None and line.rstrip("\r\n") != END_OF_TEXT:
            typed.append(line.rstrip("\r\n"))
            self._keep(text="\n".join([*before, *typed, *after]))
        self.over = line is None
        if not self.over and self._read_arguments():
            self.hear(self.driver.do(self.controller.run_draft(), self.terminal))

    def _keep(self, **changes: str) -> None:
        self.controller.keep_draft(msgspec.structs.replace(self.controller.draft, **changes))

    def _read_arguments(self) -> bool:
        """Read what a script or function is called with; returns whether the input goes on."""
        draft = self.controller.draft
        if not draft.text.strip() or draft.kind == COMMANDS:
            return True
        if draft.kind == FUNCTION and not self._read_words("call", "FCALL", "loads it only"):
            return not self.over
        return (
            self._read_words("keys", "KEYS", "none") is not None
            and self._read_words("args", "ARGV", "none") is not None
        )

    def _read_words(self, name: str, label: str, without: str) -> str | None:
        """Read words that are kept from one run to the next; None at the end of the input."""
        kept: str = getattr(self.controller.draft, name)
        said = self.read(
            f"{label} [{kept}] (Enter keeps it, - for none): " if kept else f"{label} (Enter: {without}): "
        )
        self.over = said is None
        if said is None:
            return None
        words = said.strip() or kept
        words = "" if words == "-" else words
        self._keep(**{name: words})
        return words

    def bookmarks(self, words: Sequence[str]) -> None:
        """List the bookmarks, go to one, or remove one."""
        if self.progress is None:
            self.write(bookmarks.NOT_KEPT)
            return
        found = bookmarks.entries(installed_course(), self.progress)
        if not words:
            for number, each in enumerate(found, 1):
                self.write(bookmarks.described(number, each))
            self.write(":bookmarks N goes to one, :bookmarks remove N removes it." if found else bookmarks.NONE)
            return
        entry = bookmarks.pick(found, words[-1])
        if isinstance(entry, str):
            self.write(entry)
        elif words[0] == "remove":
            bookmarks.remove(self.progress, entry.key)
            self.write(f"Removed: {entry.lesson}, step {entry.step + 1}.")
        elif entry.is_gone:
            self.write(f"{entry.lesson} no longer exists.")
        else:
            self.go_to(entry)

    def go_to(self, entry: BookmarkEntry) -> None:
        """Go to a bookmark in this lesson, or leave for the one in another."""
        if entry.lesson_key == self.lesson.key:
            self.visit(entry.step)
        else:
            self.leaves_for, self.over = LessonPlace(entry.target, entry.step), True

    def visit(self, step: int) -> None:
        """Go to a step (index) of this lesson, after a question if it is an earlier one."""
        at = self.view.number - 1 if self.view is not None else 0
        if at > step and not self.confirmed(
            f"You are at step {at + 1}. Going back takes the server to the end of step {step + 1}; the later steps "
            f"are open again. Type {CONFIRMED} to go back: "
        ):
            self.write(f"You stay at step {at + 1}.")
        else:
            self.act(f"visit {step}")

    def confirmed(self, question: str) -> bool:
        """Ask before something that cannot be undone."""
        return (self.read(question) or "").strip().lower() == CONFIRMED

    def laboratory(self, wanted: Sequence[str]) -> None:
        """Tell scenarios of the laboratory: those of the step, or the one that is named."""
        from tutor.lab.loader import find, read_scenario
        from tutor.lab.play import story
        from tutor.lab.runner import ScenarioRunner
        from tutor.lesson.model import Problem

        names = wanted or [scene.scenario for scene in (self.view.scenes if self.view is not None else ())]
        if not names:
            self.write("This step has no scenario in the laboratory. `redis-tutor lab --list` names all scenarios.")
        for name in names:
            try:
                runner = ScenarioRunner(read_scenario(find(name)))
            except (LookupError, Problem) as problem:
                self.write(str(problem.args[0]))
                continue
            for row in story(runner, []):
                self.write(row)

    # -- the text of the step

    def tell_heading(self) -> None:
        """Begin to print the step."""
        assert self.view is not None
        self._told, self._farewell = set(), ""
        self.write()
        marked = " (bookmarked)" if self.view.bookmarked else ""
        self.write(f"Step {self.view.number} of {self.view.of}{marked}: {to_plain(self.view.title)}")

    def read_on(self) -> None:
        """Tell what of the step has not been told yet. Predictions are asked in their place.

        What is to be run or answered after an open task waits for it, as F7 does on the full screen.
        """
        while not self.over and self.view is not None:
            blocks = self.view.blocks_to_read
            block = next((block for block in blocks if not self._told.issuperset(_names(block))), None)
            if block is None:
                if len(blocks) < len(self.view.blocks):
                    self._wait_for_task(blocks[-1])
                    return
                break
            before = set(self._told)
            self._told.update(_names(block))
            if not isinstance(block, PredictionView):
                for row in self.told(block, before):
                    self.write(row)
            elif not block.answer:
                self.reach(block)
        if self.view is not None and "end" not in self._told and not self.over:
            self._told.add("end")
            self.write()
            if not self.view.tasks:
                self.write("This step has no task: try things out. :run types the examples, :next goes on.")
        if self._farewell and not self.over:
            self.write(self._farewell)
            self._farewell = ""

    def _wait_for_task(self, tasks: Block) -> None:
        """Say, once for each task, that the text goes on after it."""
        assert isinstance(tasks, Tasks)
        name = f"waits for {next(task.id for task in tasks.tasks if not task.done)}"
        if name not in self._told:
            self._told.add(name)
            self.write("(The text goes on when the task is done.)")
            self.write()

    def reach(self, prediction: PredictionView) -> None:
        """Ask a prediction, once what was shown before it has happened."""
        assert self.view is not None
        number = self.view.number
        for block in self.view.blocks:
            if isinstance(block, PredictionView) and block.id == prediction.id:
                break
            if isinstance(block, ExampleView) and not block.ran and not block.passive:
                self.write()
                self.write("Running the example above first.")
                self.run_example(block)
        if self.question is None and self.view.number == number:
            self.act("predict")
        self.ask()

    def ask(self) -> None:
        """Ask the question until it is answered, skipped or out of date."""
        asked: Question | None = None
        while self.question is not None and not self.over:
            question = self.question
            if question is not asked:
                self.write()
                self.write(f"Predict: {question.text}")
                for label, choice in zip(answers.labels(question.choices), question.choices, strict=True):
                    self.write(f"  {label}. {choice}")
            asked = question
            answer = self.answer()
            if answer.startswith(":"):
                asked, was_complete = None, self._complete
                self.tutor_command(answer[1:])
                if self.question is question and self._complete and not was_complete:
                    self._skipped.add(question.id)  # what it was about has been done
                    self.question = None
                continue
            self.question = None
            prediction = self._prediction(question)
            if not answer:
                self._skipped.add(question.id)
            elif prediction is not None and self._is_command(prediction, answer):
                self._skipped.add(question.id)  # typed at the question, but meant for the prompt
                self.take(answer)
                if self._is_open(question):
                    self.write("(The question is still open: :run asks it again.)")
            else:
                self.hear(self.driver.do(self.controller.answer(self.terminal, question, answer), self.terminal))

    def _is_command(self, prediction: model.Prediction, answer: str) -> bool:
        is_answer = bool(prediction.read(answer))
        if wants_command(prediction) or (is_answer and prediction.options):
            return False
        found: bool = self.controller.completer(self.terminal).is_command(answer, whole=is_answer)
        return found

    def _is_open(self, question: Question) -> bool:
        """Return whether a question can still be asked: what it is about may have been shown meanwhile."""
        blocks = self.view.blocks if self.view is not None else ()
        return any(
            isinstance(each, PredictionView) and each.id == question.id and not each.correct for each in blocks
        )

    def _prediction(self, question: Question) -> model.Prediction | None:
        step = self.lesson.steps[self.view.number - 1 if self.view is not None else 0]
        return next((each for each in step.predictions if each.id == question.id), None)

    def answer(self) -> str:
        """Read the answer to a prediction; empty to skip it, or when the learner leaves."""
        answer = self.read("Your answer (empty to skip): ")
        self.over = answer is None or answer.strip() in LEAVING
        return "" if answer is None or self.over else answer.strip()

    def told(self, block: Block, before: set[str]) -> Iterable[str]:
        """Yield a block as lines; of its tasks those that were not told before."""
        match block:
            case ProseView(markdown):
                yield ""
                yield to_paragraphs(markdown)
            case ExampleView():
                yield ""
                yield from _example(block)
            case SceneView():
                yield ""
                yield f"In the laboratory (:lab plays it): {block.title}. {to_paragraphs(block.text)}".rstrip()
            case Tasks(tasks):
                for task in tasks:
                    if f"task {task.id}" not in before:
                        yield ""
                        yield f"Your turn: {to_paragraphs(task.text)}{' Done already.' if task.done else ''}"

    # -- news

    def hear(self, news: Iterable[m.News]) -> None:
        """Tell news as they come, and which commands wait after them."""
        for each in news:
            self.tell(each)
        for name in sorted(self.driver.waiting - self._waiting):
            self.waits(name)
        self._waiting = self.driver.waiting

    def waits(self, terminal: str) -> None:
        """Tell that a command waits."""
        if not self.controller.links[terminal].monitors:
            self.write("(nothing yet: it waits)")

    def tell(self, news: m.News) -> None:
        """Tell one of them."""
        match news:
            case m.StepShown(view, fresh):
                self.step_shown(view, fresh)
            case m.TerminalOutput(terminal, rows, unasked):
                if (unasked or terminal in self._waiting) and self._arriving != terminal:
                    self.write(f"In the terminal {terminal} arrives:")
                self.write("\n".join(row.text for row in rows))
                self._arriving = terminal if unasked else ""
            case m.TypeIn(terminal, lines, typed_for):
                for line in lines:
                    where = f"{terminal} " if len(self.lesson.terminals) > 1 else ""
                    self.write(f"{where}{self.controller.prompt(terminal)}{shorten(line, LINE)}")
                    self.driver.begin(self.controller.submit(terminal, line, typed_for))
            case m.PredictionAsked(_, question):
                if question is None or question.id not in self._skipped:
                    self.question = question
            case m.EditorRan(run) if run.over:
                self.tell_run(run)
            case m.EditorRefused(reason):
                self.write(reason)
            case m.Changed(_, text):
                self.write(text)
            case m.Failed():
                self.write("(:why explains it)")
            case m.TaskCompleted(_, _, goal, _):
                self.write(f"Done: {to_plain(goal)}")
            case m.Outcome():
                said, right = to_plain(news.said), to_plain(news.correct)
                self.write("Right." if news.right else f"Not quite. You answered: {said}. Correct: {right}.")
                self.write(to_paragraphs(news.because))
            case m.HintShown(hint) if hint is not None:
                self.tell_hint(hint)
            case m.PictureShown(view):
                self.picture = view
            case m.Cleared(text):
                self.write(f"({text})")
            case m.Notice(text):
                self.write(to_plain(text))
            case m.Finished():
                self.review()
                self.write("That was the lesson.")
                for row in news.told:
                    self.write(row)
                if news.next_lesson:
                    self.write(f"What follows: redis-tutor learn {news.next_lesson} --plain")
                self.over = True

    def tell_run(self, run: EditorRun) -> None:
        """Tell what the editor's text called, and where it failed: its replies have been told."""
        for each in rows_of_run(replace(run, lines=()), self.controller.draft.text):
            self.write(each.text)

    def step_shown(self, view: StepView, fresh: bool) -> None:
        """Tell that a step is another one, or complete now."""
        self.view = view
        if fresh:
            self.question = None
            self._skipped.clear()
            self.tell_heading()
        elif view.complete and view.tasks and not self._complete:
            last = view.number == view.of
            self.step_done(":next finishes the lesson." if last else "This step is done. :next goes on.")
        self._complete = view.complete

    def step_done(self, text: str) -> None:
        """Note that the step is complete: the rest of its text comes first."""
        self._farewell = text

    def tell_hint(self, hint: HintView) -> None:
        """Tell a hint."""
        self.write(f"{hint.heading}: {to_plain(hint.text)}")
        for terminal, line in hint.lines:
            where = f" (terminal {terminal})" if len(self.lesson.terminals) > 1 else ""
            self.write("\n".join(f"    {row}" for row in f"{line}{where}".split("\n")))

    def review(self) -> None:
        """Ask the predictions once more that were missed."""
        taken = self.progress.of(self.lesson.key) if self.progress else None
        if self.progress is None or taken is None or not taken.missed:
            return
        self.write("Before you go, here are your wrong predictions again.")
        for miss in list(taken.missed):
            step = self.lesson.steps[miss.step] if miss.step < len(self.lesson.steps) else None
            found = [each for each in step.predictions if each.id == miss.prediction] if step else []
            if not found:  # the lesson has changed since
                self.progress.settle(self.lesson.key, miss)
                continue
            prediction = found[0]
            self.write()
            self.write(f"Predict: {one_line(prediction.question)}")
            for label, option in zip(prediction.labels, prediction.options, strict=True):
                self.write(f"  {label}. {one_line(option)}")
            while (answer := self.answer()) and not prediction.read(answer):
                self.write(prediction.again(answer))
            if self.over:
                return
            if not answer:
                continue
            right = prediction.right(answer)
            self.write("Right." if right else f"Not quite. Correct: {to_plain(prediction.answers[0])}.")
            if right:
                self.progress.settle(self.lesson.key, miss)
            else:
                self.write(to_paragraphs(prediction.because))


def _names(block: Block) -> list[str]:
    """Return what is remembered of a block that was told."""
    match block:
        case Tasks(tasks):
            return [f"task {task.id}" for task in tasks]
        case ProseView(markdown):
            return [f"prose {markdown}"]
        case SceneView(scenario):
            return [f"scene {scenario}"]
        case ExampleView(name):
            return [f"example {name}"]
        case PredictionView(name):
            return [f"prediction {name}"]


def _example(example: ExampleView) -> Iterable[str]:
    where = f" in the terminal {example.where}" if example.where else ""
    if example.passive:
        yield f"What arrives{where}:"
    elif example.setup:
        yield f"Typed for you{where}:"
    else:
        yield f"Example{where}, :run types it:"
    for prompt, (command, reply) in zip(example.prompts, example.exchanges, strict=True):
        yield from (f"    {row}" for row in (*prompted(prompt, command), *reply.splitlines()))


class PlainSandbox(Plain):
    """The sandbox in the plain mode."""

    place = "sandbox"

    def introduce(self) -> None:
        """See `Plain`."""
        self.write("Sandbox.")

    def tell_heading(self) -> None:
        """Tell nothing: there is one step."""
        self._told = {"end"}

    def tutor_command(self, line: str) -> None:
        """See `Plain`. Before everything is forgotten, ask."""
        if line.split()[:1] == ["reset"]:
            if not self.confirmed(f"This deletes the data and the undo history. Type {CONFIRMED} to continue: "):
                self.write("Nothing was deleted.")
                return
            line = "reset"
        super().tutor_command(line)


class PlainConnected(PlainSandbox):
    """A real server in the plain mode."""

    place = "connected"

    def introduce(self) -> None:
        """See `Plain`."""
        self.write(f"Connected to {self.lesson.title}. :quit leaves it.")


class JsonPlain(Plain):
    """The conversation as JSON, one object a line: what was typed and printed, what was recognized, what is done.

    Predictions are not asked. `event` is one of: step, typed, arrived, changed, editor, diagnosis, task,
    step_done, back, note, hint, why, end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._output: dict[str, list[Row]] = {}  # of the line that runs, by terminal
        self._line = ""
        self._notice = "note"  # the event that a notice is

    def emit(self, event: str, **facts: object) -> None:
        """Write one object."""
        text = json.dumps({"event": event, **facts}, ensure_ascii=False)
        whole = all(each < "\ud800" or each > "\udfff" for each in text)  # bytes that are no UTF-8 are escaped
        self._write(text if whole else json.dumps({"event": event, **facts}))

    def write(self, text: str = "") -> None:
        """Write what has no form of its own."""
        if text.strip():
            self.emit("note", text=text.strip())

    def tell_heading(self) -> None:
        """Tell which step this is and what is to be done."""
        if (view := self.view) is not None:
            self.emit(
                "step", number=view.number, title=view.title, tasks=[to_plain(each.text) for each in view.tasks]
            )

    def read_on(self) -> None:
        """Tell nothing of the text, and ask nothing."""
        self.question = None

    def run_next(self) -> None:
        """Run the next example; a prediction is not asked, but answered, and what it was about is run."""
        wanted = self.view.next_run if self.view is not None else None
        if not isinstance(wanted, PredictionView):
            super().run_next()
        elif (made := self._prediction(question := Question(wanted.id, wanted.text))) is not None:
            self.hear(self.driver.do(self.controller.answer(self.terminal, question, made.answers[0]), self.terminal))

    def take(self, line: str) -> None:
        """See `Plain`."""
        self._line = line
        super().take(line)

    def tutor_command(self, line: str) -> None:
        """See `Plain`."""
        self._notice = "why" if line.split() == ["why"] else "note"
        super().tutor_command(line)
        self._notice = "note"

    def typed(self, terminal: str, line: str) -> None:
        """Tell a line and what it printed."""
        self.emit("typed", terminal=terminal, line=line, printed=_printed(self._output.pop(terminal, [])))

    def waits(self, terminal: str) -> None:
        """See `Plain`."""
        self.typed(terminal, self._line)

    def tell(self, news: m.News) -> None:
        """Tell one of them."""
        match news:
            case m.TerminalOutput(terminal, rows, unasked):
                if unasked or terminal in self._waiting:
                    self.emit("arrived", terminal=terminal, printed=_printed(rows))
                else:
                    self._output.setdefault(terminal, []).extend(rows)
            case m.LineDone(terminal, line):
                if terminal not in self._waiting:
                    self.typed(terminal, shorten(line, LINE))
            case m.TypeIn(terminal, lines, typed_for):
                for line in lines:
                    self._line = line
                    self.driver.begin(self.controller.submit(terminal, line, typed_for))
            case m.Changed(_, text):
                self.emit("changed", text=text)
            case m.EditorRan(run) if run.over:
                calls = [{"command": each.command, "reply": each.reply} for each in run.calls or ()]
                self.emit("editor", kind=run.kind, calls=calls, error=run.error, line=run.error_line)
            case m.EditorRefused(reason):
                self.emit("note", text=reason)
            case m.HintShown(hint) if hint is not None:
                if hint.of:
                    solution = [{"terminal": terminal, "line": line} for terminal, line in hint.lines]
                    self.emit("hint", level=hint.level, of=hint.of, text=to_plain(hint.text), lines=solution)
                else:
                    self.emit("diagnosis", kind=hint.kind, slot=hint.slot, text=to_plain(hint.text))
            case m.TaskCompleted(_, task, goal, _):
                self.emit("task", id=task, goal=to_plain(goal))
            case m.Cleared(text):
                self.emit("back", text=text)
            case m.Notice(text):
                self.emit(self._notice, text=to_plain(text).strip())
            case m.Finished():
                self.emit("end")
                self.over = True
            case m.StepShown() | m.PictureShown():
                super().tell(news)

    def step_done(self, text: str) -> None:
        """See `Plain`."""
        self.emit("step_done", number=self.view.number if self.view is not None else 0)


def _printed(rows: Iterable[Row]) -> str:
    """Return rows as text, without the time that a slow command took."""
    return "".join(f"{row.text}\n" for row in rows if not re.fullmatch(r"\(\d+\.\d\ds\)", row.text))


def rehearse(lesson: model.Lesson, seed: int) -> str:
    """Take a lesson from beginning to end with nothing but :run, :show and :next; returns what went wrong."""
    script: list[str] = []
    for step in lesson.steps:
        script += [":run"] * len(step.examples) + [":hint"]
        if not lesson.on_machines:  # where it would do all of the lesson again
            script.append(":undo")
        for task in step.tasks:
            script += [":show", ":run"] * (task.id != "")
        script.append(":next")
    written: list[str] = []

    def read(prompt: str) -> str | None:
        if prompt.startswith("Your answer"):
            return "1"
        return script.pop(0) if script else None

    controller = LessonController(lesson, Catalogue(Path()), None, seed=seed)
    try:
        Plain(controller, read, written.append).run()
    except Exception as error:
        return f"{type(error).__name__}: {error} (after {written[-1] if written else 'nothing'!r})"
    if not any("That was the lesson" in row for row in written):
        return f"it does not come to its end (last: {written[-1]!r})"
    bad = [row for row in written if "\x1b" in row]
    return f"a control character in {bad[0]!r}" if bad else ""


def run_sandbox(data: str = "", file: str = "") -> int:
    """Open the sandbox at standard input and output; returns the exit status."""
    from tutor.lesson.free_play import FreePlay

    first = [f":data {data}"] * bool(data) + [f":load {file}"] * bool(file)

    def read(prompt: str) -> str | None:
        return first.pop(0) if first else read_line(prompt)

    return _converse(lambda write: PlainSandbox(FreePlay(), read, write))


def run_connected(
    where: str, read: Callable[[str], str | None] | None = None, write: Callable[[str], object] | None = None
) -> int:
    """Look at a real server at standard input and output; returns the exit status."""
    from tutor.lesson.connected import Connected

    try:
        controller = Connected(where)
    except ValueError as error:
        (write or print)(str(error))
        return 1
    return _converse(lambda printed: PlainConnected(controller, read or read_line, write or printed))


def _converse(make: Callable[[Callable[[str], object]], Plain], as_json: bool = False) -> int:
    """Hold a conversation; returns the exit status."""
    with by_signal():
        try:
            with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
                make(print if as_json else writer()).run()
        except HostError as error:
            print(f"redis-tutor: {error}", file=sys.stderr)
            return 1
    return 0


OPEN = 3  # the exit status when a task of the step is still open


def run(name: str, step: int | None = None, as_json: bool = False, server: str = "", at: int | None = None) -> int:
    """Take a lesson at standard input and output, and those that bookmarks lead to; returns the exit status.

    With a step (from 1), the lesson begins there on a fresh server, with everything before it done, and progress is
    neither read nor written: a script can play a step again and again. `at` is a step (index) to go to first.
    """
    place: LessonPlace | None = LessonPlace(name, at)
    status = 0
    while place is not None:
        status, place = _take(place, step, as_json, server)
    return status


def _take(place: LessonPlace, step: int | None, as_json: bool, server: str) -> tuple[int, LessonPlace | None]:
    """Take one lesson; returns the exit status, and the place to which the learner leaves it."""
    talks: list[Plain] = []
    status = _take_lesson(place, step, as_json, server, talks)
    return status, talks[0].leaves_for if talks else None


def _take_lesson(place: LessonPlace, step: int | None, as_json: bool, server: str, talks: list[Plain]) -> int:
    name, course, progress = place.lesson, installed_course(), Progress()
    try:
        lesson = course.open(name)
    except Problems as error:
        print(error, file=sys.stderr)
        return 1
    except LookupError as error:
        broken = [problem for problem in course.problems if Path(problem.path).stem == name]
        for problem in broken:
            print(problem, file=sys.stderr)
        if not broken:
            print(f"redis-tutor: {error.args[0]}", file=sys.stderr)
        return 1
    if step is not None and step > len(lesson.steps):
        print(f"redis-tutor: the lesson {name!r} has {len(lesson.steps)} steps", file=sys.stderr)
        return 1
    try:
        real = RealServer(parse_address(server), writes=True) if server else None
    except ValueError as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return 1
    if step is None:
        controller = LessonController(lesson, course, progress, real=real)
    else:
        controller = LessonController(lesson, course, None, seed=1, step=step - 1, real=real)
    kind, read = (JsonPlain, read_silently) if as_json else (Plain, read_line)
    kept = progress if step is None else None

    def make(write: Callable[[str], object]) -> Plain:
        talks.append(kind(controller, read, write, kept, place.step))
        return talks[0]

    if status := _converse(make, as_json):
        return status
    return OPEN if step is not None and not controller.is_done(step - 1) else 0
