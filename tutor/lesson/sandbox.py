"""A server of one's own, with terminals and an inspector: the sandbox, and what every lesson stands on.

The server runs in a child process (`tutor.lesson_server`). Every terminal has a thread, looking at keys happens in
another, and what the server tells is gathered and posted some twenty times a second: whatever the learner starts,
the screen stays awake.
"""

import asyncio
import contextlib
import itertools
import re
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from typing import Any

from engine.observe import events as ev
from engine.protocol.errors import ReplyError
from engine.protocol.resp import Verbatim
from tutor.lesson import key_view as key_view
from tutor.lesson import messages as m
from tutor.lesson import wire_view as wire_view
from tutor.lesson.actions import completions
from tutor.lesson.diagnosis import explain_error
from tutor.lesson.editor import MARK, NO_TERMINAL, CannotRun, DraftFile, EditorJob, EditorText, lines_of
from tutor.lesson.lines import repeated
from tutor.lesson.machines import SimulatedMachine
from tutor.lesson.moments import Moment, Moments
from tutor.lesson.real_server import RealServer, ServerAddress, why_never
from tutor.lesson.scrollback import Scrollback
from tutor.lesson.terminal import ANSWER_SECONDS, Done, Link
from tutor.lesson.view import EventEntry, ExampleView, KeyEntry, LessonSetup, ProseView, Question, StepView, WireEntry
from tutor.lesson.watcher import CLIENTS_APART, SCRIPTS, Remembered, Watcher
from tutor.lesson_server.parent import Bytes, HostError, LessonServer, Recovered, Skipped, Undone, WorldServer
from tutor.pictures.picture import PictureView
from tutor.pictures.readings import Inspections
from tutor.pictures.subjects import SUBJECTS
from tutor.prompt import CommandDocs, LineHistory, PromptState, split_args, to_text
from tutor.prompt.completer import PromptCompleter
from tutor.prompt.conversation import BLOCKING, PATIENCE_SECONDS
from tutor.prompt.rows import Row
from tutor.prompt.words import LINE, shorten

FLUSH_SECONDS = 0.05
KEYS_SECONDS = 0.15  # the least time between two looks at the keys
EVENTS_SHOWN = 40  # of one flush
WIRE_SHOWN = 24
TOUCHED_KEPT = 200
WAITS_SECONDS = 0.05  # after which to see whether a command waits
POLL_SECONDS = 0.005
RUNS_SECONDS = 2.0  # for which an undo waits for the line before it, which is about to be answered
TYPED_SECONDS = 20.0  # the same for lines that are being typed
SCRIPT_SECONDS = 0.3  # the same for a script, which may never end


class Sandbox:
    """A controller with a server and nothing to learn."""

    title = "Sandbox"
    terminal_names: tuple[str, ...] = ("redis",)
    arguments: tuple[str, ...] = ()
    seed: int | None = None  # of the server; None: any

    def __init__(self, history: LineHistory | None = None) -> None:
        self.kept = history or LineHistory()
        self.server: LessonServer | SimulatedMachine | RealServer | None = None  # that the inspector looks at
        self.links: dict[str, Link] = {}
        self.last_error: tuple[tuple[bytes, ...], ReplyError, int] | None = None  # in a database
        self._post: Callable[[m.News], object] = lambda message: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._heard: list[Any] = []
        self._flush_due = False
        self._who: dict[int, str] = {}
        self._entries: dict[tuple[int, bytes], KeyEntry] = {}
        self._touched: set[tuple[int, bytes]] = set()
        self._looked: set[tuple[int, bytes]] = set()
        self._after = ""
        self._known_before: dict[tuple[int, bytes], KeyEntry] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[Any]] = set()  # those that look what a line brought about
        self._moved = asyncio.Event()  # something has come to its end; see `settled`
        self._moments = Moments()  # where there is no session to keep them
        self._states: dict[int, dict[str, PromptState]] = {}  # of the terminals, by place
        self._script: deque[tuple[str, str, str | None]] = deque()  # lines to be typed: terminal, line, what for
        self._script_at = ""  # the terminal in which a line of it is under way
        self._script_for: str | None = None  # the example that this line is from
        self._drafts = DraftFile()
        self._job: EditorJob | None = None  # the editor's, while its text runs
        self._current = ""
        self._watcher = Watcher(self._inspect_all, self._client_names, self._all_servers)
        self._picture_looks = self._picture_due_again = False
        self._submitted: Counter[str] = Counter()  # lines, by terminal
        # Lines that have not reached their links yet, by number: their terminals.
        self._on_their_way: dict[int, str] = {}
        self._numbers = itertools.count()
        self._in_order = asyncio.Lock()  # lines, and what goes back, in the order in which they were asked for
        self._last_lines: dict[str, str] = {}  # that reached their links, by terminal
        self._watched: dict[int, Remembered] = {}  # what it remembers, by place
        self._pictures = asyncio.Lock()
        self._cut = 0  # connections from outside that an undo closed
        self.scrollback: Scrollback | None = None
        self.closed = False

    # -- opening and closing

    async def open(self, post: Callable[[m.News], object]) -> None:
        """Start the server and connect the terminals. Raises HostError."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        post(m.LessonOpened(LessonSetup("sandbox", self.title, "", self.terminal_names)))
        await self._connect_terminals()
        self._begin()

    def _prepare(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        reading = threading.Thread(target=_read_tables)  # while the server starts
        reading.start()
        self.server = LessonServer.start(self._directory.name, self.arguments, self._hear, self.seed)
        reading.join()
        if self.closed:  # the learner left while the server was starting
            self._stop()
            raise HostError("left")

    async def _connect_terminals(self) -> None:
        for name in self.terminal_names:
            link = self.links[name] = self._link(name)
            await asyncio.to_thread(link.start)
            self._changed(name)

    def _begin(self) -> None:
        self._post(m.StepShown(self.step(), fresh=True))
        self._current = self.terminal_names[0]
        self._start(self._look())

    def _link(self, name: str) -> Link:
        server = self.server
        assert isinstance(server, LessonServer | RealServer)
        at = server.address if isinstance(server, RealServer) else ServerAddress()

        def connect() -> Any:
            sock = server.connect(name)
            self._who[server.client_id(sock)] = name
            return sock

        def output(rows: list[Row], unasked: bool) -> None:
            self._post(m.TerminalOutput(name, rows, unasked))

        link = Link(
            name,
            connect,
            PromptState(host=at.host, port=at.port, wanted_db=at.db),
            output,
            lambda: self._in_loop(self._changed, name),
            lambda done: self._in_loop(self._line_done, name, done),
            lambda reply: self._in_loop(self._reply_arrived, name, reply),
        )
        link.comes_back = server.took_along
        return link

    async def close(self) -> None:
        """Stop the terminals and the server."""
        self.closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        for link in self.links.values():
            link.close()
        if self.server is not None:
            self.server.stop()
        if self._directory is not None:
            self._directory.cleanup()

    # -- what the screen asks

    def completer(self, terminal: str) -> PromptCompleter:
        """Return what helps with typing."""
        return PromptCompleter(self.kept, self._key_names, completions())

    def history(self, terminal: str) -> list[str]:
        """Return the history."""
        return self.kept.lines

    def step(self) -> StepView:
        """Return the step to show."""
        text = (
            "Your own empty server, to try things on. It is discarded when you leave.\n\n"
            "- `Tab` completes commands, options and keys; the line below the prompt shows the syntax.\n"
            "- `HELP command` explains a command, `HELP @string` lists a group.\n"
            "- **F4** takes back the last command that changed something."
        )
        return StepView("sandbox", "Sandbox", "Redis", 1, 1, (False,), "Try anything", (ProseView(text),), 0, True)

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Carry out a line."""
        argv = repeated(split_args(line) or [])[1]
        if argv and self._is_prompt(terminal) and (told := self._refusal(argv)):
            self._post(m.TerminalOutput(terminal, [Row(((told, "error"),), indent=2, words=True)]))
            self._post(m.LineDone(terminal, line))
            self._changed(terminal)
            self._script_goes_on(terminal)
            return
        self._current = terminal
        number = next(self._numbers)
        self._on_their_way[number] = terminal
        try:
            async with self._in_order:
                await self.noted()
                await self._hand_over(number, terminal, line, typed_for)
        finally:
            self._on_their_way.pop(number, None)

    def _refusal(self, argv: Sequence[bytes]) -> str:
        """Return why a command is not sent; "" if it is."""
        return why_never(argv) if isinstance(self.server, RealServer) else ""

    async def _hand_over(self, number: int, terminal: str, line: str, typed_for: str | None) -> None:
        """Note the moment before a line, and give it to its link."""
        await self._before(terminal, line, typed_for)
        with self._lock:
            self._touched.clear()
        self._looked.clear()
        self._known_before = dict(self._entries)
        await self._watch(terminal, line)
        if self._on_their_way.get(number) is None:  # Ctrl-C came first
            self._stopped(terminal)
            self._changed(terminal)
            return
        self._submitted[terminal] += 1
        self._last_lines[terminal] = line
        del self._on_their_way[number]
        self.links[terminal].submit(line, typed_for)
        word = line.split(" ", 1)[0].lower().encode()
        if self._loop is not None and word in BLOCKING:
            number = self._submitted[terminal]
            self._loop.call_later(PATIENCE_SECONDS * 2, self._typed_waits, terminal, typed_for, number)

    async def _before(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Note the moment before a line."""
        if self.server is not None:
            with contextlib.suppress(HostError):
                self._moments.append(Moment(await asyncio.to_thread(self.mark), terminal, line))

    def _stopped(self, terminal: str) -> None:
        """Take note that a line came to nothing."""
        self._moments.drop(terminal)

    def keeps_blanks(self, terminal: str) -> bool:
        """Return whether blanks before a line, and empty lines, mean something in a terminal."""
        return False

    def prompt(self, terminal: str) -> str:
        """Return a terminal's prompt."""
        return self.links[terminal].state.prompt()

    async def settled(self) -> frozenset[str]:
        """Wait until all that was asked for is done and posted; returns the terminals whose command waits."""
        until, busy = time.monotonic() + ANSWER_SECONDS, {""}
        while not self.closed:
            self._moved.clear()
            was_busy, busy = busy, {name for name, link in self.links.items() if link.busy}
            await asyncio.gather(*(asyncio.wrap_future(link.read_all()) for link in self.links.values()))
            await asyncio.sleep(0)  # to begin what has been handed to this loop
            if self._ending:
                await asyncio.wait(self._ending)
                continue
            waiting = {name for name in busy if await asyncio.to_thread(self._waits, name)}
            types_on = self._script_at and not (
                self._script_at in waiting and self._script and self._script[0][0] == self._script_at
            )
            if waiting == busy and not types_on:
                if busy == was_busy:
                    return frozenset(busy)
            elif time.monotonic() > until and not types_on:
                return frozenset(busy)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), WAITS_SECONDS if busy else None)
        return frozenset()

    @contextlib.asynccontextmanager
    async def _after_lines(self) -> AsyncIterator[None]:
        """Do something after the lines before it, entered or typed for the learner, and before those that follow."""
        until = time.monotonic() + TYPED_SECONDS
        while True:
            async with self._in_order:
                await self._lines_over()
                if not self._script_at or self.links[self._script_at].busy or time.monotonic() > until:
                    yield
                    return
            await asyncio.sleep(POLL_SECONDS)  # a line is being typed, and takes a turn when it is entered

    async def _lines_over(self) -> None:
        """Wait until the lines that reached their links have run, but not for what waits or may never end."""
        began = time.monotonic()
        while busy := {name for name, link in self.links.items() if link.busy}:
            scripts = any(_is_script(self._last_lines.get(name, "")) for name in busy)
            left = began + (SCRIPT_SECONDS if scripts else RUNS_SECONDS) - time.monotonic()
            looks = [asyncio.ensure_future(asyncio.to_thread(self._waits, name)) for name in busy]
            over, unanswered = await asyncio.wait(looks, timeout=max(0.0, left))
            if unanswered or all(look.result() for look in over):
                break
            await asyncio.sleep(POLL_SECONDS)
        await self.noted()

    async def noted(self) -> None:
        """Wait until note was taken of the lines that are over: what follows begins its own moment."""
        await asyncio.sleep(0)  # to begin what has been handed to this loop
        if self._ending:
            await asyncio.wait(self._ending)

    def _waits(self, terminal: str) -> bool:
        """Return whether a command of a terminal waits for something to happen."""
        link = self.links[terminal]
        number = self._client(terminal)
        if link.monitors or not link.busy or not number:
            return link.monitors
        try:
            told = self._inspection_at(terminal)([([b"CLIENT", b"LIST", b"ID", b"%d" % number], 0)])[0]
        except (HostError, ValueError):
            return False
        return isinstance(told, Verbatim) and re.search(rb" flags=\w*b", told.text) is not None

    def _inspection_at(self, terminal: str) -> Inspections:
        """Return looks at the server of a terminal."""
        return self._inspect_all

    async def interrupt(self, terminal: str) -> None:
        """Stop what runs or blocks there, and what was still to be typed."""
        self._stop_typing()
        self._on_their_way = {number: name for number, name in self._on_their_way.items() if name != terminal}
        link = self.links[terminal]
        if link.busy:
            link.interrupt()
        elif link.state.subscribed:
            link.reopen(again=True)
            self._subscriptions_left(terminal)

    def _subscriptions_left(self, terminal: str) -> None:
        """Take note that a terminal left the subscribed mode by Ctrl-C."""

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction."""

    async def run_example(self, example: ExampleView) -> None:
        """Have a transcript typed, unless it is being typed already."""
        if any(each == example.id for _, _, each in self._script) or (
            self._script_at and self._script_for == example.id
        ):
            return
        terminal = example.terminal or self.terminal_names[0]
        async with self._in_order:
            self._type([(terminal, command, example.id) for command, _ in example.exchanges if command])

    def _type(self, lines: Sequence[tuple[str, str, str | None]]) -> None:
        """Have lines typed, each after the one before is answered, whatever the terminal."""
        self._script.extend(lines)
        if not self._script_at:
            self._type_next()

    def _stop_typing(self) -> None:
        self._script.clear()
        self._script_at = ""
        if self._job is not None:
            job, self._job = self._job, None
            self._post(m.EditorRan(job.so_far(over=True, stopped=True)))
        self._moved.set()

    def _type_next(self) -> None:
        self._script_at = ""
        self._moved.set()
        if self._script:
            terminal, line, typed_for = self._script.popleft()
            self._script_at, self._script_for = terminal, typed_for
            at_once = typed_for is not None and typed_for.startswith(MARK)
            self._post(m.TypeIn(terminal, [line], typed_for, at_once))

    def _typed_waits(self, terminal: str, typed_for: str | None, number: int) -> None:
        """Go on typing elsewhere when the command typed last, of this number, waits for something to happen."""
        if number != self._submitted[terminal]:
            return
        self._moved.set()
        if self._script_at == terminal and (not self._script or self._script[0][0] != terminal):
            self._type_next()

    # -- the editor

    @property
    def draft(self) -> EditorText:
        """See `Controller`."""
        return self._drafts.draft

    def keep_draft(self, draft: EditorText) -> bool:
        """See `Controller`."""
        return self._drafts.keep(draft)

    async def run_draft(self) -> None:
        """See `Controller`. What runs is typed at the prompt, as any command is."""
        async with self._in_order:
            self._run_draft()

    def _run_draft(self) -> None:
        terminal = self._editor_terminal()
        link = self.links.get(terminal)
        try:
            if link is None:
                raise CannotRun(NO_TERMINAL)
            if self._is_busy(terminal) or self._script_at or self._script:
                raise CannotRun("A command is still running in the terminal. Ctrl-C stops it.")
            lines = lines_of(self.draft)
        except CannotRun as problem:
            self._post(m.EditorRefused(str(problem)))
            return
        self._job = EditorJob(self.draft, terminal, lines)
        self._post(m.EditorRan(self._job.so_far(over=False)))
        self._type([(terminal, each.line, f"{MARK}{at}") for at, each in enumerate(lines)])

    def _editor_terminal(self) -> str:
        """Return the terminal in which the editor's text runs: the current one, or the first that is a prompt."""
        names = [self._current, *self.terminal_names]
        return next((name for name in names if name and self._is_prompt(name)), "")

    def _editor_line_over(self, done: Done) -> None:
        """Take the replies to a line of the editor."""
        job, mark = self._job, done.typed_for or ""
        if job is None or not mark.startswith(MARK):
            return
        is_last = job.take(mark, done.argv, done.replies)
        if done.argv and done.argv[0].lower() in SCRIPTS:
            calls, more = self._watcher.last_script()
            job.hear_calls(None if isinstance(self.server, RealServer) else calls, more)
        if is_last:
            self._job = None
        self._post(m.EditorRan(job.so_far(over=is_last)))

    async def recording(self) -> bytes | None:
        """See `Controller`."""
        return None

    async def resume(self) -> None:
        """See `Controller`."""

    async def continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> None:
        """See `Controller`."""

    async def act(self, action: str) -> None:
        """Do what was asked for."""
        if action == "undo":
            async with self._after_lines():
                await self._undo()
        elif action == "why":
            async with self._after_lines():
                self._post(m.Notice(self._reason()))
        elif action.startswith("picture"):
            await self._draw(action.removeprefix("picture").strip())
        elif action in ("reset", "reset_lesson") and self._moments:
            async with self._after_lines():
                await self._go_back(self._moments[0].place, "The server is empty again.")
                self._moments.clear()

    def _reason(self) -> str:
        """Return why the last command failed."""
        if self.last_error is None:
            return "No command has failed so far."
        argv, error, db = self.last_error
        return explain_error(argv, error.text, self._inspect, db)

    async def _undo(self) -> None:
        moment = self._moments.take_back()
        if moment is None:
            self._post(m.Notice("There is nothing to undo: no command has changed anything."))
            return
        await self._go_back(moment.place, f"taken back: {shorten(moment.line, LINE)}")

    async def _go_back(self, place: int, text: str) -> bool:
        """Bring the server back; says so. Returns whether it worked."""
        try:
            await asyncio.to_thread(self.undo, place)
        except (HostError, LookupError) as error:
            self._post(m.Notice(str(error), "error"))
            return False
        await self._went_back(text)
        return True

    async def _went_back(self, text: str) -> None:
        """Show that the server is back at an earlier moment."""
        if self._cut:
            text += f" ({self._cut} connection{'s' if self._cut > 1 else ''} from outside closed)"
            self._cut = 0
        self._post(m.Cleared(text))
        self._stop_typing()
        self._after = ""
        self._known_before = {}
        with self._lock:
            self._touched.clear()
        self._looked.clear()
        self._entries = {}
        for name in self.links:
            self._changed(name)
        await self._show_picture(self._watcher.reread)
        self._start(self._look())

    @property
    def _keeper(self) -> LessonServer | RealServer | WorldServer:
        """What goes back in an undo."""
        assert isinstance(self.server, LessonServer | RealServer)
        return self.server

    def mark(self) -> int:
        """Note this moment, the terminals' prompts included. Blocks; raises HostError."""
        place: int = self._keeper.mark()
        self._states[place] = {name: copy(link.state) for name, link in self.links.items()}
        self._watched[place] = self._watcher.saved()
        return place

    def undo(self, place: int) -> None:
        """Bring server and prompts back to a place. Blocks; raises HostError."""
        for link in self.links.values():
            link.abandon()
        self._cut += self._keeper.undo(place)
        self._watcher.restore(self._watched.get(place))
        for name, state in self._states.get(place, {}).items():
            self.links[name].state.restore(state)
            if isinstance(self.server, RealServer):  # whose connections do not go back
                self.links[name].reopen(again=True)

    # -- news from the links and the server

    def _in_loop(self, function: Callable[..., Any], *args: Any) -> None:
        if self._loop is not None and not self.closed:
            with contextlib.suppress(RuntimeError):  # the program is ending
                self._loop.call_soon_threadsafe(function, *args)

    def _is_busy(self, terminal: str) -> bool:
        """Return whether a line of a terminal runs, or is on its way."""
        return self.links[terminal].busy or terminal in self._on_their_way.values()

    def _changed(self, name: str) -> None:
        """Have a terminal's prompt shown as it is now: in the loop, where lines are handed over."""
        self._post(m.PromptShown(name, self.prompt(name), self._is_busy(name)))
        self._moved.set()

    def _line_done(self, name: str, done: Done) -> None:
        if self.closed:
            return
        self._post(m.LineDone(name, done.line))
        if done.argv and (moment := self._moments.pending(name)) is not None:
            moment.over = True
        elif not done.argv:
            self._moments.drop(name)
        if done.argv:
            self._after = done.line
            for key in key_view.keys_of(done.argv):
                self._looked.add((done.db, key))
            if (error := done.error) is not None:
                self.last_error = (done.argv, error, done.db)
                self._post(m.Failed(name))
        self._start(self._line_over(name, done), self._ending)

    async def _line_over(self, name: str, done: Done) -> None:
        await self._picture(name, done)
        self._editor_line_over(done)
        await self._after_line(name, done)

    async def _after_line(self, name: str, done: Done) -> None:
        """Look at the server once a line is done; lessons check here."""
        self._script_goes_on(name)
        self._start(self._look())

    def _script_goes_on(self, name: str) -> None:
        if self._script_at == name:
            self._type_next()

    def _reply_arrived(self, name: str, reply: Any) -> None:
        """Take note of what came unasked in a terminal; it is shown already."""

    def _start(self, work: Any, *kinds: set[asyncio.Task[Any]]) -> None:
        task = asyncio.ensure_future(work)
        for kept in (self._tasks, *kinds):
            kept.add(task)
            task.add_done_callback(kept.discard)

    def _hear(self, event: Any) -> None:
        """Take an event of the server; called from its reader's thread."""
        if isinstance(event, Recovered):
            self._in_loop(self._recovered, event)
        self._watcher.hear(event)
        with self._lock:
            self._heard.append(event)
            if isinstance(event, ev.KeyChanged | ev.KeyExpired):
                if len(self._touched) < TOUCHED_KEPT:
                    self._touched.add((event.db, event.key))
                if self._moments and isinstance(event, ev.KeyChanged):
                    self._moments[-1].changed = True
            if self._flush_due:
                return
            self._flush_due = True
        self._in_loop(self._flush_soon)

    def _recovered(self, event: Recovered) -> None:
        """Continue after a server has ended and was restarted with its data."""
        self._stop_typing()
        for link in self.links.values():
            link.reopen()
        self._post(m.Notice(event.text))
        self._start(self._look())

    def _flush_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        with self._lock:
            heard, self._heard = self._heard, []
            self._flush_due = False
        if self.closed or not heard:
            return
        # However much happened, what is drawn of it is bounded: the rest is counted.
        crossed = [event for event in heard if isinstance(event, Bytes)]
        if crossed:
            self._post(m.WireShown([self._wire(event) for event in crossed[:WIRE_SHOWN]]))
        happened = [event for event in heard if not isinstance(event, Bytes | Skipped)]
        cut = len(happened[EVENTS_SHOWN:]) + sum(event.count for event in heard if isinstance(event, Skipped))
        told = [entry for event in happened[:EVENTS_SHOWN] if (entry := self._told(event)) is not None]
        if cut:
            told.append(EventEntry(told[-1].time if told else "", "…", f"and {cut:,} more"))
        if told:
            self._post(m.EventsShown(told))
        if any(isinstance(event, ev.KeyChanged | ev.KeyExpired | Undone | Skipped) for event in heard):
            self._start(self._look())
            self._start(self._picture_again())

    def _wire(self, event: Bytes) -> WireEntry:
        frames = wire_view.explain(event.data, event.to_server, event.size)
        return WireEntry(event.to_server, self._name_of(event.client), event.size, frames, _clock(event.now_us))

    def _name_of(self, client: int) -> str:
        return self._who.get(client, f"client {client}")

    def _told(self, event: Any) -> EventEntry | None:
        match event:
            case ev.CommandExecuted():
                text = " ".join(_word(word) for word in event.argv[:12]) + (" …" if len(event.argv) > 12 else "")
                who = self._name_of(event.client_id)
                return EventEntry(_clock(event.now_us), "command", f"{text}  {event.elapsed_us} µs", who)
            case ev.KeyChanged():
                return EventEntry(_clock(event.now_us), "changed", f"{shorten(to_text(event.key))}  (db {event.db})")
            case ev.KeyExpired():
                return EventEntry(_clock(event.now_us), "expired", f"{shorten(to_text(event.key))}  (db {event.db})")
            case ev.ClientOpened():
                return EventEntry(_clock(event.now_us), "client", f"{self._name_of(event.client_id)} connected")
            case ev.ClientClosed():
                return EventEntry(_clock(event.now_us), "client", f"{self._name_of(event.client_id)} left")
            case Recovered():
                return EventEntry("", "restart", event.text)
            case Undone():
                return EventEntry("", "undo", "the server went back")
        return None

    # -- the picture

    def _client_names(self) -> dict[int, str]:
        """Return the names of one server's terminals, the current one's, by the numbers of their connections."""
        server = self._number(self._current) // CLIENTS_APART
        return {
            number % CLIENTS_APART: name for number, name in self._who.items() if number // CLIENTS_APART == server
        }

    def _all_servers(self) -> list[tuple[str, Inspections]]:
        """Return the servers by name, for the picture of replication."""
        return [("this server", self._inspect_all)]

    def _number(self, terminal: str) -> int:
        """Return the number of a terminal's connection among those of all servers; 0 without one."""
        return next((each for each in reversed(self._who) if self._who[each] == terminal), 0)

    def _client(self, terminal: str) -> int:
        """Return the number of a terminal's connection, the last one that it had; 0 without one."""
        number = self._number(terminal)
        return number if isinstance(self.server, RealServer) else number % CLIENTS_APART

    async def _watch(self, terminal: str, line: str) -> None:
        """Read what a line is about, before it runs."""
        argv = split_args(line) or []
        if len(argv) > 1 and argv[0].isdigit():  # a number in front repeats the command
            argv = argv[1:]
        if argv and self.server is not None and self._is_prompt(terminal):
            db = self.links[terminal].state.db
            with contextlib.suppress(HostError, ValueError):
                await asyncio.to_thread(self._watcher.before, argv, db, self._client(terminal))

    def _is_prompt(self, terminal: str) -> bool:
        return True

    async def _picture(self, name: str, done: Done) -> None:
        """Say what a line changed, and draw it."""
        if not self._is_prompt(name) and self._watcher.shows_machines:
            await self._show_picture(self._watcher.again)  # time has passed, a server was stopped, and the like
        if not done.argv or not self._is_prompt(name):
            return
        async with self._pictures:
            if self.closed:
                return
            try:
                view, sentence = await asyncio.to_thread(
                    self._watcher.after, done.argv, done.replies, done.db, self._client(name)
                )
            except (HostError, ValueError, AssertionError):
                return
            if sentence and not self.links[name].muted:
                self._post(m.Changed(name, sentence.replace("`", "")))
            self._post_picture(view)

    async def _show_picture(self, read: Callable[[int, int], PictureView | None]) -> None:
        """Draw what the picture is about as it is now, if there is something to draw."""
        terminal = self._current or self.terminal_names[0]
        link = self.links.get(terminal)
        if link is None or self.server is None:
            return
        with contextlib.suppress(HostError, ValueError, AssertionError):
            self._post_picture(await asyncio.to_thread(read, link.state.db, self._client(terminal)))

    def _post_picture(self, view: PictureView | None) -> None:
        if view is None or self.closed:
            return
        self._post(m.PictureShown(view))
        if view.again_ms and self._loop is not None:
            self._loop.call_later(view.again_ms / 1000, self._look_at_picture_again)

    def _look_at_picture_again(self) -> None:
        if not self.closed:
            self._start(self._picture_again())

    async def _picture_again(self) -> None:
        """Redraw what has changed, one reading at a time; requests during it lead to one more at its end."""
        if self._picture_looks:
            self._picture_due_again = True
            return
        self._picture_looks = True
        try:
            while not self.closed:
                self._picture_due_again = False
                await self._show_picture(self._watcher.again)
                await asyncio.sleep(KEYS_SECONDS)
                if not self._picture_due_again:
                    break
        finally:
            self._picture_looks = False

    async def _draw(self, what: str) -> None:
        """Draw a key or a subject from now on, whatever is typed; nothing to draw what is typed about again."""
        pinned: bytes | str | None = what if what in SUBJECTS else what.encode(errors="surrogateescape") or None
        await self._show_picture(lambda db, client: self._watcher.show(pinned, db, client))
        drawn = f"The picture shows {what} from now on." if what else "The picture follows your commands."
        self._post(m.Notice(drawn))

    # -- the keys

    def _inspect(self, argv: Sequence[bytes], db: int) -> Any:
        assert self.server is not None
        return self.server.inspect(list(argv), db)

    def _inspect_all(self, requests: Sequence[tuple[Sequence[bytes], int]]) -> list[Any]:
        assert self.server is not None
        return self.server.inspect_all([(list(argv), db) for argv, db in requests])

    def _key_names(self, prefix: bytes, limit: int) -> list[bytes]:
        names = dict.fromkeys(name for _, name in self._entries if name.startswith(prefix))
        return list(names)[:limit]

    async def _look(self) -> None:
        """Read the keys and show them; asked again meanwhile, once more at the end."""
        if self._looking is not None and not self._looking.done():
            self._look_again = True
            return
        self._looking = asyncio.current_task()
        while not self.closed:
            self._look_again = False
            try:
                view = await asyncio.to_thread(self._read_keys)
            except (HostError, AssertionError, ValueError):
                break
            self._post(m.KeysShown(view))
            dying = any(entry.ttl for entry in view.keys) and not isinstance(self.server, RealServer)
            await asyncio.sleep(KEYS_SECONDS if self._look_again or not dying else 1)
            if not self._look_again and not dying:
                break
        self._looking = None

    def _read_keys(self) -> Any:
        link = self.links.get(self._current)
        db = link.state.db if link else 0
        before = self._known_before
        with self._lock:
            touched = set(self._touched)
        marks = dict.fromkeys(self._looked, "same")
        marks |= {place: "changed" if place in before else "new" for place in touched}
        gone = {
            place: KeyEntry(entry.name, entry.type, "", "", "", entry.preview, "gone", entry.db)
            for place, entry in before.items()
            if place in touched
        }
        view, self._entries = key_view.read_keys(self._inspect_all, db, marks, gone, self._after)
        return view


def _read_tables() -> None:
    """Read the command table, so that the first key typed does not wait for it."""
    import engine.node  # noqa: F401 - declares all commands

    CommandDocs.load()


def _is_script(line: str) -> bool:
    return line.split(" ", 1)[0].lower().encode() in SCRIPTS


def _word(word: bytes) -> str:
    text = to_text(word[:40]) + ("…" if len(word) > 40 else "")
    return text if text and not any(c.isspace() for c in text) else f'"{text}"'


def _clock(now_us: int) -> str:
    seconds, us = divmod(now_us, 1_000_000)
    seconds %= 86400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{us // 1000:03}"
