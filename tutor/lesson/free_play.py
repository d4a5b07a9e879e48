"""The sandbox: a lesson of one step without tasks, whose server the learner fills.

It uses a lesson's controller, session, journal and scrollback, so it resumes as a lesson does: with its data, undo
history and terminal, however the tutor ended. Two lines in its history are not Redis commands: `:data NAME` types a
data set, and `:load FILE` replaces the data with that of the learner's own file, a copy of which is kept beside the
journal. One undo takes either back.
"""

import asyncio
import itertools
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.lesson import datasets, model
from tutor.lesson import messages as m
from tutor.lesson.actions import completions
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.controller import LessonController, TerminalServer
from tutor.lesson.events import Event, Nothing
from tutor.lesson.examples import NO_DATA, lines_of
from tutor.lesson.journal import MOST_ROWS, LessonJournal, steps_dir
from tutor.lesson.own_files import CannotLoad, make_dump
from tutor.lesson.session import Session
from tutor.lesson.view import Block, ExampleView, ProseView, StepView
from tutor.lesson_server.parent import HostError
from tutor.pictures.canvas import count, listed
from tutor.prompt import LineHistory, split_args, to_text
from tutor.prompt.completer import PromptCompleter
from tutor.prompt.words import LINE, shorten

NAME = "sandbox"
DUMP = "dump.rdb"
MANY_ROWS = 1500  # of the journal; then a dump takes the place of the older ones when the sandbox is opened
TOO_MANY_ROWS = MOST_ROWS - 500  # then that happens at once
UNDO_KEPT = 200  # of its rows
LONG_SECONDS = 1.0  # then it is said that a file is being read
EMPTY = "The sandbox was reset: the server is empty, and its undo history is deleted."
NO_LESSON = "The sandbox has no tasks. :data loads a data set to try commands on."
ABOUT = """\
Your own server, to try things on. It is saved as you type: when you come back, its data, its undo history and this
terminal are as you left them.

- `Tab` completes commands, options and keys; the line below the prompt shows the syntax.
- `HELP command` explains a command, `HELP @string` lists a group.
- `:edit` (**Ctrl+X**) opens an editor for Lua scripts, function libraries and transactions.
- `:undo` (**F4**) takes back the last command that changed something. `:reset` starts over.
- `:data` loads a data set: {names}.
- `:load FILE` opens your own dump or append-only file. The file itself is never changed.
- `:connect HOST:PORT` inspects a real server, read-only.
- `:export FILE.sh` saves what you typed as a shell script, `:export FILE.md` as a Markdown page.
"""
_KEYSPACE = re.compile(r"^db(\d+):keys=(\d+)", re.MULTILINE)
_SETTINGS = frozenset(b"config acl select script hello client function".split())


def sandbox_lesson() -> model.Lesson:
    """Return the lesson that the sandbox is."""
    front = model.FrontMatter(id=NAME, title="Sandbox", chapter=0, order=0, minutes=0, wrong_idea="")
    front.servers = {"redis": model.ServerSpec(config={"enable-debug-command": "yes"})}  # :load needs it
    return model.Lesson("", front, (model.Step(1, "Try anything", (), 1),), ("redis",))


class FreeSession(Session):
    """A session in which `:data NAME` and `:load FILE` are lines like commands."""

    server: "FreeServer"
    dumps = ""  # the folder of copies

    def submit(self, terminal: str, line: str, typed_for: str | None = None) -> list[Event]:
        """See `Session`. Of `:load FILE`, `typed_for` is the copy."""
        if not line.startswith(":"):
            return super().submit(terminal, line, typed_for)
        word, _, rest = line.partition(" ")
        self.before(terminal, line, typed_for)
        moment = self._moments[-1]
        try:
            said = self._type_data(terminal, rest) if word == ":data" else self._load(terminal, rest, typed_for or "")
        except (CannotLoad, LookupError, HostError) as problem:
            self.server.undo(moment.place)
            self.stopped(terminal)
            return [Nothing(str(problem.args[0]))]
        moment.changed = moment.over = True
        if line == LATER:  # before which there is nothing to go back to
            self._moments.clear()
        self.state = replace(self.state, loaded=(*self.state.loaded, line))
        return [Nothing(said)]

    def _type_data(self, terminal: str, name: str) -> str:
        """Run the commands of a data set."""
        data = datasets.find(name)
        for number, line in data.commands:
            for reply in self.server.execute(terminal, split_args(line) or []):
                if isinstance(reply, ReplyError):
                    raise CannotLoad(f"The data set {name} cannot be loaded: line {number}: {to_text(reply.text)}")
        return f"{data.title}. {_keys(self.server)} :run types an example, :undo removes the data again."

    def _load(self, terminal: str, name: str, copy: str) -> str:
        """Replace the data with that of a dump."""
        try:
            self.server.load(Path(self.dumps, copy))
        except OSError as error:
            raise CannotLoad(f"The copy of {name} cannot be read: {error.strerror}.") from error
        return f"{shorten(name, LINE)} is loaded. {_keys(self.server)} :undo takes it back."

    def _open_again(self, trail: Any, done: Any) -> list[Event]:
        """See `Session`. The data of a long history is saved as a dump, which takes the place of the older lines."""
        (name, entries), *_ = trail
        if len(entries) <= MANY_ROWS or self.journal is None or not self.journal.writes:
            return super()._open_again(trail, done)
        older, newer = entries[:-UNDO_KEPT], entries[-UNDO_KEPT:]
        events = super()._open_again([(name, older)], done)
        self._shorten()
        events += filter(None, [self._do_again(newer)])
        return events

    def before(self, terminal: str, line: str, typed_for: str | None = None) -> None:
        """See `Session`. A history that has become too long ends here: the data is saved as a dump in its place."""
        if self.journal is not None and len(self.journal) >= TOO_MANY_ROWS and not self._replaying:
            self._shorten()
        super().before(terminal, line, typed_for)

    def _shorten(self) -> None:
        """Have a dump take the place of what the journal has; settings, which it does not hold, stay."""
        if self.journal is None or not self.journal.writes:
            return
        copy = new_copy()
        try:
            self.server.save(Path(self.dumps, copy))
        except (OSError, HostError):
            return
        settings = [each for each in self.journal.entries if _is_setting(str(each.get("line", "")))]
        later = {"terminal": self.lesson.terminals[0], "line": LATER, "for": copy, "at": 0}
        self.journal.shorten([*settings[-UNDO_KEPT:], later])
        self._moments.clear()
        for path in Path(self.dumps).glob(f"{NAME}.*.rdb"):
            if path.name != copy:
                path.unlink(missing_ok=True)


LATER = ":load (earlier data)"


def _is_setting(line: str) -> bool:
    argv = split_args(line) or [b""]
    return argv[0].lower() in _SETTINGS


def _keys(server: Any) -> str:
    """Say how many keys a server has, and in which databases if not all are in database 0."""
    info = to_text(server.inspect([b"INFO", b"keyspace"]).text)
    counts = {int(db): int(keys) for db, keys in _KEYSPACE.findall(info)}
    total = sum(counts.values())
    where = "" if counts.keys() <= {0} else f" in {listed([f'database {db}' for db in sorted(counts)])}"
    return f"The server has {count(total, 'key')}{where} now."


def new_copy() -> str:
    """Return a name for a copy of a file, beside the journal."""
    numbers = itertools.count(1)
    return next(name for number in numbers if not (steps_dir() / (name := f"{NAME}.{number}.rdb")).exists())


class FreeServer(TerminalServer):
    """A server that can load and save dumps, which are exchanged in the folder that it runs in."""

    def load(self, dump: Path) -> None:
        """Replace the data with that of a dump. Raises OSError, CannotLoad."""
        shutil.copyfile(dump, self._place())
        self._check(self.execute(self._terminal, [b"DEBUG", b"RELOAD", b"NOSAVE"]))

    def save(self, dump: Path) -> None:
        """Write a dump of the data. Raises OSError, HostError."""
        try:
            self._check(self.execute(self._terminal, [b"SAVE"]))
        except CannotLoad as error:
            raise HostError(str(error)) from error
        shutil.copyfile(self._place(), dump)
        dump.chmod(0o600)

    @property
    def _terminal(self) -> str:
        return self._controller.terminal_names[0]

    def _place(self) -> Path:
        """Return where the server keeps its dump: in its own folder, never in one of the learner's."""
        own = Path(getattr(self._controller.server, "directory", "")).resolve()
        folder, name = self._setting(b"dir"), self._setting(b"dbfilename")
        if Path(folder).resolve() != own:
            raise CannotLoad(f"The server's folder is now {folder}. Set it back with CONFIG SET dir, then try again.")
        return own / name

    def _setting(self, name: bytes) -> str:
        told = self.inspect([b"CONFIG", b"GET", name])
        values = list(told.values()) if isinstance(told, dict) else list(told)[1:]
        return to_text(bytes(values[0]))

    @staticmethod
    def _check(replies: Sequence[Any]) -> None:
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise CannotLoad(f"The data cannot be loaded: {to_text(reply.text)}")


class FreePlay(LessonController):
    """The sandbox's controller. Without `keeps`, nothing is saved."""

    session_class = FreeSession
    server_class = FreeServer
    _session: FreeSession

    def __init__(self, history: LineHistory | None = None, keeps: bool = True) -> None:
        self._ran: set[str] = set()  # examples
        self._to_suggest = ""  # the last line of an example that is being tried
        self._beginning = LessonJournal(NAME, what="sandbox") if keeps else None
        super().__init__(sandbox_lesson(), Catalogue(Path()), None, history, journal=self._beginning)
        self._session.dumps = str(steps_dir())

    def completer(self, terminal: str) -> PromptCompleter:
        """See `Sandbox`."""
        return PromptCompleter(self.kept, self._key_names, completions(NAME, datasets.data_sets()))

    # -- what is shown

    def step(self) -> StepView:
        """See `Sandbox`."""
        names = ", ".join(f"`{name}`" for name in datasets.data_sets())
        blocks: list[Block] = []
        if data := self._data_shown():
            name = data.name
            blocks.append(ProseView(f"**{data.title}**\n\n{data.about}"))
            blocks += [self._example(f"{name} {number}", line) for number, line in enumerate(data.tries)]
        blocks.append(ProseView(ABOUT.format(names=names)))
        title = "Try anything"
        return StepView(NAME, self.title, "Redis", 1, 1, (False,), title, tuple(blocks), 0, True)

    def _data_shown(self) -> datasets.DataSet | None:
        """Return the data set that was loaded last, unless a file has replaced it."""
        last = next(iter(self._session.state.loaded[-1:]), "")
        word, _, name = last.partition(" ")
        return datasets.data_sets().get(name) if word == ":data" else None

    def _example(self, name: str, line: str) -> ExampleView:
        return ExampleView(
            name, ((line, ""),), self.terminal_names[0], name in self._ran, prompts=("127.0.0.1:6379> ",)
        )

    async def run_example(self, example: ExampleView) -> None:
        """See `Sandbox`."""
        self._ran.add(example.id)
        await super().run_example(example)
        self._show_step()

    # -- what the learner asks for

    async def act(self, action: str) -> None:
        """See `Controller`; besides, `data NAME`, `load FILE`, and `try NAME LINE`, which loads data for a line."""
        word, _, rest = action.partition(" ")
        match word:
            case "data":
                await self._bring(f":data {rest.strip()}")
            case "load":
                await self._load(rest.strip())
            case "try":
                await self._try_out(*rest.partition(" ")[::2])
            case "reset" | "reset_lesson":
                await self._start_afresh()
            case "hint" | "show" | "next" | "back" | "predict" | "go":
                self._post(m.Notice(NO_LESSON))
            case _:
                await super().act(action)

    async def _try_out(self, data: str, text: str) -> None:
        """Load what an example needs, type what comes before it, and leave its last line to the learner."""
        *before, last = lines_of(text)
        if hindrance := await self._hindrance():
            self._post(m.Notice(hindrance, "error"))
        elif data == NO_DATA or await self._bring(f":data {data}"):
            self._to_suggest = last
            self._type([(self._current, line, None) for line in before])

    def _type_next(self) -> None:
        """See `Sandbox`."""
        super()._type_next()
        if not self._script_at and self._to_suggest:
            self._post(m.Suggested(self._current, self._to_suggest))
            self._to_suggest = ""

    async def _load(self, name: str) -> None:
        """Make a dump of the learner's file, then load that."""
        if not name:
            self._post(m.Notice(":load FILE opens a dump (.rdb), an append-only file (.aof), or its manifest."))
            return
        if hindrance := await self._hindrance():
            self._post(m.Notice(hindrance, "error"))
            return
        copy = new_copy()
        try:
            async with self._turn:  # what is typed meanwhile runs on the new data
                remarks = await self._made(name, steps_dir() / copy)
                done = await self._bring_now(f":load {name}", copy)
        except CannotLoad as problem:
            self._post(m.Notice(str(problem), "error"))
            return
        except OSError as error:
            self._post(m.Notice(f"The copy of {name} cannot be saved: {error.strerror}.", "error"))
            return
        if done and remarks:
            self._post(m.Notice(remarks))

    async def _made(self, name: str, copy: Path) -> str:
        """Make a dump of a file, and say so if that takes long. Raises CannotLoad, OSError."""
        making = asyncio.ensure_future(asyncio.to_thread(make_dump, name, copy))
        if not (await asyncio.wait({making}, timeout=LONG_SECONDS))[0]:
            self._post(m.Notice(f"{shorten(name, LINE)} is being read. What you type meanwhile runs after that."))
        return await making

    async def _hindrance(self) -> str:
        """Return why data cannot be loaded now, if so."""
        async with self._turn:  # until then, commands that were not typed may run
            pass
        link = self.links[self._current or self.terminal_names[0]]
        if link.busy:
            return "A command is still running in this terminal. Ctrl-C stops it."
        if link.state.in_multi:
            return "A transaction is open in this terminal: end it first with EXEC or DISCARD."
        if link.state.subscribed:
            return "This terminal is subscribed to channels: press Ctrl-C first."
        return ""

    async def _bring(self, line: str, copy: str | None = None) -> bool:
        """Run `:data NAME` or `:load FILE`; returns whether it is done."""
        if hindrance := await self._hindrance():
            self._post(m.Notice(hindrance, "error"))
            return False
        async with self._turn:
            return await self._bring_now(line, copy)

    async def _bring_now(self, line: str, copy: str | None) -> bool:
        """Run it while nothing else runs; returns whether it is done."""
        self._known_before = dict(self._entries)
        with self._lock:
            self._touched.clear()
        self._looked.clear()
        self._after = line
        before = self._session.state.loaded
        await self._show(await self._unseen(self._session.submit, self._current, line, copy))
        self._start(self._look())
        return self._session.state.loaded != before

    async def _start_afresh(self) -> None:
        """Forget everything."""
        self._ran.clear()
        await self._do(self._session.reset_lesson, EMPTY)
        if self._beginning is not None and self._beginning.writes:
            for path in steps_dir().glob(f"{NAME}.*.rdb"):
                path.unlink(missing_ok=True)
