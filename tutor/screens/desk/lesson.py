"""A lesson on the desk: the course's session over the playground's server and terminals.

The learner's lines go through the terminals as they are; the session is told before and after each, looks at the
server, and answers with events, which become what the screen shows. What the session itself has to do in a terminal
(set-ups, steps that were skipped) is done there unseen. Session calls happen in a thread, one at a time, in order.
"""

import asyncio
import contextlib
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from engine.errors import ReplyError
from engine.events import KeyChanged, KeyExpired
from tutor.client import LinkError
from tutor.course import model, session
from tutor.course.catalogue import Catalogue
from tutor.course.hints import Hint as Rung
from tutor.course.machines import Machines, OurMachine
from tutor.course.progress import Progress
from tutor.course.several import Entry, look, passes_time
from tutor.course.shell import Shell
from tutor.host import Bytes, HostError
from tutor.prompt import History, PromptState, split_args
from tutor.screens import messages as m
from tutor.screens.desk.link import Done, Link
from tutor.screens.desk.playground import Playground
from tutor.screens.desk.shell import ShellAssist, ShellLink
from tutor.screens.view import Block, Example, Hint, LessonSetup, Prediction, Prose, Scene, StepView, TaskEntry, Tasks
from tutor.widgets.rows import Row, row
from tutor.widgets.terminal import Question

CLIENTS_APART = 1_000_000  # between the numbers of two servers' clients


class TerminalServer:
    """The playground's server as a session uses it (`tutor.course.server.Server`)."""

    def __init__(self, desk: "LessonDesk") -> None:
        self._desk = desk

    def execute(self, terminal: str, argv: Sequence[bytes]) -> list[Any]:
        """Run a command in a terminal, unseen."""
        if self._desk.machines is not None:
            self._desk.entries.append((terminal, tuple(argv)))
        replies = self._desk.links[terminal].quietly(list(argv))
        self._desk.settle(argv)
        return replies

    def shell(self, terminal: str, line: str) -> str:
        """Carry out a line in a machine's shell, unseen."""
        self._desk.entries.append((terminal, line))
        return self._desk.run_shell(terminal, line)

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Any]:
        """Return nothing: what arrives is told by the terminals themselves."""
        return []

    def prompt(self, terminal: str) -> str:
        """Return a terminal's prompt."""
        return self._desk.links[terminal].state.prompt()

    def db(self, terminal: str) -> int:
        """Return a terminal's database."""
        return self._desk.links[terminal].state.db

    def peek(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Any:
        """Look without a trace."""
        if self._desk.machines is not None:
            return look(self._desk.machines, argv, db, server)
        assert self._desk.server is not None
        try:
            return self._desk.server.peek(list(argv), db)
        except ValueError as error:
            return ReplyError(str(error).encode())

    def mark(self) -> int:
        """Note this moment."""
        return self._desk.mark()

    def undo(self, place: int) -> None:
        """Go back to a place."""
        self._desk.undo(place)

    def close(self) -> None:
        """Nothing: the desk closes its server."""


class LessonDesk(Playground):
    """One lesson being taken."""

    def __init__(
        self, lesson: model.Lesson, course: Catalogue, progress: Progress, history: History | None = None
    ) -> None:
        super().__init__(history)
        self.lesson = lesson
        self.title = lesson.title
        self.terminal_names = lesson.terminals
        self.arguments = lesson.arguments
        self._course = course
        self._progress = progress
        self._session = session.Session(lesson, TerminalServer(self), progress.recorder(lesson))
        self._turn = asyncio.Lock()
        self.machines: Machines | None = None
        self._settled_for = ""
        self._looking_again = False
        self.entries: list[Entry] = []  # what was done on the machines, to be done again after an undo
        self._outcomes: set[tuple[int, str]] = set()  # predictions whose examples have run
        self._asked: tuple[int, str] | None = None
        self._answering = False
        taken = progress.of(lesson.id)
        self._known_steps = set(taken.steps) if taken else set()

    async def open(self, post: Callable[[m.DeskMessage], object]) -> None:
        """Start the lesson's server and come to where the learner was."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        chapter = self._course.chapters.get(self.lesson.front.chapter, "")
        post(m.Opened(LessonSetup(self.lesson.id, self.title, chapter, self.terminal_names)))
        await self._connect_terminals()
        taken = self._progress.of(self.lesson.id)
        self._current = self.terminal_names[0]
        await self._do(self._session.open, taken.step if taken and not taken.done else 0)
        await self._look()
        if self._progress.notice:
            post(m.Notice(self._progress.notice, "error"))
            self._progress.notice = ""

    # -- machines

    def _prepare(self) -> None:
        if not self.lesson.on_machines:
            super()._prepare()
            return
        self.machines = Machines(self.lesson, self._hear_machine)
        self._follow(self.terminal_names[0])
        if self.closed:
            self._stop()
            raise HostError("left")

    def _follow(self, terminal: str) -> None:
        """Have the inspector look at the server of a terminal."""
        if self.machines is not None:
            machine = self.machines.find(self.lesson.server_of(terminal))
            assert isinstance(machine, OurMachine)
            self.server = machine.server

    def _hear_machine(self, name: str, event: Any) -> None:
        """Take an event of one of several servers: clients' numbers are made different, others' keys left out."""
        if self.machines is None:  # they are still being made
            return
        here = self.lesson.server_of(self._current or self.terminal_names[0])
        if isinstance(event, KeyChanged | KeyExpired) and here not in ("", name):
            return
        number = list(self.machines.machines).index(name) * CLIENTS_APART
        if isinstance(event, Bytes):
            event = replace(event, client=event.client + number)
        elif hasattr(event, "client_id"):
            event = replace(event, client_id=event.client_id + number)
        self._hear(event)

    def _name_of(self, client: int) -> str:
        if self.machines is None or client in self._who:
            return super()._name_of(client)
        at, number = divmod(client, CLIENTS_APART)
        return f"{list(self.machines.machines)[at]}'s client {number}"

    def _link(self, name: str) -> Link:
        machines = self.machines
        if machines is None:
            return super()._link(name)

        def output(rows: list[Row]) -> None:
            self._post(m.Output(name, rows))

        def changed(busy: bool) -> None:
            self._changed(name, busy)

        def done(line: Done) -> None:
            self._in_loop(self._line_done, name, line)

        where = self.lesson.server_of(name)
        if self.lesson.is_shell(name):
            return cast(Link, ShellLink(name, machines, where, output, changed, done))
        machine = machines.find(where)
        number = list(machines.machines).index(machine.name) * CLIENTS_APART

        def connect() -> Any:
            now = machines.find(where)
            assert isinstance(now, OurMachine)
            try:
                sock = now.connect()
            except OSError as error:
                raise LinkError(f"Could not connect to Redis at {now.address}:6379: {error.strerror}") from error
            with contextlib.suppress(HostError):
                assert now.server is not None
                self._who[now.server.client_id(sock) + number] = name
            return sock

        link = Link(
            name,
            connect,
            PromptState(host=machine.address, port=6379),
            output,
            changed,
            done,
            lambda reply: self._in_loop(self._reply_arrived, name, reply),
        )
        link.there = lambda: machines.find(where).running
        return link

    def assist(self, terminal: str) -> Any:
        """See `Playground`."""
        link = self.links.get(terminal)
        if self.lesson.is_shell(terminal) and isinstance(link, ShellLink):
            return ShellAssist(link)
        return super().assist(terminal)

    def settle(self, argv: Sequence[bytes]) -> None:
        """Wait until the machines are quiet again, after a command that may have changed something."""
        if self.machines is not None and argv and not session.only_looks(argv):
            self.machines.changed(argv[0])
            self.machines.settle()

    def run_shell(self, terminal: str, line: str) -> str:
        """Carry out a line in a shell, without its terminal."""
        assert self.machines is not None
        text = Shell(self.machines, self.lesson.server_of(terminal)).run(line)
        self._reopen()
        self.settle(line.encode().split())
        return text

    def _reopen(self) -> None:
        """Connect the terminals whose server is there again."""
        for link in self.links.values():
            if not link.state.connected and link.there():
                link.reopen()
        self._follow(self._current or self.terminal_names[0])

    def _wait_for_end(self, terminal: str) -> None:
        """Wait until a server that was told to shut down has saved and is gone."""
        if self.machines is not None:
            with contextlib.suppress(HostError):
                self.machines.find(self.lesson.server_of(terminal)).stop()

    def mark(self) -> int:
        """See `Playground`."""
        return super().mark() if self.machines is None else len(self.entries)

    def undo(self, place: int) -> None:
        """See `Playground`. Machines are made anew, and everything up to the place is done again."""
        if self.machines is None:
            super().undo(place)
            return
        dropped = self.entries[place:]
        del self.entries[place:]
        if all(session.only_looks(_words(line)) for _, line in dropped):
            return
        self.machines.renew()
        self.machines.settle()
        for link in self.links.values():
            link.reopen(fresh=True)
        self._follow(self._current or self.terminal_names[0])
        for name, line in list(self.entries):
            if session.only_looks(_words(line)) and not passes_time(line):
                continue
            if isinstance(line, str) and self.lesson.is_shell(name):
                self.run_shell(name, line)
                continue
            argv = _words(line)
            repeat = 1
            if len(argv) > 1 and argv[0].isdigit():
                repeat, argv = min(int(argv[0]), session.MOST_REPEATS), argv[1:]
            for _ in range(repeat):
                self.links[name].quietly(argv)
            self.settle(argv)

    def _stop(self) -> None:
        if self.machines is not None:
            self.server = None  # the machines end it
        super()._stop()
        if self.machines is not None:
            self.machines.close()

    # -- the screen's questions

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Carry out a line, noted by the session before it."""
        async with self._turn:
            try:
                await asyncio.to_thread(self._session.before, terminal, line)
            except HostError as error:
                self._post(m.Notice(str(error), "error"))
            if self.machines is not None:
                self.entries.append((terminal, line))
                self._follow(terminal)
        await super().submit(terminal, line, typed_for)

    def _typed_waits(self, terminal: str, typed_for: str | None) -> None:
        """See `Playground`. A transcript that is to wait has been run once its command waits."""
        if typed_for and self.links[terminal].busy:
            self._session.waits(typed_for)
            self._show_step()
        super()._typed_waits(terminal, typed_for)

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction, then run what it was about."""
        prediction = next((each for each in self._session.step.predictions if each.id == question.id), None)
        self._changed(terminal, False)
        self._asked = None
        if prediction is None:
            return
        self._answering = True  # meanwhile no question is asked, not even this one again
        try:
            async with self._turn:
                await asyncio.to_thread(self._session.predict, prediction, answer)
        finally:
            self._answering = False
        self._show_step()
        if lines := [line for example in prediction.examples for line in _lines(example)]:
            self._type(lines)
        else:
            self._tell_outcomes()

    async def act(self, action: str) -> None:
        """Do what was asked for."""
        if action == "why":
            self._why()
        elif action == "hint":
            async with self._turn:
                rung = await asyncio.to_thread(self._session.hint)
            if isinstance(rung, Rung):
                command = "\n  ".join(line for _, line in rung.lines)
                self._post(m.HintShown(Hint(rung.text, rung.rung, rung.of, command)))
            else:
                self._post(m.Notice(rung.text))
        elif action == "show":
            if lines := self._session.solution():
                # The solution builds on what the text before it does.
                before = itertools.takewhile(
                    lambda block: block is not self._session.open_task, self._session.step.blocks
                )
                missing = [
                    block for block in before if isinstance(block, model.Example) and not self._session.ran(block)
                ]
                self._type(
                    [
                        *(line for example in missing for line in _lines(example)),
                        *((terminal, line, None) for terminal, line in lines),
                    ]
                )
            else:
                self._post(m.Notice("Every task of this step is done."))
        elif action == "predict":
            self._ask(eager=True)
        elif action in ("next", "back"):
            await self._do(getattr(self._session, action))
            await self._look()
        elif action == "undo":
            await self._do(self._session.undo)
        elif action == "reset":
            await self._do(self._session.reset_step)
        elif action == "reset_lesson":
            await self._do(self._session.reset_lesson)

    # -- the session's answers

    async def _do(self, function: Callable[..., list[session.Event]], *args: Any) -> None:
        """Have the session do something in the terminals, unseen, and show what came of it."""
        async with self._turn:
            self._mute(True)
            try:
                events = await asyncio.to_thread(function, *args)
            except (HostError, LookupError) as error:
                self._post(m.Notice(str(error), "error"))
                return
            finally:
                self._mute(False)
        await self._show(events)

    def _mute(self, muted: bool) -> None:
        for link in self.links.values():
            link.muted = muted

    async def _after_line(self, name: str, done: Done) -> None:
        async with self._turn:
            try:
                if self.lesson.is_shell(name):
                    self._reopen()
                if done.argv and done.argv[0].lower() == b"shutdown" and not self.links[name].state.connected:
                    await asyncio.to_thread(self._wait_for_end, name)
                if not (self.links[name].busy and done.line == self._settled_for):  # one of many repeated
                    await asyncio.to_thread(self.settle, done.argv)
                self._settled_for = done.line
                events = await asyncio.to_thread(
                    self._session.after, name, done.argv, done.replies, done.typed_for, done.db
                )
            except HostError as error:
                self._post(m.Notice(str(error), "error"))
                events = []
        await self._show(events)
        await super()._after_line(name, done)
        self._ask()
        if self.machines is not None and not self._looking_again:
            self._looking_again = True
            self._start(self._look_again_later())

    async def _look_again_later(self) -> None:
        """Check the open task for some seconds more: replicas connect again, saves end."""
        try:
            for _ in range(8):
                await asyncio.sleep(0.5)
                async with self._turn:
                    events = await asyncio.to_thread(self._session.look_again)
                if events:
                    await self._show(events)
                    self._ask()
        except HostError:
            pass  # a server that has just been stopped
        finally:
            self._looking_again = False

    def _reply_arrived(self, name: str, reply: Any) -> None:
        async def look() -> None:
            async with self._turn:
                events = await asyncio.to_thread(self._session.arrived, name, [reply])
            await self._show(events)

        self._start(look())

    async def _show(self, events: Sequence[session.Event]) -> None:
        fresh = False
        for event in events:
            match event:
                case session.StepEntered():
                    fresh = True
                case session.TaskDone(task):
                    done = row("✓ " + _plain(task.goal).split(". ")[0].rstrip("."), "good", indent=2)
                    done.words = True
                    self._post(m.Output(self._current, [done]))
                    self._post(m.HintShown(None))
                case session.Foreseen(_, text):
                    self._post(m.HintShown(Hint(text, 0, 0)))
                case session.Differs(_, command, expected, _):
                    text = f"The text shows another reply to {command}, for the server is in another state here:"
                    self._post(m.Notice(f"{text}\n{expected.rstrip()}"))
                case session.WentBack(text):
                    await self._went_back(text)
                    self._outcomes = {each for each in self._outcomes if each[0] <= self._session.state.step}
                    for name in self.terminal_names:
                        self._post(m.Asked(name, None))
                    self._asked = None
                case session.LessonDone(lesson):
                    following = self._course.after(lesson)
                    self._post(
                        m.Finished(
                            lesson.title, following.id if following else None, following.title if following else ""
                        )
                    )
                case session.Nothing(text):
                    self._post(m.Notice(text))
        if fresh:
            self._script.clear()
            self._script_at = ""
            self._post(m.HintShown(None))
        self._tell_outcomes(show=False)
        self._show_step(fresh)
        if fresh:
            self._ask()

    def _tell_outcomes(self, show: bool = True) -> None:
        """Uncover the answers of predictions whose examples have run."""
        state = self._session.state
        for prediction in self._session.step.predictions:
            here, said = (state.step, prediction.id), self._session.said(prediction)
            if said and here not in self._outcomes and all(map(self._session.ran, prediction.examples)):
                self._outcomes.add(here)
                if prediction.right(said):
                    told = row("✓ as you said", "good")
                else:
                    told = row("✗ not so: " + _plain(" or ".join(prediction.answers)), "changed", indent=2)
                    told.words = True
                self._post(m.Output(self._current, [told]))
        if show:
            self._show_step()

    def _show_step(self, fresh: bool = False) -> None:
        self._post(m.StepShown(self.step(), fresh))

    def _ask(self, eager: bool = False) -> None:
        """Ask the prediction whose turn it is: when everything before it in the text is done."""
        if self._script or self._script_at or self._answering:
            return
        at = self._session.state.step
        for block in self._session.step.blocks:
            if isinstance(block, model.Prediction) and not self._session.said(block):
                if self._asked != (at, block.id) or eager:
                    self._asked = (at, block.id)
                    first = next(
                        (each for example in block.examples for each in example.exchanges if each.command), None
                    )
                    terminal = block.examples[0].terminal if block.examples else self._current
                    if self.lesson.is_shell(self._current):
                        terminal = self._current  # the learner is still reading what stands there
                    choices = tuple(_plain(option) for option in block.options)
                    question = Question(block.id, _plain(block.question), choices, first.command if first else "")
                    self._post(m.Asked(terminal, question))
                return
            done = (
                self._session.ran(block) or block.arrives
                if isinstance(block, model.Example)
                else self._session.task_done(block)
                if isinstance(block, model.Task)
                else True
            )
            if not done and not eager:
                return

    # -- the step as it stands

    def step(self) -> StepView:
        """Return the step to show."""
        now, lesson = self._session, self.lesson
        step = now.step
        blocks: list[Block] = []
        open_question = False
        for block in step.blocks:
            if isinstance(block, model.Prediction):
                open_question = (now.state.step, block.id) not in self._outcomes
            elif isinstance(block, model.Task):
                open_question = False
            elif open_question:
                continue  # the text behind a question takes its answer as known
            entry = self._block(block)
            if isinstance(entry, Tasks) and blocks and isinstance(blocks[-1], Tasks):
                blocks[-1] = Tasks((*blocks[-1].tasks, *entry.tasks))
            else:
                blocks.append(entry)
        self._known_steps |= {at for at, each in enumerate(now.steps_done) if each}
        total = len(lesson.steps)
        return StepView(
            lesson.id,
            lesson.title,
            self._course.chapters.get(lesson.front.chapter, ""),
            step.number,
            total,
            tuple(at in self._known_steps for at in range(total)),
            step.title,
            tuple(blocks),
            max(1, round(lesson.front.minutes * (total - step.number + 1) / total)),
        )

    def _block(self, block: model.Block) -> Block:
        now = self._session
        match block:
            case model.Prose():
                return Prose(block.markdown)
            case model.Scene():
                return Scene(block.scenario, block.title, block.text)
            case model.Example():
                exchanges = tuple((each.command, each.reply) for each in block.exchanges)
                where = block.terminal if len(self.terminal_names) > 1 else ""
                return Example(block.id, exchanges, block.terminal, now.ran(block), block.arrives, where)
            case model.Task():
                return Tasks((TaskEntry(block.id, block.goal, now.task_done(block)),))
            case model.Prediction():
                said = now.said(block)
                known = (now.state.step, block.id) in self._outcomes
                return Prediction(
                    block.id,
                    block.question,
                    said,
                    bool(said) and block.right(said),
                    " or ".join(block.answers) if known else "",
                    block.because if known else "",
                )


def _words(line: str | tuple[bytes, ...]) -> list[bytes]:
    if not isinstance(line, str):
        return list(line)
    return split_args(line) or [word.encode() for word in line.split()]


def _lines(example: model.Example) -> list[tuple[str, str, str | None]]:
    """Return an example's commands as they are to be typed: terminal, line, what for."""
    return [(example.terminal, each.command, example.id) for each in example.exchanges if each.command]


def _plain(markdown: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])", r"\1", text.replace("**", ""))
    return " ".join(text.replace("`", "").split())
