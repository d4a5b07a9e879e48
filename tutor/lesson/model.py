"""What a lesson is, as plain data.

A lesson is a row of steps; a step is a row of blocks: prose, examples to run, predictions, tasks. The structures with
a schema (front matter, tasks, conditions) are msgspec's, so that a file that does not fit is told which field and
what was expected; see `reading` for how that finds its line. `lessons/README.md` is the description for teachers.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tutor import answers

Scalar = str | int | float


class Problem(Exception):  # noqa: N818
    """Something wrong in a file of the course. `str()` is a compiler's line: `file:line: what is wrong`."""

    def __init__(self, path: str, line: int, text: str) -> None:
        super().__init__(path, line, text)
        self.path, self.line, self.text = path, line, text

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class _CoursePart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


SERVER_PORT, SENTINEL_PORT = 6379, 26379


class ServerSpec(_CoursePart):
    """A server that a lesson starts. `config` are directives of redis.conf; of a Sentinel, of sentinel.conf."""

    config: dict[str, Scalar] = {}
    address: str = "127.0.0.1"
    started: bool = True
    installed: bool = True  # whether the machine has Redis; otherwise its shell can install the package
    sentinel: bool = False
    outside: bool = False  # whether other programs can reach it, on a port of 127.0.0.1

    @property
    def port(self) -> int:
        """Where it listens."""
        return SENTINEL_PORT if self.sentinel else SERVER_PORT


TerminalKind = Literal["prompt", "shell", "python"]  # redis-cli's prompt, and two kinds of programs


class TerminalSpec(_CoursePart):
    """A terminal of a lesson, and its server ("" is the first); or a program on the machine of that server."""

    server: str = ""
    shell: bool = False
    python: bool = False

    @property
    def kind(self) -> TerminalKind:
        """What it is."""
        return "shell" if self.shell else "python" if self.python else "prompt"


class FrontMatter(_CoursePart):
    """The head of a lesson file."""

    id: str
    title: str
    chapter: int
    order: int
    minutes: int
    wrong_idea: str  # the misunderstanding that the lesson removes
    summary: str = ""
    challenge: bool = False  # the chapter's: who solves it may know the chapter already
    needs: list[str] = []
    commands: list[str] = []  # what it teaches: the reference links here
    servers: dict[str, ServerSpec] = {}
    terminals: list[str] | dict[str, TerminalSpec] = []


class Range(_CoursePart):
    """Bounds of a number, inclusive."""

    min: float | None = None
    max: float | None = None


class CheckCondition(_CoursePart, rename={"is_": "is", "not_": "not"}):
    """One condition of a check: on a key, a reading command's reply, a file, what was typed, or a combination."""

    key: str | None = None
    file: str | None = None
    up: str | None = None
    command: str | None = None
    typed: str | list[str] | None = None
    reads: str | None = None
    writes: str | None = None
    replied: str | None = None
    any: "list[CheckCondition] | None" = None
    all: "list[CheckCondition] | None" = None
    not_: "CheckCondition | None" = None
    # of a key, a command, a file: of which server ("" is the first)
    server: str = ""
    # of a key
    db: int = 0
    missing: bool = False
    type: str | None = None
    encoding: str | None = None
    ttl: str | Range | None = None
    # of a key's value, or a command's reply
    value: Any = None
    contains: Any = None
    matches: str | None = None
    length: int | Range | None = None
    is_: Any = None
    at_least: float | None = None
    at_most: float | None = None
    # of what was typed
    without: str | list[str] | None = None
    together: int | Range | None = None  # how many commands a program sent at once, this one included
    terminal: str | None = None
    # what to tell the learner while the condition does not hold
    say: str | None = None

    @property
    def only_replied(self) -> bool:
        """Whether it asks for a reply, of whatever command."""
        return self.replied is not None and self.typed is None and self.reads is None and self.writes is None


class WrongAttempt(_CoursePart):
    """A wrong attempt that learners make, and the hint meant for it.

    The hint is given when `when` holds; without it, when the last command typed is the attempt's last.
    """

    try_: str | list[str] = msgspec.field(name="try")
    hint: str
    when: CheckCondition | None = None

    @property
    def lines(self) -> list[str]:
        """The commands of the attempt."""
        return [self.try_] if isinstance(self.try_, str) else self.try_


class TaskSpec(_CoursePart):
    """What stands in a task's YAML."""

    check: CheckCondition | list[CheckCondition]
    solution: str | list[str]
    hints: list[str]
    id: str = ""
    title: str = ""
    setup: list[str] = []
    wrong: list[WrongAttempt] = []
    because: str = ""  # why it matters what was typed, where the state could be checked instead


@dataclass(frozen=True, slots=True)
class TranscriptCommand:
    """A command of a transcript with the reply printed below it; `command` is "" for what arrives unasked."""

    command: str
    reply: str  # as the learner reads it
    prompt: str = ""
    line: int = 0
    marked: str = ""  # the reply with its markers, if it has any

    @property
    def expected(self) -> str:
        """The reply as `transcript.matches` takes it."""
        return self.marked or self.reply


@dataclass(frozen=True, slots=True)
class Example:
    """A transcript."""

    id: str
    terminal: str
    exchanges: tuple[TranscriptCommand, ...]
    line: int
    unordered: bool = False  # the elements of replies come in any order
    waits: bool = False  # the last command blocks: its reply arrives later
    setup: bool = False  # typed for the learner when the step is entered
    redis_7: bool = False  # its replies are those of Redis 7; later versions print something else

    @property
    def to_type(self) -> list[tuple[str, str, str | None]]:
        """Its commands: terminal, command, and what for."""
        return [(self.terminal, each.command, self.id) for each in self.exchanges if each.command]

    @property
    def arrives(self) -> bool:
        """Whether it is only what arrives in a terminal, with nothing to type."""
        return all(not each.command for each in self.exchanges)


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown."""

    markdown: str
    line: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A question asked before something is run. `options` is empty when the answer is typed."""

    id: str
    question: str
    options: tuple[str, ...]
    answers: tuple[str, ...]  # the right one (an option's text), or all that count as right
    because: str
    examples: tuple[Example, ...]
    line: int

    @property
    def correct(self) -> str:
        """The right answer as it is shown: the other ones are other spellings of it."""
        return self.answers[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the options."""
        return answers.labels(self.options)

    def read(self, said: str) -> str:
        """Return the intended answer as a text: an option's, or a free answer. "" if the input matches nothing."""
        if self.options:
            index = answers.choose(self.options, said)
            return "" if index is None else self.options[index]
        if all(any(map(str.isdigit, answer)) for answer in self.answers) and not any(
            map(str.isdigit, answers.free(said))
        ):
            return ""  # a number is expected, and this is a word or a command
        return said.strip()

    def again(self, said: str) -> str:
        """Return the message for an answer that matches nothing, or several options."""
        if self.options:
            return answers.again(self.options, said)
        if re.fullmatch(r"-?[\d.,]+", answers.free(self.answers[0])):
            return "Enter a number."
        return "The answer contains a digit: type it the way the lesson writes it."

    def right(self, answer: str) -> bool:
        """Return whether an answer is right: an option by text or label, or a free answer in any spelling."""
        said = self.read(answer)
        if self.options:
            return said in self.answers
        return answers.free(said) in {answers.free(each) for each in self.answers}


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do."""

    id: str
    goal: str
    conditions: tuple[CheckCondition, ...]
    solution: tuple[str, ...]
    hints: tuple[str, ...]
    setup: tuple[str, ...]
    wrong: tuple[WrongAttempt, ...]
    line: int
    spec_line: int
    lines: dict[tuple[Any, ...], int] = field(default_factory=dict, compare=False)  # of the places in its YAML
    because: str = ""
    title: str = ""

    @property
    def aim(self) -> str:
        """What to do, in a sentence (Markdown): the title, or the first sentence of the goal."""
        return self.title or re.split(r"(?<=[.?]) ", self.goal)[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class Scene:
    """A scenario of the laboratory that shows what the step explains."""

    scenario: str
    title: str
    text: str  # what to look at there
    line: int


Block = Prose | Example | Prediction | Task | Scene


@dataclass(frozen=True, slots=True)
class Step:
    """A step: a heading and what stands below it."""

    number: int  # from 1
    title: str
    blocks: tuple[Block, ...]
    line: int

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The step's tasks."""
        return tuple(block for block in self.blocks if isinstance(block, Task))

    @property
    def examples(self) -> tuple[Example, ...]:
        """The step's transcripts, those of predictions included."""
        found: list[Example] = []
        for block in self.blocks:
            if isinstance(block, Example):
                found.append(block)
            elif isinstance(block, Prediction):
                found += block.examples
        return tuple(found)

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The step's predictions."""
        return tuple(block for block in self.blocks if isinstance(block, Prediction))

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenarios of the step."""
        return tuple(block for block in self.blocks if isinstance(block, Scene))


@dataclass(frozen=True, slots=True)
class TextLink:
    """A link in a lesson's text."""

    target: str
    line: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """A whole lesson."""

    path: str
    front: FrontMatter
    steps: tuple[Step, ...]
    terminals: tuple[str, ...]
    links: tuple[TextLink, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)  # of the front matter's fields
    digest: str = ""  # of its text
    own_file: str = ""  # the absolute path of a file of the learner's, which is not part of the course

    @property
    def id(self) -> str:
        """The lesson's id."""
        return self.front.id

    @property
    def key(self) -> str:
        """The name under which progress is kept: a learner's own file may have the id of a lesson of the course."""
        if not self.own_file:
            return self.id
        return f"{self.id}@{hashlib.sha256(os.fsencode(self.own_file)).hexdigest()[:12]}"

    @property
    def title(self) -> str:
        """The lesson's title."""
        return self.front.title

    @property
    def on_machines(self) -> bool:
        """Whether it needs machines: several servers, a program, or a server that is not simply started."""
        specs = self.terminal_specs.values()
        servers = self.front.servers.values()
        special = any(each.sentinel or each.outside or not each.started for each in servers)
        return len(servers) > 1 or any(spec.kind != "prompt" for spec in specs) or special

    @property
    def terminal_specs(self) -> dict[str, TerminalSpec]:
        """Every terminal with what it is. Without any named, there is one for each server."""
        named = self.front.terminals
        if isinstance(named, dict):
            return dict(named)
        if not named and len(self.front.servers) > 1:
            return {name: TerminalSpec(server=name) for name in self.front.servers}
        servers = self.front.servers
        return {
            name: TerminalSpec(server=name if len(servers) > 1 and name in servers else "")
            for name in named or self.terminals
        }

    def kind_of(self, terminal: str) -> TerminalKind:
        """Return what a terminal is."""
        spec = self.terminal_specs.get(terminal)
        return spec.kind if spec is not None else "prompt"

    def is_prompt(self, terminal: str) -> bool:
        """Whether Redis commands are typed in a terminal, as in redis-cli."""
        return self.kind_of(terminal) == "prompt"

    def is_shell(self, terminal: str) -> bool:
        """Whether a terminal is a machine's shell."""
        return self.kind_of(terminal) == "shell"

    def is_python(self, terminal: str) -> bool:
        """Whether a terminal is a console of Python."""
        return self.kind_of(terminal) == "python"

    @property
    def has_python(self) -> bool:
        """Whether it has a console of Python."""
        return any(spec.python for spec in self.terminal_specs.values())

    def server_of(self, terminal: str) -> str:
        """Return the name of a terminal's server; "" when there is but one, unnamed."""
        spec = self.terminal_specs.get(terminal)
        return (spec.server if spec else "") or next(iter(self.front.servers), "")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The server's command line: redis-server's arguments for the directives of the first server."""
        spec = next(iter(self.front.servers.values()), None)
        words: list[str] = []
        for name, value in (spec.config if spec else {}).items():
            words += [f"--{name}", *str(value).split()] if str(value) else [f"--{name}", ""]
        return tuple(words)


def split_line(line: str, terminals: tuple[str, ...]) -> tuple[str, str]:
    """Split `terminal> command` of a solution into its terminal (the first when none is named) and command."""
    name, mark, rest = line.partition("> ")
    if mark and name in terminals:
        return name, rest
    return terminals[0], line
