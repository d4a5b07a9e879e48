"""A lesson on the controller: the course's session over the sandbox's server and terminals.

The learner's lines go through the terminals as they are; the session is told before and after each, looks at the
server, and answers with events, which become what the screen shows. What the session itself has to do in a terminal
(set-ups, steps that were skipped) is done there unseen. Session calls happen in a thread, one at a time, in order.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from engine.observe.events import KeyChanged, KeyExpired
from engine.protocol.errors import ReplyError
from tutor.client import LinkError
from tutor.lesson import bookmarks, model, placement, session
from tutor.lesson import messages as m
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.connection import answers_by_ending
from tutor.lesson.editor import DraftFile
from tutor.lesson.hints import Hint
from tutor.lesson.journal import LessonJournal
from tutor.lesson.lines import wants_command
from tutor.lesson.machines import SimulatedMachines
from tutor.lesson.multi_server import inspect_machine
from tutor.lesson.own_machines import OwnMachines
from tutor.lesson.printed import Said
from tutor.lesson.progress import Progress, Taken
from tutor.lesson.python_process import Ran, ran_in
from tutor.lesson.python_terminal import PythonCompleter, PythonLink, rows_of
from tutor.lesson.real_server import RealServer
from tutor.lesson.sandbox import Sandbox
from tutor.lesson.scrollback import Scrollback
from tutor.lesson.server import ANSWER_SECONDS, Unanswered
from tutor.lesson.shell import Shell
from tutor.lesson.shell_terminal import ShellCompleter, ShellLink
from tutor.lesson.shuffle import for_learner
from tutor.lesson.summary import Summary, told
from tutor.lesson.terminal import Done, Link
from tutor.lesson.view import (
    Block,
    ExampleView,
    HintView,
    LessonSetup,
    PredictionView,
    ProseView,
    Question,
    SceneView,
    StepView,
    TaskEntry,
    Tasks,
)
from tutor.lesson.watcher import CLIENTS_APART
from tutor.lesson_server.parent import Bytes, HostError
from tutor.pictures.readings import Inspections
from tutor.prompt import LineHistory, PromptState
from tutor.prompt.conversation import BLOCKING, longest_wait, skipped
from tutor.prompt.markdown import one_line, to_plain
from tutor.prompt.rows import Row
from tutor.prompt.words import first_row


class TerminalServer:
    """The sandbox's server as a session uses it (`tutor.lesson.server.SessionServer`)."""

    def __init__(self, controller: "LessonController") -> None:
        self._controller = controller
        self.answer_s = ANSWER_SECONDS
        self._waiting: dict[str, float] = {}  # by terminal: for how long its last command may wait

    def execute(self, terminal: str, argv: Sequence[bytes], answered: bool = False) -> list[Any]:
        """Run a command in a terminal, unseen."""
        link = self._controller.links[terminal]
        seconds, machines = self._waiting.pop(terminal, 0.0), self._controller.machines
        if seconds and machines is not None and link.busy:  # it was answered before this one was typed
            machines.skip_wait(terminal, seconds)
        answered = answered and machines is not None
        replies = link.quietly(list(argv), self.answer_s, answered)
        if not replies and (seconds := longest_wait(argv)):
            self._waiting[terminal] = seconds + 1
        if not replies and self.answer_s < ANSWER_SECONDS and link.busy and argv[0].lower() not in BLOCKING:
            raise Unanswered
        self._controller.settle(argv)
        return replies

    def run_program(self, terminal: str, line: str) -> Said:
        """Carry out a line in a program, unseen."""
        return self._controller.run_program(terminal, line)

    def send_again(self, terminal: str, ran: Ran) -> None:
        """Send again what a statement of Python sent."""
        machines = self._controller.machines
        assert machines is not None
        machines.send_again(terminal, ran)
        self._controller.settle_after(ran)

    def hang_up(self) -> None:
        """End the connections on which something was sent again."""
        if self._controller.machines is not None:
            self._controller.machines.hang_up()

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Any]:
        """Return nothing: what arrives is told by the terminals themselves."""
        return []

    def interrupt(self, terminal: str) -> None:
        """Give up the command that waits in a terminal, or its subscriptions."""
        link = self._controller.links[terminal]
        if link.busy:
            link.interrupt()
        else:
            link.reopen(again=True)

    def prompt(self, terminal: str) -> str:
        """Return a terminal's prompt."""
        return self._controller.links[terminal].state.prompt()

    def db(self, terminal: str) -> int:
        """Return a terminal's database."""
        return self._controller.links[terminal].state.db

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Any:
        """Look without a trace."""
        if self._controller.machines is not None:
            return inspect_machine(self._controller.machines, argv, db, server)
        assert self._controller.server is not None
        try:
            return self._controller.server.inspect(list(argv), db)
        except ValueError as error:
            return ReplyError(str(error).encode())

    def notices(self) -> list[str]:
        """Return nothing: the controller reports them when they arrive."""
        return []

    def pass_time(self, seconds: float) -> None:
        """Nothing: the learner's time passes by itself."""

    def mark(self) -> int:
        """Note this moment."""
        return self._controller.mark()

    def undo(self, place: int) -> None:
        """Go back to a place."""
        self._controller.undo(place)

    def close(self) -> None:
        """Nothing: the controller closes its server."""


class LessonController(OwnMachines, Sandbox):
    """One lesson being taken."""

    session_class = session.Session
    server_class = TerminalServer

    def __init__(
        self,
        lesson: model.Lesson,
        course: Catalogue,
        progress: Progress | None,
        history: LineHistory | None = None,
        seed: int | None = None,
        step: int = 0,
        journal: LessonJournal | None = None,
        real: RealServer | None = None,
    ) -> None:
        """Make the controller, of a lesson on its own server or on a `real` one.

        Without `progress` nothing is kept but in a `journal` that is given, and then `step` (index) is first.
        """
        super().__init__(history)
        self.real = real
        if progress is not None and journal is None:
            journal = LessonJournal(lesson.key, digest=lesson.digest)
        self._journal = journal
        if journal is not None:
            lesson = for_learner(lesson, journal.seed)
        self.lesson = lesson
        self.title = lesson.title
        self.terminal_names = lesson.terminals
        self.arguments = lesson.arguments
        self._course = course
        self._first = step
        self._progress = progress
        self.seed = journal.seed if journal is not None else seed
        record = progress.recorder(lesson) if progress is not None else None
        self._session = self.session_class(lesson, self.server_class(self), record, journal)
        if journal is not None:
            self.scrollback = Scrollback(journal.path.with_suffix(".screen"), not journal.rows, journal.writes)
            self._drafts = DraftFile(journal.path.with_suffix(".edit"), journal.writes)
        self._turn = asyncio.Lock()
        self.machines: SimulatedMachines | None = None
        self._looking_again = False
        self._step_shown: StepView | None = None
        self._outcomes: set[tuple[int, str]] = set()  # predictions whose examples have run
        self._asked: tuple[int, str] | None = None
        self._is_shown = False  # whether what was asked last stands at a prompt: it may have been put off
        self._answering = False
        self._put_off: set[tuple[int, str]] = set()  # predictions that come back before the step is left
        self._reminded: set[tuple[int, str]] = set()  # those that have come back
        taken = self._taken
        self._known_steps = set(taken.steps) if taken else set()

    @property
    def _taken(self) -> Taken | None:
        """How far the lesson has come."""
        return self._progress.of(self.lesson.key) if self._progress is not None else None

    async def open(self, post: Callable[[m.News], object]) -> None:
        """Start the lesson's server and come to where the learner was."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        chapter = self._course.chapters.get(self.lesson.front.chapter, "")
        post(
            m.LessonOpened(
                LessonSetup(
                    self.lesson.id,
                    self.title,
                    chapter,
                    self.terminal_names,
                    machines=self.machines is not None,
                    newcomer=self._progress is not None and not self._progress.kept.lessons,
                    key=self.lesson.key,
                )
            )
        )
        if self.machines is not None:
            for name, port in self.machines.outside.items():
                if self.machines.specs[name].outside:
                    post(m.Notice(f"Other programs reach {name} at 127.0.0.1:{port}."))
        await self._connect_terminals()
        self._current = self.terminal_names[0]
        await self._do(self._come_back)
        self._type([*self._session.waiting, *self._unrun()])
        self._start(self._look())

    def _come_back(self) -> list[session.Event]:
        """Bring the session to where the learner was."""
        taken = self._taken
        with self._progress.together() if self._progress is not None else contextlib.nullcontext():
            events = self._session.open(*(taken.resume if taken else (self._first,)))
        at = self._session.state.step
        self._outcomes = {(here, name) for here, name, _ in self._session.state.predicted if here < at}
        for prediction in self._session.step.predictions:  # the terminals have told these already
            if self._session.said(prediction) and all(map(self._session.ran, prediction.examples)):
                self._outcomes.add((at, prediction.id))
        return events

    def _unrun(self) -> list[tuple[str, str, str | None]]:
        """Return the commands of predictions that were made and not run: the tutor ended in between."""
        now = self._session
        return [
            line
            for prediction in now.step.predictions
            for example in prediction.examples
            if now.said(prediction) and not now.ran(example) and not now.undone(example)
            for line in example.to_type
        ]

    async def close(self) -> None:
        """Stop everything, with the progress kept."""
        await super().close()
        if self._journal is not None:
            self._journal.close()
        if self.scrollback is not None:
            self.scrollback.close()

    # -- machines

    def _prepare(self) -> None:
        if self.real is not None:
            if refusal := self.real.refusal(self.lesson):
                raise HostError(refusal)
            self.real.begin(self.arguments)
            self.server = self.real
            return
        if not self.lesson.on_machines:
            super()._prepare()
            return
        self.machines = SimulatedMachines(self.lesson, self._hear_machine, self.seed)
        self._follow(self.terminal_names[0])
        if self.closed:
            self._stop()
            raise HostError("left")

    def _follow(self, terminal: str) -> None:
        """Have the inspector look at the server of a terminal."""
        if self.machines is not None:
            self.server = self.machines.find(self.lesson.server_of(terminal))

    def _hear_machine(self, name: str, event: Any) -> None:
        """Take an event of one of several servers: clients' numbers are made different, others' keys left out."""
        if self.machines is None:  # they are still being made
            return
        here = self.lesson.server_of(self._current or self.terminal_names[0])
        if isinstance(event, KeyChanged | KeyExpired) and here not in ("", name):
            return
        number = list(self.machines.machines).index(name) * CLIENTS_APART if name else 0
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

        def output(rows: list[Row], unasked: bool) -> None:
            self._post(m.TerminalOutput(name, rows, unasked))

        def changed() -> None:
            self._in_loop(self._changed, name)

        def done(line: Done) -> None:
            self._in_loop(self._line_done, name, line)

        where = self.lesson.server_of(name)
        match self.lesson.kind_of(name):
            case "shell":
                return cast(Link, ShellLink(name, machines, where, output, changed, done))
            case "python":
                return cast(Link, PythonLink(name, machines.consoles[name], output, changed, done))
        machine = machines.find(where)
        port = machines.specs[machine.name].port
        number = list(machines.machines).index(machine.name) * CLIENTS_APART

        def connect() -> Any:
            try:
                sock = machines.connect(name)
            except OSError as error:
                where = f"{machine.address}:{port}"
                raise LinkError(f"Could not connect to Redis at {where}: {error.strerror}") from error
            self._who[machines.world.client_id(sock) + number] = name
            return sock

        link = Link(
            name,
            connect,
            PromptState(host=machine.address, port=port),
            output,
            changed,
            done,
            lambda reply: self._in_loop(self._reply_arrived, name, reply),
        )
        link.there = lambda: machine.running
        link.comes_back = lambda lost: machines.comes_back(name, lost)

        def sent(argv: list[bytes], quiet: bool, answered: bool) -> None:
            if seconds := skipped(argv, quiet, answered):
                machines.skip_wait(name, seconds)

        link.sent = sent
        link.shows_answers = lambda example: self._session.shows_answers(example)
        return link

    def completer(self, terminal: str) -> Any:
        """See `Sandbox`."""
        link = self.links.get(terminal)
        if isinstance(link, ShellLink):
            return ShellCompleter(link)
        if isinstance(link, PythonLink):
            return PythonCompleter(link)
        return super().completer(terminal)

    async def interrupt(self, terminal: str) -> None:
        """See `Sandbox`. In Python, it also drops the lines of a statement that is not complete."""
        await super().interrupt(terminal)
        if isinstance(link := self.links[terminal], PythonLink) and link.state.lines:
            link.state.lines.clear()
            self._changed(terminal)
            self._ask()

    def keeps_blanks(self, terminal: str) -> bool:
        """See `Sandbox`."""
        return self.lesson.is_python(terminal)

    def _is_prompt(self, terminal: str) -> bool:
        return self.lesson.is_prompt(terminal)

    def _all_servers(self) -> list[tuple[str, Inspections]]:
        """See `Sandbox`."""
        if self.machines is None:
            return super()._all_servers()
        machines = self.machines.machines.items()
        return [(name, machine.answers) for name, machine in machines if not machine.sentinel]

    def _inspection_at(self, terminal: str) -> Inspections:
        """See `Sandbox`."""
        if self.machines is None:
            return super()._inspection_at(terminal)
        return self.machines.find(self.lesson.server_of(terminal)).answers

    def is_done(self, step: int) -> bool:
        """Return whether all tasks of a step (index) are done."""
        return all(self._session.task_done(task, step) for task in self.lesson.steps[step].tasks)

    def settle(self, argv: Sequence[bytes]) -> None:
        """Wait until the machines are quiet again, after a command that may have changed something."""
        if self.machines is not None and argv and not session.only_looks(argv):
            self.machines.changed(argv[0])
            self.machines.settle()

    def _subscriptions_left(self, terminal: str) -> None:
        """See `Sandbox`."""
        self._session.left_subscriptions(terminal)

    def settle_after(self, ran: Ran) -> None:
        """Wait until the machines are quiet again, after what a program may have changed."""
        if self.machines is not None and ran.changes:
            self.machines.settle()

    def run_program(self, terminal: str, line: str) -> Said:
        """Carry out a line in a program, without its terminal."""
        assert self.machines is not None
        if self.lesson.is_python(terminal):
            ran = self.machines.consoles[terminal].run(line)
            self.settle_after(ran)
            return ran
        text = Said(Shell(self.machines, self.lesson.server_of(terminal)).run(line))
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
            machine = self.machines.find(self.lesson.server_of(terminal))
            with contextlib.suppress(HostError):
                machine.stop()

    @property
    def _keeper(self) -> Any:
        """See `Sandbox`."""
        return self.machines if self.machines is not None else super()._keeper

    def undo(self, place: int) -> None:
        """See `Sandbox`."""
        super().undo(place)
        if self.machines is not None:
            self._reopen()

    def _stop(self) -> None:
        if self.machines is not None:
            self.server = None  # the machines end it
        super()._stop()
        if self.machines is not None:
            self.machines.close()

    async def _went_back(self, text: str) -> None:
        """See `Sandbox`. Instead of its connections, which are closed, report what happened to Python's variables."""
        if self.machines is not None and self.machines.consoles:
            self._cut = 0
            lost = "Python was started again: its variables are lost."
            python = lost if self.machines.variables_lost else "Python's variables went back, too."
            text = f"{text.removesuffix('.')}. {python}"
        await super()._went_back(text)

    # -- the screen's questions

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """See `Sandbox`. A line of Python may need more lines before it runs."""
        link = self.links.get(terminal)
        if isinstance(link, PythonLink):
            statement = link.gather(line)
            if not statement:
                if self._is_shown:
                    self._withdraw_question()  # until the statement is whole: the next lines do not answer it
                self._post(m.LineDone(terminal, line))
                self._changed(terminal)
                self._script_goes_on(terminal)
                return
            line = statement
        await super().submit(terminal, line, typed_for)

    def _waits(self, terminal: str) -> bool:
        """See `Sandbox`. A program in Python may run forever: after some time it counts as waiting."""
        link = self.links[terminal]
        return link.waits if isinstance(link, PythonLink) else super()._waits(terminal)

    async def _before(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Have the session note the moment before a line."""
        async with self._turn:
            try:
                await asyncio.to_thread(self._session.before, terminal, line, typed_for)
            except HostError as error:
                self._post(m.Notice(str(error), "error"))
            self._follow(terminal)

    def _stopped(self, terminal: str) -> None:
        self._session.stopped(terminal)

    def _type(self, lines: Sequence[tuple[str, str, str | None]]) -> None:
        """See `Sandbox`. A statement of Python is typed line by line."""
        super()._type(
            [
                (terminal, row, typed_for)
                for terminal, line, typed_for in lines
                for row in (rows_of(line) if self.lesson.is_python(terminal) else [line])
            ]
        )

    def _typed_waits(self, terminal: str, typed_for: str | None, number: int) -> None:
        """See `Sandbox`. A transcript that is to wait has been run once its command waits."""
        if typed_for and self.links[terminal].busy and number == self._submitted[terminal]:
            self._session.waits(typed_for)
            self._show_step()
        super()._typed_waits(terminal, typed_for, number)

    async def run_example(self, example: ExampleView) -> None:
        """See `Sandbox`. An example that has run since the screen offered it is not run a second time."""
        ran = any(each.id == example.id and self._session.ran(each) for each in self._session.step.examples)
        if example.ran or not ran:
            await super().run_example(example)

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction, then run what it was about."""
        prediction = next((each for each in self._session.step.predictions if each.id == question.id), None)
        self._changed(terminal)
        self._asked, self._is_shown = None, False
        if prediction is None:
            return
        self._answering = True  # meanwhile no question is asked, not even this one again
        try:
            async with self._turn:
                made = await asyncio.to_thread(self._session.predict, prediction, answer)
        finally:
            self._answering = False
        if isinstance(made, session.Nothing):  # it could not be read
            self._asked, self._is_shown = (self._session.state.step, prediction.id), True
            self._post(m.Notice(made.text))
            self._post(m.PredictionAsked(terminal, question))
            return
        self._show_step()
        if lines := [line for example in prediction.examples for line in example.to_type]:
            self._type(lines)
        else:
            self._tell_outcomes()

    def _reason(self) -> str:
        """See `Sandbox`."""
        return to_plain(self._session.why())

    async def _export(self, name: str) -> None:
        """Write what was typed into a file."""
        from tutor.lesson.export import CannotExport, gather, write

        trail = self._journal.trail() if self._journal is not None else ()
        typed = gather(self.title, trail, self.scrollback, self._session.state.attempts, self.lesson.is_prompt)
        try:
            self._post(m.Notice(await asyncio.to_thread(write, name, typed)))
        except CannotExport as problem:
            self._post(m.Notice(str(problem), "error"))

    async def _bookmark(self, note: str) -> None:
        """Bookmark the step."""
        if self._progress is None:
            self._post(m.Notice(bookmarks.NOT_KEPT))
            return
        step = self._session.state.step
        if note.lower() in bookmarks.OFF:
            told = await asyncio.to_thread(bookmarks.take_off, self._progress, self.lesson, step)
        else:
            told = await asyncio.to_thread(bookmarks.add, self._progress, self.lesson, step, note)
        self._post(m.Notice(told))
        self._show_step()

    async def act(self, action: str) -> None:
        """Do what was asked for."""
        if action == "why" or action.startswith("picture"):
            await super().act(action)
        elif action.startswith("export"):
            await self._export(action.removeprefix("export").strip())
        elif action == "hint":
            async with self._turn:
                hint = await asyncio.to_thread(self._session.hint)
            if isinstance(hint, Hint):
                command = "\n  ".join(line for _, line in hint.lines)
                self._post(m.HintShown(HintView(hint.text, hint.level, hint.of, command, hint.lines)))
            else:
                self._post(m.Notice(hint.text))
        elif action == "show":
            await self._do(self._session.clear_the_way)
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
                        *(line for example in missing for line in example.to_type),
                        *((terminal, line, None) for terminal, line in lines),
                    ]
                )
            else:
                self._post(m.Notice("Every task of this step is done."))
        elif action == "predict":
            self._ask(eager=True)
        elif action == "later":
            if self._asked is not None:
                self._put_off.add(self._asked)
                self._is_shown = False
        elif action == "next" and self._open_question in self._put_off - self._reminded:
            self._reminded |= self._put_off  # once: F8 again goes on, whether the question was put off again or not
            self._post(m.Notice("This question is still open. Answer it, or go on without it: F8."))
            self._ask(eager=True)
        elif action.startswith(("go ", "visit ")):
            word, _, step = action.partition(" ")
            await self._do(getattr(self._session, word), int(step))
            await self._look()
        elif action.partition(" ")[0] == "bookmark":
            await self._bookmark(action.removeprefix("bookmark").strip())
        elif action in ("next", "back"):
            await self._do(getattr(self._session, action))
            self._start(self._look())
        elif action == "undo":
            await self._do(self._session.undo)
        elif action == "reset":
            await self._do(self._session.reset_step)
        elif action == "reset_lesson":
            await self._do(self._session.reset_lesson)

    # -- the session's answers

    async def _do(self, function: Callable[..., list[session.Event]], *args: Any) -> None:
        """Have the session do something in the terminals, unseen, after the lines before it; show what came of it."""
        async with self._after_lines():
            async with self._turn:
                events = await self._unseen(function, *args)
            await self._show(events)

    async def _unseen(self, function: Callable[..., list[session.Event]], *args: Any) -> list[session.Event]:
        """Have the session do something, unseen; `_turn` is held. Returns nothing when it failed, which is shown."""
        self._mute(True)
        try:
            return await asyncio.to_thread(function, *args)
        except (HostError, LookupError) as error:
            self._post(m.Notice(str(error), "error"))
            return []
        finally:
            self._mute(False)

    def _mute(self, muted: bool) -> None:
        for link in self.links.values():
            link.muted = muted

    async def _after_line(self, name: str, done: Done) -> None:
        async with self._turn:
            try:
                if not self.lesson.is_prompt(name):
                    self._reopen()
                if done.lost and done.argv and answers_by_ending(done.argv):
                    await asyncio.to_thread(self._wait_for_end, name)
                if (ran := ran_in(done.replies)) is None:
                    await asyncio.to_thread(self.settle, done.argv)
                else:
                    if ran.failed:
                        self._post(m.Failed(name))
                    await asyncio.to_thread(self.settle_after, ran)
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

        self._start(look(), self._ending)

    async def _show(self, events: Sequence[session.Event]) -> None:
        fresh = False
        for event in events:
            match event:
                case session.StepEntered():
                    fresh = True
                case session.TaskDone(task, count):
                    self._post(m.TaskCompleted(self._current, task.id, task.goal, task.aim))
                    if count is not None:
                        self._post(m.Notice(count.sentence()))
                    self._post(m.HintShown(None))
                case session.Diagnosed(_, text, kind, slot):
                    self._post(m.HintShown(HintView(text, 0, 0, kind=kind, slot=slot)))
                case session.Foreseen(_, text):
                    self._post(m.HintShown(HintView(text, 0, 0, kind="foreseen")))
                case session.Differs(_, command, expected, _):
                    text = f"For {command}, the text has this reply; the server is in another state here:"
                    self._post(m.Notice(f"{text}\n{expected.rstrip()}"))
                case session.WentBack(text):
                    await self._went_back(text)
                    self._outcomes = {each for each in self._outcomes if each[0] <= self._session.state.step}
                    self._withdraw_question()
                case session.LessonDone(lesson, summary):
                    self._post(await asyncio.to_thread(self._finished, lesson, summary))
                case session.Nothing(text):
                    self._post(m.Notice(text))
        if fresh:
            if self._asked is not None and self._asked[0] != self._session.state.step:  # of the step that was left
                self._withdraw_question()
            self._stop_typing()
            self._post(m.HintShown(None))
        self._tell_outcomes(show=False)
        self._show_step(fresh)
        if self._progress is not None and (notice := self._progress.take_notice()):
            self._post(m.Notice(notice, "error"))
        if fresh or any(isinstance(event, session.WentBack) for event in events):
            self._ask()

    def _finished(self, lesson: model.Lesson, summary: Summary | None) -> m.Finished:
        """Return the end of the lesson, and of its chapter if it is the last one there."""
        following = self._course.after(lesson)
        rows = told(summary) if summary is not None else []
        if self._progress is not None:
            if summary is not None:
                rows += placement.challenge_over(self._course, self._progress, lesson, summary)
            rows += self._course.chapter_end(lesson, self._progress.of, self._progress.kept.placed)
        steps = dict.fromkeys(wrong.step for wrong in summary.wrong) if summary is not None else {}
        again = tuple((at, lesson.steps[at].title) for at in steps)
        name, title = (following.id, following.title) if following is not None else (None, "")
        return m.Finished(lesson.title, name, title, tuple(rows), again)

    def _tell_outcomes(self, show: bool = True) -> None:
        """Uncover the answers of predictions whose examples have run."""
        state = self._session.state
        for prediction in self._session.step.predictions:
            here, said = (state.step, prediction.id), self._session.said(prediction)
            if said and here not in self._outcomes and all(map(self._session.ran, prediction.examples)):
                self._outcomes.add(here)
                correct, because = prediction.correct, prediction.because
                self._post(m.Outcome(self._current, said, prediction.right(said), correct, because))
        if show:
            self._show_step()

    def _show_step(self, fresh: bool = False) -> None:
        step = self.step()
        if fresh or step != self._step_shown:
            self._step_shown = step
            self._post(m.StepShown(step, fresh))

    def _is_known(self, prediction: model.Prediction) -> bool:
        """Return whether the answer may be read: it was given, or its examples ran before it could be."""
        at = (self._session.state.step, prediction.id)
        return at in self._outcomes or (not self._session.said(prediction) and self._session.shown(prediction))

    @property
    def _open_question(self) -> tuple[int, str] | None:
        """The first prediction of the step that was not made, as `_put_off` has it."""
        due = self._session.due
        return (self._session.state.step, due.id) if due is not None else None

    def _withdraw_question(self) -> None:
        """Take the question away; it is asked again after the next line that runs."""
        self._asked, self._is_shown = None, False
        for name in self.terminal_names:
            self._post(m.PredictionAsked(name, None))

    def _ask(self, eager: bool = False) -> None:
        """Ask the prediction whose turn it is: when everything before it in the text is done."""
        if self._script or self._script_at or self._answering:
            return
        at = self._session.state.step
        for block in self._session.step.blocks:
            if isinstance(block, model.Prediction) and not self._session.said(block):
                if self._session.shown(block):  # before it was answered: what it asks is no longer so
                    if self._asked == (at, block.id):
                        self._withdraw_question()
                    continue
                if self._asked != (at, block.id) or eager:
                    self._asked = (at, block.id)
                    first = next(
                        (each for example in block.examples for each in example.exchanges if each.command), None
                    )
                    terminal = block.examples[0].terminal if block.examples else self._current
                    if not self.lesson.is_prompt(self._current):
                        terminal = self._current  # the learner is still reading what stands there
                    choices = tuple(one_line(option) for option in block.options)
                    command = first_row(first.command) if first else ""
                    question = Question(block.id, one_line(block.question), choices, command, wants_command(block))
                    self._post(m.PredictionAsked(terminal, question))
                    self._is_shown = True
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
                open_question = not self._is_known(block)
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
            bookmarked=self._progress is not None and bookmarks.is_set(self._progress, lesson, now.state.step),
        )

    def _block(self, block: model.Block) -> Block:
        now = self._session
        match block:
            case model.Prose():
                return ProseView(block.markdown)
            case model.Scene():
                return SceneView(block.scenario, block.title, block.text)
            case model.Example():
                exchanges = tuple((each.command, each.reply) for each in block.exchanges)
                prompts = tuple(each.prompt for each in block.exchanges)
                where = block.terminal if len(self.terminal_names) > 1 else ""
                ran, arrives = now.ran(block), block.arrives
                return ExampleView(block.id, exchanges, block.terminal, ran, arrives, where, prompts, block.setup)
            case model.Task():
                return Tasks((TaskEntry(block.id, block.goal, now.task_done(block)),))
            case model.Prediction():
                said = now.said(block)
                correct, because = (block.correct, block.because) if self._is_known(block) else ("", "")
                return PredictionView(
                    block.id, block.question, said, bool(said) and block.right(said), correct, because
                )
