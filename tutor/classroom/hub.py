"""The hub of a class: who is in it, their terminals, and what they have done. It knows nothing of HTTP.

Records of the learners' tutors are stored in one transaction for all that arrived meanwhile, and confirmed after it
is on disk. If the store fails (the disk is full), the records stay in the learners' outboxes, and storing is tried
again every second.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tutor.classroom.board import ClassBoard, LearnerWork
from tutor.classroom.classes import ClassFolder, ClassSettings
from tutor.classroom.codes import (
    JOIN_LENGTH,
    RESUME_LENGTH,
    GuessLimit,
    code_digest,
    new_code,
    new_token,
    read_code,
    same,
    token_digest,
)
from tutor.classroom.groups import ControlGroups
from tutor.classroom.outbox import left_in
from tutor.classroom.resuming import bring_home
from tutor.classroom.store import AnyStore, Learner, StoredRecord, StoreError, StoreNews
from tutor.classroom.terminals import ClassTerminal, Viewer
from tutor.classroom.usage import folder_mb, free_mb
from tutor.classroom.watch import OVER, Allowed, Watch
from tutor.lesson.catalogue import Catalogue, installed_course
from tutor.lesson_server.forkserver import ForkServer

LEARNER_DAYS = 120
TEACHER_HOURS = 16
NAME_MAX = 40  # characters
LEARNERS_MAX = 2000
LINES_KEPT = 50
REMOTE_SECONDS = 20.0  # after which a learner's own computer counts as gone
TEACHER = 0  # whose terminal has this number
TEXT_MAX = 300  # characters of a question and of each answer
OPTIONS_MAX = 8
AGAIN_SECONDS = 1.0  # between attempts to store
UNSEEN_SECONDS = 900.0  # for which a terminal without browsers is kept
HANDOVER_SECONDS = 4.0  # for which a hub waits until another one has stored what a learner did there
LOOK_SECONDS = 5.0  # between looks at what is used
SOONEST_SECONDS = 0.1  # between two such looks
NEWS_SECONDS = 1.0  # between looks at what other programs have changed in the store
SIGNED_OUT = "You have been signed out of the class. Ask the teacher if you did not expect this."
FIRST_MB = 90  # what a learner is expected to use until it is known
LATEST_MS = 1 << 48  # later times of records are not believed
MOST_RECORD = 8 << 20  # characters of a record's JSON; a larger one is not kept


class ClassRefusal(Exception):  # noqa: N818
    """Something is not possible, and why: a sentence for the person who asked for it."""


@dataclass(frozen=True, slots=True)
class Token:
    """Whom a browser belongs to: a learner, or the teacher (`learner` is None). A `link` makes a teacher's token."""

    kind: str
    learner: int | None
    ends: float  # seconds since 1970


@dataclass
class UnsavedRecords:
    """Records that wait for the store, and whom to tell when they are on disk."""

    records: list[StoredRecord] = field(default_factory=list)
    terminals: dict[tuple[int, str], ClassTerminal | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClassQuestion:
    """A question of the teacher's to the whole class. `shown`: all see how it was answered."""

    id: int
    text: str
    options: list[str]
    shown: bool = False


class Hub:
    """One class."""

    def __init__(self, folder: ClassFolder, settings: ClassSettings, store: AnyStore) -> None:
        self.folder, self.settings, self.store = folder, settings, store
        self.id = secrets.token_hex(8)
        self.elsewhere: frozenset[int] = frozenset()  # learners whose browsers are connected to another hub
        self.learners: dict[int, Learner] = {}
        self.terminals: dict[int, ClassTerminal] = {}
        self.board = ClassBoard(self._course(), settings.stuck_minutes)
        self.join_code = ""
        self.is_open = True  # whether the join code admits new learners
        self.guesses = GuessLimit(time.monotonic)
        self.heard_of: dict[int, float] = {}  # by learner on a computer of their own: when that was heard of last
        self.saved: dict[int, float] = {}  # by learner: when a record was stored last, in seconds since 1970
        self.trouble = ""  # why records cannot be stored
        self.changed = asyncio.Event()  # something for the board
        self.version = 0
        self.stops: dict[str, int] = {}  # by lesson: the step (index) that the class does not leave now
        self.question: ClassQuestion | None = None  # the teacher's, which is asked now
        self.lines: list[tuple[int, str, list[int] | None]] = []  # of the teacher's: number, text, for whom
        self.following = False  # whether learners see the teacher's terminal
        self._salt = ""
        self._tokens: dict[str, Token] = {}
        self._numbers: dict[tuple[int, str], int] = {}  # the last record taken, stored or pending
        self._stored: dict[tuple[int, str], int] = {}
        self._pending = UnsavedRecords()
        self._wake = asyncio.Event()
        self._starting: dict[int, asyncio.Future[ClassTerminal]] = {}
        self._programs = ForkServer("tutor.learner")
        self._runtime = Path(tempfile.mkdtemp(prefix="redis-tutor-class-"))
        self._tasks: list[asyncio.Task[None]] = []
        self._used_mb: dict[int, float] = {}
        self._cap_mb = settings.total_mb or free_mb() * 3 // 4
        self.groups: ControlGroups | None = None
        allowed = Allowed(settings.learner_mb, settings.processes, settings.busy_seconds, self._cap_mb)
        self._watch = Watch(allowed)
        self._endings: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0

    def _course(self) -> Catalogue:
        course = installed_course()
        wanted = self.settings.lessons
        known = {lesson.id: lesson for lesson in course.lessons}
        for name in wanted:
            if name not in known:
                raise ClassRefusal(f"class.yaml: {course_problem(course, name)}")
        chosen = [known[name] for name in wanted] if wanted else course.lessons
        return Catalogue(course.folder, chosen, course.chapters, course.glossary)

    async def _of(self, future: Any) -> Any:
        return await asyncio.wrap_future(future)

    async def start(self) -> None:
        """Read the store and begin. Raises StoreError."""
        self._salt = await self._setting("salt", lambda: secrets.token_hex(16))
        self.join_code = await self._setting("join_code", lambda: new_code(JOIN_LENGTH))
        self.is_open = bool(await self._setting("open", lambda: True))
        self.stops = await self._setting("stops", dict)
        self.lines = [tuple(each) for each in await self._setting("lines", list)]
        if asked := await self._setting("question", dict):
            self.question = ClassQuestion(**asked)
        self.learners = {each.id: each for each in await self._of(self.store.learners())}
        for digest, (kind, learner, ends) in (await self._of(self.store.tokens())).items():
            self._tokens[digest] = Token(kind, learner, ends)
        self._numbers = await self._of(self.store.last_numbers())
        self._stored = dict(self._numbers)
        for record in await self._of(self.store.records()):
            self._show(record)
            self.saved[record.learner] = record.at / 1000
        for number in self.learners:
            self.board.learners.setdefault(number, LearnerWork())
        self.groups = ControlGroups.make(int(self._cap_mb * OVER))
        await asyncio.to_thread(self._programs.preload)
        work = (self._store_records(), self._look_after(), self._hear_store())
        self._tasks = [asyncio.create_task(each) for each in work]
        if self.store.shared:
            await self._of(self.store.present(self.id, []))
        await self._take_left_behind()

    async def _setting(self, name: str, first: Callable[[], Any]) -> Any:
        value = await self._of(self.store.setting(name))
        if value is None:  # another hub may be first
            await self._of(self.store.set(name, first(), first=True))
            value = await self._of(self.store.setting(name))
        return value

    async def close(self) -> None:
        """End every terminal, and store what they send at their end."""
        await asyncio.gather(*(each.stop() for each in self.terminals.values()))
        with contextlib.suppress(StoreError):  # the outboxes keep it for the next start
            await self._flush()
            await self._of(self.store.end_hub(self.id))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await asyncio.to_thread(self._programs.close)
        if self.groups is not None:
            self.groups.close()
        shutil.rmtree(self._runtime, ignore_errors=True)
        self.store.close()

    def news(self) -> None:
        """Tell the boards that something has changed."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    # -- who

    def who(self, token: str) -> Token | None:
        """Return whom a token belongs to, or None."""
        found = self._tokens.get(token_digest(token)) if token else None
        if found is None or found.ends < time.time():
            return None
        return found if found.learner is None or found.learner in self.learners else None

    async def _admit(self, kind: str, learner: int | None, seconds: float) -> str:
        token = new_token()
        ends = time.time() + seconds
        await self._of(self.store.add_token(token_digest(token), kind, learner, ends))
        self._tokens[token_digest(token)] = Token(kind, learner, ends)
        return token

    async def link_token(self) -> str:
        """Return a new token for the teacher's link. Earlier links no longer open the board."""
        await self._of(self.store.revoke_all(["link"]))
        self._tokens = {key: each for key, each in self._tokens.items() if each.kind != "link"}
        return await self._admit("link", None, TEACHER_HOURS * 3600)

    async def enter(self, link: str) -> str:
        """Return a token for a browser that has opened the teacher's link. Raises ClassRefusal."""
        found = self.who(link)
        if found is None or found.kind != "link":
            raise ClassRefusal(
                "This link is no longer valid. `redis-tutor class link` prints a new one, and so does every start."
            )
        return await self._admit("teacher", None, TEACHER_HOURS * 3600)

    async def sign_out_teachers(self, but: str = "") -> int:
        """End the teacher's link and every board but that of one token; returns how many boards."""
        kept = token_digest(but)
        await self._of(self.store.revoke_all(["link", "teacher"], kept))
        ended = [key for key, each in self._tokens.items() if each.learner is None and key != kept]
        count = sum(self._tokens[key].kind == "teacher" for key in ended)
        self._keep_tokens({key: each for key, each in self._tokens.items() if key not in ended})
        return count

    def _keep_tokens(self, tokens: dict[str, Token]) -> None:
        """Have only these tokens be valid, and close what browsers with others show."""
        self._tokens = tokens
        for terminal in self.terminals.values():
            for viewer in list(terminal.viewers):
                if viewer.token and viewer.token not in tokens:
                    viewer.tell({"signed_out": SIGNED_OUT})
                    viewer.close()
        self.news()

    def _checked(self, address: str) -> None:
        """Raise ClassRefusal where too many wrong codes came from an address."""
        if seconds := self.guesses.wait_s(address):
            raise ClassRefusal(f"Too many wrong codes were entered. Try again in {int(seconds) + 1} seconds.")

    def check_join(self, code: str, address: str) -> None:
        """Check a join code. Raises ClassRefusal."""
        self._checked(address)
        if not same(read_code(code), self.join_code):
            self.guesses.failed(address)
            raise ClassRefusal("This is not the code of the class.")
        if not self.is_open:
            raise ClassRefusal("The class takes no new learners at the moment. Ask the teacher to open it.")

    async def join(self, code: str, name: str, address: str) -> tuple[Learner, str, str]:
        """Admit a new learner; returns the learner, a token and the resume code. Raises ClassRefusal, StoreError."""
        self.check_join(code, address)
        name = read_name(name)
        if any(each.name.casefold() == name.casefold() for each in self.learners.values()):
            raise ClassRefusal(
                f"Somebody in this class has the name {name}. If that is you, enter your personal code; "
                "if not, choose another name."
            )
        if len(self.learners) >= LEARNERS_MAX:
            raise ClassRefusal("The class is full.")
        return await self._add(name)

    async def _add(self, name: str, roster: bool = False) -> tuple[Learner, str, str]:
        resume = new_code(RESUME_LENGTH)
        digest = await asyncio.to_thread(code_digest, resume, self._salt)
        learner = await self._of(self.store.add_learner(name, digest, roster))
        self.learners[learner.id] = learner
        self.board.learners.setdefault(learner.id, LearnerWork())
        self.news()
        token = "" if roster else await self._admit("learner", learner.id, LEARNER_DAYS * 86_400)
        return learner, token, resume

    async def add_to_roster(self, name: str) -> tuple[Learner, str]:
        """Add a learner who has not joined; returns the learner and the personal code. Raises ClassRefusal."""
        learner, _, code = await self._add(read_name(name), roster=True)
        return learner, code

    async def resume(self, code: str, address: str) -> tuple[Learner, str]:
        """Admit a learner with a personal code; returns the learner and a token. Raises ClassRefusal, StoreError."""
        self._checked(address)
        digest = await asyncio.to_thread(code_digest, read_code(code), self._salt)
        learner = await self._of(self.store.learner_of_code(digest))
        if learner is None:
            self.guesses.failed(address)
            raise ClassRefusal("There is no learner with this code.")
        self.learners[learner.id] = learner
        self.news()
        return learner, await self._admit("learner", learner.id, LEARNER_DAYS * 86_400)

    async def log_out(self, token: str) -> None:
        """End a token."""
        digest = token_digest(token)
        await self._of(self.store.revoke(digest))
        self._keep_tokens({key: each for key, each in self._tokens.items() if key != digest})

    async def new_resume_code(self, learner: int) -> str:
        """Undo who uses a learner's name: their browsers are signed out; returns a new code for the right person."""
        code = new_code(RESUME_LENGTH)
        digest = await asyncio.to_thread(code_digest, code, self._salt)
        await self._of(self.store.change_code(learner, digest))
        self._keep_tokens({key: each for key, each in self._tokens.items() if each.learner != learner})
        return code

    async def rename(self, learner: int, name: str) -> None:
        """Give a learner another name. Raises ClassRefusal."""
        name = read_name(name)
        await self._of(self.store.rename(learner, name))
        kept = self.learners[learner]
        self.learners[learner] = Learner(kept.id, name, kept.roster, kept.joined)
        self.news()

    async def forget(self, learner: int) -> None:
        """Remove a learner and everything that was recorded about them."""
        self._keep_tokens({key: each for key, each in self._tokens.items() if each.learner != learner})
        if (terminal := self.terminals.get(learner)) is not None:
            await terminal.stop()
            await self._flush()
        self.learners.pop(learner, None)
        self.board.forget(learner)
        await self._of(self.store.forget(learner))
        await asyncio.to_thread(self.folder.remove_home, learner)
        self.news()

    async def set_open(self, is_open: bool) -> None:
        """Have the join code admit new learners, or not."""
        await self._of(self.store.set("open", is_open))
        self.is_open = is_open
        self.news()

    async def change_join_code(self) -> None:
        """Make another join code; the earlier one admits nobody."""
        code = new_code(JOIN_LENGTH)
        await self._of(self.store.set("join_code", code))
        self.join_code = code
        self.news()

    # -- terminals

    async def terminal(self, learner: int, plain: bool = False) -> ClassTerminal:
        """Return the terminal of a learner, which is started if there is none. Raises ClassRefusal.

        A plain one is line by line. A learner has one at a time: the other kind is closed, and the lesson resumes.
        """
        terminal = self.terminals.get(learner)
        if terminal is not None and terminal.is_plain == plain:
            return terminal
        if terminal is not None:
            await self._stop(terminal, "Your tutor is open on another page of yours.")
        if (starting := self._starting.get(learner)) is None:
            starting = self._starting[learner] = asyncio.ensure_future(self._start(learner, plain))
            starting.add_done_callback(lambda _: self._starting.pop(learner, None))
        return await asyncio.shield(starting)

    @property
    def limits(self) -> str:
        """What limits the learners' processes, as the hub says when it starts."""
        kinds = self.groups.controllers if self.groups is not None else []
        words = {"memory": "memory", "pids": "number of processes"}
        groups = f"control groups ({', '.join(words[each] for each in kinds)})" if kinds else "no control groups here"
        total = f", all together {self._cap_mb:,} MB" if self._cap_mb else ""
        return f"{groups}; each process {self.settings.memory_mb} MB{total}"

    @property
    def used_mb(self) -> float:
        """The memory that the learners use, with what those are expected to use who have just come."""
        return sum(self._used_mb.get(number, FIRST_MB) for number in (*self.terminals, *self._starting))

    async def _start(self, learner: int, plain: bool) -> ClassTerminal:
        if self._cap_mb and self.used_mb > self._cap_mb:
            raise ClassRefusal(
                f"The computer of the class is full: {len(self.terminals)} learners use the {self._cap_mb:,} MB that "
                "they may use together. Try again when somebody has left."
            )
        home, runtime = self.folder.home(learner), self._runtime / str(learner)
        if self.store.shared and learner != TEACHER:
            await self._take_over(learner, home)
        if home.exists() and await asyncio.to_thread(folder_mb, home) > self.settings.disk_mb:
            raise ClassRefusal(f"Your folder holds more than {self.settings.disk_mb} MB. Ask the teacher.")
        for path in (home, runtime):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = {
            "home": str(home),
            "runtime": str(runtime),
            "memory_mb": self.settings.memory_mb,
            "disk_mb": self.settings.disk_mb,
            "python": self.settings.python,
            "lessons": self.settings.lessons,
            "plain": plain,
        }
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TZ") if name in os.environ}
        environment |= {
            "HOME": str(home),
            "TMPDIR": str(runtime),
            "REDIS_TUTOR_HOME": str(home),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
            "TEXTUAL_ANIMATIONS": "none",
        }
        terminal = ClassTerminal(
            lambda its, source, records: self._take(learner, its, source, records),
            lambda its: self._terminal_ended(learner, its),
        )
        terminal.is_plain = plain
        if plain:
            environment |= {"TERM": "dumb", "NO_COLOR": "1"}
        try:
            if self.groups is not None:
                name = f"{learner}-{terminal.id}"
                terminal.group = self.groups.add(name, self.settings.learner_mb, self.settings.processes)
            options["groups"] = terminal.group.files if terminal.group is not None else []
            await terminal.start(self._programs, [json.dumps(options)], environment)
        except OSError as error:
            raise ClassRefusal(f"The tutor cannot be started: {error}") from error
        self.terminals[learner] = terminal
        terminal.tell({"stops": self.stops})
        self.news()
        return terminal

    async def _take_over(self, learner: int, home: Path) -> None:
        """Have the learner's folder be as the learner left it, at whichever hub that was."""
        with contextlib.suppress(StoreError):  # the store is away: what is here has to do
            if await self._of(self.store.claim(learner, self.id)):
                until = time.monotonic() + HANDOVER_SECONDS  # the other hub stores what the learner did there
                while not await self._of(self.store.has_left(learner)) and time.monotonic() < until:
                    await asyncio.sleep(0.05)
            self._numbers |= {
                key: max(n, self._numbers.get(key, 0))
                for key, n in (await self._of(self.store.last_numbers(learner))).items()
            }
            self._stored = {**self._numbers, **self._stored}
            records = await self._of(self.store.records(learner))
            await asyncio.to_thread(bring_home, home, records, self.board.course)

    def _terminal_ended(self, learner: int, terminal: ClassTerminal) -> None:
        if self.terminals.get(learner) is terminal:
            del self.terminals[learner]
            self._used_mb.pop(learner, None)
        if terminal.group is not None and terminal.group.was_out_of_memory():
            terminal.tell_viewers(
                {"stopped": f"Your tutor used more than {self.settings.learner_mb} MB and was ended."}
            )
        terminal.tell_viewers({"ended": True})
        task = asyncio.create_task(self._clear(learner, terminal))  # it may have left its terminal and not ended
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        self.news()

    async def _clear(self, learner: int, terminal: ClassTerminal) -> None:
        await terminal.clear()
        if self.store.shared and learner in self.learners:
            with contextlib.suppress(StoreError):
                await self._flush()
                await self._of(self.store.leave(learner))

    def tell_all(self, message: dict[str, Any]) -> None:
        """Send a message to all pages that show a terminal."""
        for terminal in self.terminals.values():
            terminal.tell_viewers(message)

    def is_connected(self, learner: int) -> bool:
        """Tell whether a browser of a learner is connected."""
        terminal = self.terminals.get(learner)
        if terminal is not None and any(viewer.types for viewer in terminal.viewers):
            return True
        if learner in self.elsewhere:
            return True
        return time.monotonic() - self.heard_of.get(learner, -REMOTE_SECONDS) < REMOTE_SECONDS

    async def say(self, text: str, learners: list[int] | None = None) -> None:
        """Show a line to all learners, or to some. Raises StoreError."""
        number = max(time.time_ns() // 1_000_000, self.lines[-1][0] + 1 if self.lines else 0)
        lines = [*self.lines[-LINES_KEPT:], (number, text, learners)]
        await self._of(self.store.set("lines", lines))
        self._show_lines(lines)

    def _show_lines(self, lines: list[tuple[int, str, list[int] | None]]) -> None:
        """Show the lines that were not shown yet."""
        last = self.lines[-1][0] if self.lines else 0
        self.lines = lines
        for number, text, learners in lines:
            if number > last:
                for learner, terminal in self.terminals.items():
                    if learners is None or learner in learners:
                        terminal.tell({"say": text})

    # -- what the teacher does with all

    async def stop_at(self, lesson: str, step: int | None) -> None:
        """Have nobody go beyond a step of a lesson; None: let them go on."""
        stops = {key: at for key, at in self.stops.items() if key != lesson}
        if step is not None:
            stops[lesson] = step
        await self._of(self.store.set("stops", stops))
        self.stops = stops
        for terminal in self.terminals.values():
            terminal.tell({"stops": stops})
        self.news()

    async def ask(self, text: str, options: list[str]) -> None:
        """Ask all learners a question with options. Raises ClassRefusal."""
        options = list(dict.fromkeys(" ".join(each.split())[:TEXT_MAX] for each in options if each.strip()))
        text = " ".join(text.split())[:TEXT_MAX]
        if not text or not 2 <= len(options) <= OPTIONS_MAX:
            raise ClassRefusal(f"A question needs a text and 2 to {OPTIONS_MAX} answers.")
        await self._set_question(ClassQuestion(time.time_ns() // 1_000_000, text, options))

    async def show_answers(self) -> None:
        """Show all learners how the question was answered; it takes no more answers."""
        if self.question is not None:
            await self._set_question(replace(self.question, shown=True))

    async def end_question(self) -> None:
        """Take the question away."""
        await self._set_question(None)

    async def _set_question(self, question: "ClassQuestion | None") -> None:
        await self._of(self.store.set("question", asdict(question) if question is not None else {}))
        self.question = question
        for number, terminal in self.terminals.items():
            terminal.tell_viewers({"question": self.question_for(number)})
        self.news()

    def question_for(self, learner: int) -> dict[str, Any] | None:
        """Return the question as a learner sees it: with what they answered, and all answers once they are shown."""
        if self.question is None:
            return None
        work = self.board.learners.get(learner)
        seen = {"id": self.question.id, "text": self.question.text, "options": self.question.options}
        seen["answer"] = work.answers.get(self.question.id, "") if work is not None else ""
        return seen | ({"counts": self.counts()} if self.question.shown else {})

    def counts(self) -> list[int]:
        """Return how often each option was chosen."""
        if self.question is None:
            return []
        said = [work.answers.get(self.question.id) for work in self.board.learners.values()]
        return [said.count(option) for option in self.question.options]

    async def answer(self, learner: int, question: int, option: int) -> None:
        """Take a learner's answer to the question. Raises StoreError."""
        asked = self.question
        if asked is None or asked.id != question or asked.shown or not 0 <= option < len(asked.options):
            return
        await self._note(learner, question=question, answer=asked.options[option])
        if (terminal := self.terminals.get(learner)) is not None:
            terminal.tell_viewers({"question": self.question_for(learner)})

    async def _note(self, learner: int, **body: Any) -> None:
        """Store a record of a learner that the hub itself makes. Raises StoreError."""
        n = self._numbers.get((learner, self.id), 0) + 1
        await self.take(learner, self.id, [{"n": n, "at": time.time_ns() // 1_000_000, **body}])

    async def follow(self, is_on: bool) -> None:
        """Have all learners see the teacher's terminal, or not. Raises ClassRefusal."""
        if is_on:
            await self.terminal(TEACHER)
        self.following = is_on
        for number, terminal in self.terminals.items():
            if number != TEACHER:
                terminal.tell_viewers({"follow": is_on})
        if not is_on and (own := self.terminals.get(TEACHER)) is not None:
            for viewer in list(own.viewers):
                if not viewer.types:
                    viewer.close()
        self.news()

    async def ask_for_help(self, learner: int) -> None:
        """Take a learner's call for help, from a page that has no key for it. Raises StoreError."""
        await self._note(learner, help=True)

    async def help_seen(self, learner: int) -> None:
        """Take a learner's call for help as answered. Raises StoreError."""
        await self._note(learner, help=False)
        terminal = self.terminals.get(learner)
        if terminal is not None:
            terminal.tell({"help": False})
        self.news()

    def look(self, learner: int, viewer: Viewer) -> ClassTerminal:
        """Have the teacher look at a learner's screen; the learner is told. Raises ClassRefusal."""
        terminal = self.terminals.get(learner)
        if terminal is None and learner in self.elsewhere:
            raise ClassRefusal("This tutor is open at another hub of the class.")
        if terminal is None:
            raise ClassRefusal("This tutor is not open.")
        terminal.attach(viewer)
        self.tell_looked_at(terminal)
        return terminal

    def tell_looked_at(self, terminal: ClassTerminal) -> None:
        """Tell the pages of a terminal whether the teacher looks at it."""
        terminal.tell_viewers({"looked_at": any(not viewer.types for viewer in terminal.viewers)})

    # -- records

    def _take(self, learner: int, terminal: ClassTerminal | None, source: str, records: list[dict[str, Any]]) -> None:
        """Take records of an outbox. One that does not follow the last is left out: it will be sent again."""
        if learner not in self.learners:
            return
        key = (learner, source)
        last = self._numbers.get(key, 0)
        for record in records:
            body = dict(record)
            n, at = int(body.pop("n")), int(body.pop("at"))
            at = at if 0 <= at < LATEST_MS else 0
            if n == last + 1:
                last = n
                if len(json.dumps(body)) > MOST_RECORD:
                    body = {"too_large": True}
                self._pending.records.append(StoredRecord(learner, source, n, at, body))
        self._numbers[key] = last
        self._pending.terminals[key] = terminal
        self._wake.set()

    async def take(self, learner: int, source: str, records: list[dict[str, Any]]) -> int:
        """Take records that came another way, and store them; returns the number up to which all are on disk.

        Raises StoreError.
        """
        self._take(learner, None, source, records)
        await self._flush()
        return self._stored.get((learner, source), 0)

    async def take_from_afar(self, learner: int, source: str, records: list[dict[str, Any]]) -> int:
        """Take records of a learner's own computer, which may have sent earlier ones to another hub. See `take`."""
        first = int(records[0]["n"]) if records and isinstance(records[0], dict) else 0
        if self.store.shared and first > self._numbers.get((learner, source), 0) + 1:
            self._numbers |= await self._of(self.store.last_numbers(learner))
            self._stored = {**self._numbers, **self._stored}
        return await self.take(learner, source, records)

    async def _store_records(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
            except StoreError as error:
                if not self.trouble:
                    print(f"redis-tutor: {error}; trying again", file=sys.stderr, flush=True)
                self.trouble = str(error)
                self.tell_all({"trouble": True})
                self.news()
                await asyncio.sleep(AGAIN_SECONDS)
                self._wake.set()

    async def _flush(self) -> None:
        """Store what is pending, then confirm it and show it on the board. Raises StoreError."""
        pending, self._pending = self._pending, UnsavedRecords()
        try:
            if pending.records:
                await self._of(self.store.append(pending.records))
        except StoreError:
            pending.records += self._pending.records
            pending.terminals |= self._pending.terminals
            self._pending = pending
            raise
        if self.trouble:
            self.trouble = ""
            self.tell_all({"trouble": False})
        now = time.time()
        for record in pending.records:
            self._stored[record.learner, record.source] = record.n
            if record.learner in self.learners:
                self._show(record)
        for (learner, source), terminal in pending.terminals.items():
            self.saved[learner] = now
            if terminal is not None:
                terminal.tell({"outbox": source, "saved": self._stored.get((learner, source), 0)})
                terminal.tell_viewers({"saved": now})
        if pending.records:
            self.news()

    def _show(self, record: StoredRecord) -> None:
        """Show a record on the board; one that makes no sense is left out: it may come from any program."""
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
            self.board.take(record.learner, record.at, record.body)

    # -- what other programs do in the store

    async def _hear_store(self) -> None:
        while True:
            await asyncio.sleep(NEWS_SECONDS)
            await self._hear()

    async def hear_now(self) -> None:
        """Look at what other programs have changed; not more often than a flood of wrong tokens may have it."""
        if time.monotonic() - self._heard_at > SOONEST_SECONDS:
            await self._hear()

    async def _hear(self) -> None:
        self._heard_at = time.monotonic()
        with contextlib.suppress(StoreError):  # storing says so
            if (news := await self._of(self.store.news())) is not None:
                self._apply(news)

    def _apply(self, news: StoreNews) -> None:
        """Take over what another program has changed in the store, such as `redis-tutor class link`."""
        self._keep_tokens({key: Token(*each) for key, each in news.tokens.items()})
        learners = {each.id: each for each in news.learners}
        for gone in [number for number in self.learners if number not in learners]:
            self._leave_out(gone)
        self.learners = learners
        for number in learners:
            self.board.learners.setdefault(number, LearnerWork())
        for record in news.records:
            key = (record.learner, record.source)
            if record.n > self._stored.get(key, 0):
                self._stored[key] = record.n
                self._numbers[key] = max(record.n, self._numbers.get(key, 0))
                self._show(record)
        settings = news.settings
        self.join_code, self.is_open = settings["join_code"], bool(settings["open"])
        self._show_lines([tuple(each) for each in settings["lines"]])
        if settings["stops"] != self.stops:
            self.stops = settings["stops"]
            for terminal in self.terminals.values():
                terminal.tell({"stops": self.stops})
        asked = ClassQuestion(**settings["question"]) if settings["question"] else None
        self.question = asked
        for number, terminal in self.terminals.items():
            terminal.tell_viewers({"question": self.question_for(number)})
        for number, holder in news.holders.items():
            held = self.terminals.get(number)
            if holder != self.id and held is not None and number not in self._starting:
                self._end_soon(held, "Your tutor is open in another browser, at another hub of the class.")
        self.news()

    def _leave_out(self, learner: int) -> None:
        """Take note that another program has removed a learner."""
        self.learners.pop(learner, None)
        self.board.forget(learner)
        if (terminal := self.terminals.get(learner)) is not None:
            self._end_soon(terminal, SIGNED_OUT)

    def _end_soon(self, terminal: ClassTerminal, why: str) -> None:
        task = asyncio.create_task(self._stop(terminal, why))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _take_left_behind(self) -> None:
        """Take from the outboxes what an earlier hub could not store, of learners who may not come back."""
        for learner in list(self.learners):
            folder = self.folder.home(learner) / "class"
            with left_in(folder) as box:
                if box is not None and (records := box.after(box.saved)):
                    with contextlib.suppress(StoreError):
                        box.confirm(await self.take(learner, box.id, records))

    async def _say_present(self) -> None:
        """Say to the other hubs whose browsers are connected here, and hear of theirs."""
        here = [number for number in self.learners if self.is_connected(number) and number not in self.elsewhere]
        with contextlib.suppress(StoreError):
            present = await self._of(self.store.present(self.id, here))
            if (elsewhere := present - frozenset(here)) != self.elsewhere:
                self.elsewhere = elsewhere
                self.news()

    # -- looking after

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            idle_s = self.settings.idle_minutes * 60
            for terminal in list(self.terminals.values()):
                is_shown = any(viewer.types for viewer in terminal.viewers)
                if time.monotonic() - terminal.used > (idle_s if is_shown else min(idle_s, UNSEEN_SECONDS)):
                    await self._stop(terminal, "The tutor was closed, since nothing was typed for a long time.")
            with contextlib.suppress(OSError):
                await self._measure()
            if self.store.shared:
                await self._say_present()

    async def _measure(self) -> None:
        """Measure what each learner uses, and stop who uses too much."""
        roots = {number: each.process.pid for number, each in self.terminals.items() if each.process is not None}
        away = [number for number in roots if not self.is_connected(number)]
        seen = await asyncio.to_thread(self._watch.look, roots, away)
        self._used_mb = {number: mb for number, mb in seen.used_mb.items() if mb}
        for number, why in seen.stop.items():
            terminal = self.terminals.get(number)
            if terminal is not None and terminal.process is not None and terminal.process.pid == roots[number]:
                await self._stop(terminal, f"Your tutor was closed: {why}.")

    @staticmethod
    async def _stop(terminal: ClassTerminal, why: str) -> None:
        terminal.tell_viewers({"stopped": why})
        await terminal.stop()


def course_problem(course: Catalogue, name: str) -> str:
    """Return why a lesson is not in a course."""
    try:
        course.find(name)
    except LookupError as error:
        return str(error.args[0])
    return f"{name!r} is not the ID of a lesson"


def read_name(text: str) -> str:
    """Return a learner's name without what does not belong into one. Raises ClassRefusal."""
    name = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if not name:
        raise ClassRefusal("Enter a name.")
    if len(name) > NAME_MAX:
        raise ClassRefusal(f"The name is too long; at most {NAME_MAX} characters.")
    return name
