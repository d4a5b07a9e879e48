"""A lesson line by line: for screen readers, for pipes, for whoever likes a plain terminal.

Everything the full screen shows is told as text, once, in the order in which it is needed; nothing is drawn, moved or
coloured. Commands of the tutor begin with a colon, as at the prompt of the full screen.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tutor.course import transcript
from tutor.course.catalogue import read_course
from tutor.course.model import Example, Lesson, Prediction, Prose, Scene, Task
from tutor.course.progress import Progress
from tutor.course.reading import Problems, read_lesson
from tutor.course.server import EngineServer, Server
from tutor.course.session import (
    Arrived,
    Differs,
    Event,
    ExampleRan,
    Foreseen,
    LessonDone,
    Nothing,
    Session,
    StepDone,
    StepEntered,
    TaskDone,
    Typed,
    WentBack,
)
from tutor.course.several import MachinesServer

HELP = (
    ":hint    a hint, a clearer one each time",
    ":show    type the solution for me",
    ":run     run the next example",
    ":undo    take the last command back",
    ":reset   start this step again (:reset lesson for all of it)",
    ":next    the next step",
    ":back    the step before",
    ":again   read the step again",
    ":why     explain the last error",
    ":lab     tell the step's scenario in the laboratory (:lab NAME another one)",
    ":terminal NAME   type in another terminal",
    ":quit    leave; you come back where you were",
)


def to_plain(markdown: str) -> str:
    """Return Markdown as it reads aloud: without the marks that only a page needs."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text, flags=re.S)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])", r"\1", text)
    text = re.sub(r"^```.*$\n?", "", text, flags=re.M)
    text = re.sub(r"^\|[ :|-]+\|$\n?", "", text, flags=re.M)
    return text.replace("`", "")


class Plain:
    """The conversation. `read` gives a line or None at the end; `write` takes one line of text."""

    def __init__(
        self,
        lesson: Lesson,
        server: Server,
        read: Callable[[str], str | None],
        write: Callable[[str], object],
        progress: Progress | None = None,
        following: Lesson | None = None,
    ) -> None:
        self.lesson, self.server, self.read, self.following = lesson, server, read, following
        self._write = write
        self.progress = progress
        self.session = Session(lesson, server, progress.recorder(lesson) if progress else None)
        self.terminal = lesson.terminals[0]
        self.over = False
        self.patience = 0.02  # seconds to wait for what another terminal's command sends here

    def write(self, text: str = "") -> None:
        """Write lines."""
        for row in text.rstrip("\n").split("\n"):
            self._write(row)

    def run(self, step: int = 0) -> None:
        """Take the lesson from a step (index) on, until it is over or left."""
        front = self.lesson.front
        self.write(f"Lesson: {front.title}. About {front.minutes} minutes, {len(self.lesson.steps)} steps.")
        self.write("Type Redis commands, or :help for what else can be typed.")
        if len(self.lesson.terminals) > 1:
            names = ", ".join(self.lesson.terminals)
            self.write(f"This lesson has several terminals: {names}. :terminal NAME changes to another.")
        self.tell(self.session.open(step))
        while not self.over:
            self.news()
            prompt = self.server.prompt(self.terminal)
            if len(self.lesson.terminals) > 1:
                prompt = f"{self.terminal} {prompt}"
            line = self.read(prompt)
            if line is None:
                break
            self.take(line.strip())

    def news(self) -> None:
        """Tell what arrived in any terminal."""
        for name in self.lesson.terminals:
            self.tell(self.session.arrived(name, self.server.arrived(name, self.patience)))
        if self.lesson.on_machines:
            self.tell(self.session.look_again())

    def take(self, line: str) -> None:
        """Carry out one line."""
        if line.startswith(":"):
            self.client_command(line[1:].split())
        elif line:
            self.tell(self.session.submit(self.terminal, line), typed_here=True)

    def client_command(self, words: Sequence[str]) -> None:
        """Carry out a command of the tutor."""
        session = self.session
        match list(words):
            case ["hint"]:
                self.hint()
            case ["show"]:
                self.tell(session.show())
            case ["run"]:
                self.run_next()
            case ["undo"]:
                self.tell(session.undo())
            case ["reset"]:
                self.tell(session.reset_step())
            case ["reset", "lesson"]:
                self.tell(session.reset_lesson())
            case ["next"]:
                self.tell(session.next())
            case ["back"]:
                self.tell(session.back())
            case ["again"]:
                self.step()
            case ["why"]:
                self.why()
            case ["lab", *names]:
                self.laboratory(names)
            case ["terminal", name] if name in self.lesson.terminals:
                self.terminal = name
            case ["terminal", *_]:
                self.write(f"The terminals are: {', '.join(self.lesson.terminals)}. You are in {self.terminal}.")
            case ["quit"] | ["q"]:
                self.over = True
            case _:
                for row in HELP:
                    self.write(row)

    def hint(self) -> None:
        """Tell the next hint."""
        hint = self.session.hint()
        if isinstance(hint, Nothing):
            self.write(hint.text)
            return
        self.write(f"Hint {hint.rung} of {hint.of}: {to_plain(hint.text)}")
        for terminal, line in hint.lines:
            where = f" (terminal {terminal})" if len(self.lesson.terminals) > 1 else ""
            self.write(f"    {line}{where}")

    def run_next(self) -> None:
        """Run the next example that has something to type."""
        for example in self.session.step.examples:
            if not example.arrives and not self.session.ran(example):
                self.tell(self.session.run_example(example))
                return
        self.write("Every example of this step has been run.")

    def why(self) -> None:
        """Explain the last error."""
        failed = self.session.last_error
        if failed is None:
            self.write("No command has failed so far.")
            return
        from tutor.screens.desk.errors import explain_error

        text = failed.printed.removeprefix("(error) ").strip()
        self.write(to_plain(explain_error(failed.argv, text.encode(), self.server.peek)))

    def laboratory(self, wanted: Sequence[str]) -> None:
        """Tell scenarios of the laboratory: those of the step, or the one that is named."""
        from tutor.course.model import Problem
        from tutor.lab.play import story
        from tutor.lab.reading import find, read_scenario
        from tutor.lab.stage import Stage

        names = wanted or [scene.scenario for scene in self.session.step.scenes]
        if not names:
            self.write("This step is not staged in the laboratory. `redis-tutor lab --list` names all scenarios.")
        for name in names:
            try:
                stage = Stage(read_scenario(find(name)))
            except (LookupError, Problem) as problem:
                self.write(str(problem.args[0]))
                continue
            for row in story(stage, []):
                self.write(row)

    # -- telling

    def step(self) -> None:
        """Tell the step; its predictions are asked in their place."""
        session, step = self.session, self.session.step
        self.write("")
        self.write(f"Step {step.number} of {len(self.lesson.steps)}: {to_plain(step.title)}")
        for block in step.blocks:
            if step is not session.step or self.over:
                return
            match block:
                case Prose(markdown):
                    self.write("")
                    self.write(to_plain(markdown))
                case Example():
                    self.example(block)
                case Prediction():
                    self.prediction(block)
                case Scene():
                    self.write("")
                    self.write(f"In the laboratory (:lab tells it): {block.title}. {to_plain(block.text)}".rstrip())
                case Task():
                    self.write("")
                    done = " Done already." if session.task_done(block) else ""
                    self.write(f"Your turn: {to_plain(block.goal)}{done}")
        self.write("")
        if not step.tasks:
            self.write("Nothing to do here but to try things out. :run types the examples, :next goes on.")

    def example(self, example: Example) -> None:
        """Tell a transcript."""
        self.write("")
        where = f" in the terminal {example.terminal}" if len(self.lesson.terminals) > 1 else ""
        if example.arrives:
            self.write(f"What arrives{where}:")
        elif example.setup:
            self.write(f"Typed for you{where}:")
        else:
            self.write(f"Example{where}, :run types it:")
        for exchange in example.exchanges:
            if exchange.command:
                self.write(f"    {exchange.prompt}{exchange.command}")
            for row in transcript.shown(exchange.reply).splitlines():
                self.write(f"    {row}")

    def prediction(self, prediction: Prediction) -> None:
        """Ask a prediction, run what it is about, tell both side by side."""
        session = self.session
        if session.said(prediction):
            return
        for example in session.step.examples:  # what was shown so far has to have happened
            if example.line > prediction.line:
                break
            if not example.arrives and not session.ran(example):
                self.write("")
                self.write("Running the example above first.")
                self.tell(session.run_example(example))
        self.ask(prediction)
        answer = self.read("Your answer (empty to skip): ")
        if answer is None:
            self.over = True
            return
        if answer.strip().startswith(":"):
            self.client_command(answer.strip()[1:].split())
            return
        if answer.strip():
            made = session.predict(prediction, answer)
            verdict = "Right." if made.right else f"Not so. You said: {made.answer}. It is: {prediction.answers[0]}."
            self.write(to_plain(verdict))
        for example in prediction.examples:
            if example.arrives:
                self.news()
            else:
                self.tell(session.run_example(example))
        self.write(to_plain(prediction.because))

    def review(self) -> None:
        """Ask the predictions once more that were missed."""
        taken = self.progress.of(self.lesson.id) if self.progress else None
        if self.progress is None or taken is None or not taken.missed:
            return
        self.write("Before you go: what you predicted otherwise, once more.")
        for miss in list(taken.missed):
            step = self.lesson.steps[miss.step] if miss.step < len(self.lesson.steps) else None
            found = [each for each in step.predictions if each.id == miss.prediction] if step else []
            if not found:  # the lesson has changed since
                self.progress.settle(self.lesson.id, miss)
                continue
            self.ask(found[0])
            answer = self.read("Your answer (empty to skip): ")
            if not answer or not answer.strip():
                continue
            right = found[0].right(answer)
            self.write("Right." if right else f"Not so. It is: {to_plain(found[0].answers[0])}.")
            if right:
                self.progress.settle(self.lesson.id, miss)
            else:
                self.write(to_plain(found[0].because))

    def ask(self, prediction: Prediction) -> None:
        """Tell a prediction's question and options."""
        self.write("")
        self.write(f"Predict: {to_plain(prediction.question)}")
        for number, option in enumerate(prediction.options, start=1):
            self.write(f"  {number}. {to_plain(option)}")

    def tell(self, events: Sequence[Event], typed_here: bool = False) -> None:
        """Tell events."""
        for event in events:
            match event:
                case StepEntered():
                    self.step()
                case Typed(terminal, prompt, line, text):
                    if not typed_here:
                        where = f"{terminal} " if len(self.lesson.terminals) > 1 else ""
                        self.write(f"{where}{prompt}{line}")
                    silent = self.lesson.is_shell(terminal) or line.upper().startswith("SHUTDOWN")
                    if text or not silent:
                        self.write(text if text else "(nothing yet: it waits)")
                    if text.startswith("(error)"):
                        self.write("(:why explains it)")
                case Arrived(terminal, text):
                    self.write(f"In the terminal {terminal} arrives:")
                    self.write(text)
                case ExampleRan():
                    pass
                case Differs():
                    self.write("That is not what the text shows, since the server holds other things now.")
                case TaskDone(task):
                    self.write(f"Done: {to_plain(task.goal)}")
                case Foreseen(_, text):
                    self.write(f"Hint: {to_plain(text)}")
                case StepDone():
                    last = self.session.state.step + 1 == len(self.lesson.steps)
                    self.write(":next finishes the lesson." if last else "This step is done. :next goes on.")
                case WentBack(text):
                    self.write(f"({text})")
                case Nothing(text):
                    self.write(text)
                case LessonDone():
                    self.review()
                    self.write("The lesson is done. Well done.")
                    if self.following is not None:
                        self.write(f"What follows: redis-tutor learn {self.following.id} --plain")
                    self.over = True


def rehearse(lesson: Lesson, server: Server) -> str:
    """Take a lesson from beginning to end with nothing but :run, :show and :next; returns what went wrong."""
    script: list[str] = []
    for step in lesson.steps:
        script += [":run"] * len(step.examples) + [":hint"]
        if not lesson.on_machines:  # where it would do all of the lesson again
            script.append(":undo")
        for task in step.tasks:
            script += [":show"] * (task.id != "")
        script.append(":next")
    written: list[str] = []

    def read(prompt: str) -> str | None:
        if prompt.startswith("Your answer"):
            return "1"
        return script.pop(0) if script else None

    try:
        plain = Plain(lesson, server, read, written.append)
        plain.patience = 0.0
        plain.run()
    except Exception as error:
        return f"{type(error).__name__}: {error} (after {written[-1] if written else 'nothing'!r})"
    if not any("The lesson is done" in row for row in written):
        return f"it does not come to its end (last: {written[-1]!r})"
    bad = [row for row in written if "\x1b" in row]
    return f"a control character in {bad[0]!r}" if bad else ""


def run(name: str) -> int:
    """Take a lesson at standard input and output; returns the exit status."""
    course, progress = read_course(), Progress()
    if progress.notice:
        print(progress.notice)
    try:
        lesson = read_lesson(Path(name), name) if os.path.exists(name) else course.find(name)
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
    taken = progress.of(lesson.id)
    following = course.after(lesson) if lesson in course.lessons else None
    server = MachinesServer(lesson) if lesson.on_machines else EngineServer(lesson.terminals, lesson.arguments)
    try:
        plain = Plain(lesson, server, _read, print, progress, following)
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            plain.run(taken.step if taken and not taken.done else 0)
    finally:
        server.close()
    return 0


def _read(prompt: str) -> str | None:
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (input() has a history with it)
        try:
            return input(prompt)
        except EOFError:
            return None
    line = sys.stdin.readline()
    if not line:
        return None
    print(f"{prompt}{line.rstrip()}")  # in a pipe nobody saw it typed
    return line
