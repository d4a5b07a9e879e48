"""A server of one's own, with terminals and an inspector: the sandbox, and what every lesson stands on.

The server runs in a child process (`tutor.host`). Every terminal has a thread, looking at keys happens in another,
and what the server tells is gathered and posted some twenty times a second: whatever the learner starts, the screen
stays awake.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields
from typing import Any

from engine import events as ev
from engine.errors import ReplyError
from tutor.host import Bytes, HostError, LessonServer, Skipped, Undone
from tutor.prompt import CommandTable, History, PromptState, to_text
from tutor.screens import messages as m
from tutor.screens.desk import keyview, wireview
from tutor.screens.desk.assist import PromptAssist
from tutor.screens.desk.errors import explain_error
from tutor.screens.desk.link import BLOCKING, PATIENCE_SECONDS, Done, Link
from tutor.screens.view import EventEntry, Example, KeyEntry, LessonSetup, Prose, StepView, WireEntry
from tutor.widgets.rows import Row, row
from tutor.widgets.terminal import Question

FLUSH_SECONDS = 0.05
KEYS_SECONDS = 0.15  # the least time between two looks at the keys
EVENTS_SHOWN = 40  # of one flush
WIRE_SHOWN = 24
TOUCHED_KEPT = 200

CLIENT_COMMANDS = {
    "help": "about commands and groups",
    "clear": "clear the screen",
    ":hint": "a hint, a clearer one each time",
    ":show": "type the solution for me",
    ":run": "run the next example",
    ":undo": "take the last command back",
    ":reset": "start this step again",
    ":next": "the next step",
    ":back": "the step before",
    ":why": "explain the last error",
    ":help": "what can be typed here",
    ":map": "back to the map",
}


class Playground:
    """A desk with a server and nothing to learn."""

    title = "Sandbox"
    terminal_names: tuple[str, ...] = ("redis",)
    arguments: tuple[str, ...] = ()

    def __init__(self, history: History | None = None) -> None:
        self.kept = history or History()
        self.server: LessonServer | None = None
        self.links: dict[str, Link] = {}
        self.last_error: tuple[tuple[bytes, ...], ReplyError] | None = None
        self._post: Callable[[m.DeskMessage], object] = lambda message: None
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
        self._places: list[tuple[int, str, bool]] = []  # for undo: place, line, whether it changed something
        self._states: dict[int, dict[str, PromptState]] = {}  # of the terminals, by place
        self._script: deque[tuple[str, str, str | None]] = deque()  # lines to be typed: terminal, line, what for
        self._script_at = ""  # the terminal in which a line of it is under way
        self._current = ""
        self._cut = 0  # connections from outside that an undo closed
        self.closed = False

    # -- opening and closing

    async def open(self, post: Callable[[m.DeskMessage], object]) -> None:
        """Start the server and connect the terminals. Raises HostError."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        post(m.Opened(LessonSetup("sandbox", self.title, "", self.terminal_names)))
        await self._connect_terminals()
        await self._begin()

    def _prepare(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        reading = threading.Thread(target=_read_tables)  # while the server starts
        reading.start()
        self.server = LessonServer.start(self._directory.name, self.arguments, self._hear)
        reading.join()
        if self.closed:  # the learner left while the server was starting
            self._stop()
            raise HostError("left")

    async def _connect_terminals(self) -> None:
        for name in self.terminal_names:
            link = self.links[name] = self._link(name)
            await asyncio.to_thread(link.start)
            self._changed(name, False)

    async def _begin(self) -> None:
        self._post(m.StepShown(self.step(), fresh=True))
        self._current = self.terminal_names[0]
        await self._look()

    def _link(self, name: str) -> Link:
        server = self.server
        assert server is not None

        def connect() -> Any:
            sock = server.connect()
            with contextlib.suppress(HostError):
                self._who[server.client_id(sock)] = name
            return sock

        def output(rows: list[Row]) -> None:
            self._post(m.Output(name, rows))

        return Link(
            name,
            connect,
            PromptState(host="127.0.0.1", port=6379),
            output,
            lambda busy: self._changed(name, busy),
            lambda done: self._in_loop(self._line_done, name, done),
            lambda reply: self._in_loop(self._reply_arrived, name, reply),
        )

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

    def assist(self, terminal: str) -> PromptAssist:
        """Return what helps with typing."""
        return PromptAssist(self.kept, self._key_names, CLIENT_COMMANDS)

    def history(self, terminal: str) -> list[str]:
        """Return the history."""
        return self.kept.lines

    def step(self) -> StepView:
        """Return the step to show."""
        text = (
            "A server of your own, empty and with nothing at stake. Whatever you do here is gone when you leave.\n\n"
            "- `Tab` completes commands, options and keys; below the prompt stands the syntax.\n"
            "- `HELP command` explains a command, `HELP @string` lists a group.\n"
            "- **F4** takes back the last command that changed something."
        )
        return StepView("sandbox", "Sandbox", "Redis", 1, 1, (False,), "Try anything", (Prose(text),), 0, True)

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Carry out a line."""
        self._current = terminal
        if self.server is not None:
            with contextlib.suppress(HostError):
                place = await asyncio.to_thread(self.mark)
                self._places.append((place, line, False))
        with self._lock:
            self._touched.clear()
        self._looked.clear()
        self._known_before = dict(self._entries)
        self.links[terminal].submit(line, typed_for)
        word = line.split(" ", 1)[0].lower().encode()
        if self._loop is not None and word in BLOCKING:
            self._loop.call_later(PATIENCE_SECONDS * 2, self._typed_waits, terminal, typed_for)

    async def interrupt(self, terminal: str) -> None:
        """Stop what runs or blocks there, and what was still to be typed."""
        self._script.clear()
        self._script_at = ""
        if self.links[terminal].busy:
            self.links[terminal].interrupt()

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction."""

    async def run_example(self, example: Example) -> None:
        """Have a transcript typed."""
        terminal = example.terminal or self.terminal_names[0]
        self._type([(terminal, command, example.id) for command, _ in example.exchanges if command])

    def _type(self, lines: Sequence[tuple[str, str, str | None]]) -> None:
        """Have lines typed, each after the one before is answered, whatever the terminal."""
        self._script.extend(lines)
        if not self._script_at:
            self._type_next()

    def _type_next(self) -> None:
        self._script_at = ""
        if self._script:
            terminal, line, typed_for = self._script.popleft()
            self._script_at = terminal
            self._post(m.TypeIn(terminal, [line], typed_for))

    def _typed_waits(self, terminal: str, typed_for: str | None) -> None:
        """Go on typing elsewhere when the command just typed waits for something to happen."""
        if self._script_at == terminal and (not self._script or self._script[0][0] != terminal):
            self._type_next()

    async def act(self, action: str) -> None:
        """Do what was asked for."""
        if action == "undo":
            await self._undo()
        elif action == "why":
            self._why()
        elif action in ("reset", "reset_lesson") and self._places:
            await self._go_back(self._places[0][0], "The server is empty again.")
            self._places.clear()

    def _why(self) -> None:
        if self.last_error is None:
            self._post(m.Notice("No command has failed so far."))
        else:
            argv, error = self.last_error
            self._post(m.Notice(explain_error(argv, error.text, self._peek)))

    async def _undo(self) -> None:
        skipped = 0
        while self._places and not self._places[-1][2]:
            self._places.pop()
            skipped += 1
        if not self._places:
            self._post(m.Notice("There is nothing to take back: no command has changed anything."))
            return
        place, line, _ = self._places.pop()
        await self._go_back(place, f"taken back: {line}")

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
        self._post(m.Cleared("⟲ " + text))
        self._script.clear()
        self._script_at = ""
        self._after = ""
        self._known_before = {}
        with self._lock:
            self._touched.clear()
        self._looked.clear()
        self._entries = {}
        for name in self.links:
            self._changed(name, False)
        await self._look()

    def mark(self) -> int:
        """Note this moment, the terminals' prompts included. Blocks; raises HostError."""
        assert self.server is not None
        place = self.server.mark()
        self._states[place] = {name: copy(link.state) for name, link in self.links.items()}
        return place

    def undo(self, place: int) -> None:
        """Bring server and prompts back to a place. Blocks; raises HostError."""
        assert self.server is not None
        for link in self.links.values():
            link.abandon()
        self._cut += self.server.undo(place)
        for name, state in self._states.get(place, {}).items():
            link = self.links[name]
            for each in fields(PromptState):
                if each.name != "connected":
                    setattr(link.state, each.name, getattr(state, each.name))

    # -- news from the links and the server

    def _in_loop(self, function: Callable[..., Any], *args: Any) -> None:
        if self._loop is not None and not self.closed:
            with contextlib.suppress(RuntimeError):  # the program is ending
                self._loop.call_soon_threadsafe(function, *args)

    def _changed(self, name: str, busy: bool) -> None:
        self._post(m.PromptShown(name, self.links[name].state.prompt(), busy))

    def _line_done(self, name: str, done: Done) -> None:
        if self.closed:
            return
        if done.argv:
            self._after = done.line
            for key in keyview.keys_of(done.argv):
                self._looked.add((done.db, key))
            if (error := done.error) is not None:
                self.last_error = (done.argv, error)
                self._post(m.Output(name, [row("  :why explains it", "note")]))
        self._start(self._after_line(name, done))

    async def _after_line(self, name: str, done: Done) -> None:
        """Look at the server once a line is done; lessons check here."""
        self._script_goes_on(name)
        await self._look()

    def _script_goes_on(self, name: str) -> None:
        if self._script_at == name:
            self._type_next()

    def _reply_arrived(self, name: str, reply: Any) -> None:
        """Take note of what came unasked in a terminal; it is shown already."""

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, event: Any) -> None:
        """Take an event of the server; called from its reader's thread."""
        with self._lock:
            self._heard.append(event)
            if isinstance(event, ev.KeyChanged | ev.KeyExpired):
                if len(self._touched) < TOUCHED_KEPT:
                    self._touched.add((event.db, event.key))
                if self._places and isinstance(event, ev.KeyChanged):
                    place, line, _ = self._places[-1]
                    self._places[-1] = (place, line, True)
            if self._flush_due:
                return
            self._flush_due = True
        self._in_loop(self._flush_soon)

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

    def _wire(self, event: Bytes) -> WireEntry:
        frames = wireview.explain(event.data, event.to_server, event.size)
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
                return EventEntry(_clock(event.now_us), "changed", f"{to_text(event.key)}  (db {event.db})")
            case ev.KeyExpired():
                return EventEntry(_clock(event.now_us), "expired", f"{to_text(event.key)}  (db {event.db})")
            case ev.ClientOpened():
                return EventEntry(_clock(event.now_us), "client", f"{self._name_of(event.client_id)} connected")
            case ev.ClientClosed():
                return EventEntry(_clock(event.now_us), "client", f"{self._name_of(event.client_id)} left")
            case Undone():
                return EventEntry("", "undo", "the server went back")
        return None

    # -- the keys

    def _peek(self, argv: Sequence[bytes], db: int) -> Any:
        assert self.server is not None
        return self.server.peek(list(argv), db)

    def _peeks(self, requests: Sequence[tuple[Sequence[bytes], int]]) -> list[Any]:
        assert self.server is not None
        return self.server.peeks([(list(argv), db) for argv, db in requests])

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
            dying = any(entry.ttl for entry in view.keys)
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
        view, self._entries = keyview.read_keys(self._peeks, db, marks, gone, self._after)
        return view


def _read_tables() -> None:
    """Read the command table, so that the first key typed does not wait for it."""
    import engine.node  # noqa: F401 - declares all commands

    CommandTable.load()


def _word(word: bytes) -> str:
    text = to_text(word[:40]) + ("…" if len(word) > 40 else "")
    return text if text and not any(c.isspace() for c in text) else f'"{text}"'


def _clock(now_us: int) -> str:
    seconds, us = divmod(now_us, 1_000_000)
    seconds %= 86400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{us // 1000:03}"
