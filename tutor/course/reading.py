"""A Markdown file → a lesson. What does not fit is told with file and line, all of it and not just the first.

The Markdown is cut along its block tokens (markdown-it), so that anything Markdown can say stays possible in prose:
a step begins with a `##` heading; a fence marked `redis` is an example; a quote that begins with **Predict.** or
**Your turn.** makes a prediction or a task, with what belongs to it folded into the `<details>` below, and one that
begins with **In the laboratory.** names a scenario.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

from tutor.course import transcript
from tutor.course.model import (
    Block,
    Condition,
    Example,
    FrontMatter,
    Lesson,
    Link,
    Prediction,
    Problem,
    Prose,
    Scene,
    Step,
    Task,
    TaskSpec,
)

T = TypeVar("T")
FLAGS = ("unordered", "waits", "setup")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)", re.M)
_SCENE = re.compile(r"\[([^\]]+)\]\(\.\./scenarios/\d+-([a-z0-9-]+)\.yaml\)[.:]?\s*(.*)", re.S)
_ANSWER = re.compile(r"^\*\*Answer: (.+?)\.?\*\*\s*", re.S)
KINDS = ("key", "command", "file", "up", "typed", "replied", "any", "all", "not_")
ON_VALUES = ("value", "contains", "matches", "length")
ALLOWED = {
    "key": ("server", "db", "missing", "type", "encoding", "ttl", *ON_VALUES),
    "command": ("server", "db", "is_", "at_least", "at_most", "contains", "matches"),
    "file": ("server", "missing", "matches"),
    "up": ("missing",),
    "typed": ("terminal", "replied"),
    "replied": ("terminal",),
    "any": (),
    "all": (),
    "not_": (),
}


class Problems(Exception):  # noqa: N818
    """All that is wrong with a file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_lesson(path: Path, shown: str | None = None) -> Lesson:
    """Read one lesson; `shown` is how messages call the file. Raises Problems."""
    name = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problems([Problem(name, 1, f"not UTF-8: byte {error.start}")]) from error
    except OSError as error:
        raise Problems([Problem(name, 1, f"cannot be read: {error.strerror}")]) from error
    return parse_lesson(text, name)


def parse_lesson(text: str, path: str) -> Lesson:
    """Return the lesson that a file's text describes. Raises Problems."""
    reader = _Reader(text, path)
    lesson = reader.read()
    if reader.problems or lesson is None:
        raise Problems(sorted(reader.problems, key=lambda problem: problem.line))
    return lesson


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.rows = text.splitlines(keepends=True)
        self.text = text
        self.problems: list[Problem] = []
        self.terminals: tuple[str, ...] = ("redis",)
        self.shells: set[str] = set()
        self.servers: set[str] = set()
        self.counts: dict[str, int] = {}

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(Problem(self.path, line, text))

    def source(self, token: Token) -> str:
        assert token.map is not None
        return "".join(self.rows[token.map[0] : token.map[1]])

    def read(self) -> Lesson | None:
        tokens = MarkdownIt("commonmark").enable("table").use(front_matter_plugin).parse(self.text)
        if not tokens or tokens[0].type != "front_matter":
            self.wrong(1, "there is no front matter: the file must begin with a line ---")
            return None
        front, lines = self.front(tokens[0])
        if front is not None and front.terminals:
            self.terminals = tuple(front.terminals)
            if isinstance(front.terminals, dict):
                self.shells = {name for name, spec in front.terminals.items() if spec.shell}
        elif front is not None and len(front.servers) > 1:
            self.terminals = tuple(front.servers)
        self.servers = set(front.servers) if front is not None else set()
        steps = self.steps(_top(tokens[1:]))
        if front is None:
            return None
        self.names(front, lines)
        return Lesson(self.path, front, tuple(steps), self.terminals, tuple(self.links()), lines)

    # -- front matter

    def front(self, token: Token) -> tuple[FrontMatter | None, dict[str, int]]:
        data, places = self.yaml(token.content, 2)
        lines = {str(place[0]): line for place, line in places.items() if len(place) == 1}
        return (self.convert(data, places, FrontMatter, 1) if data is not None else None), lines

    def names(self, front: FrontMatter, lines: dict[str, int]) -> None:
        if not _ID.fullmatch(front.id):
            self.wrong(lines.get("id", 1), f"the id {front.id!r} is not lower-case words joined by -")
        if not 1 <= front.minutes <= 30:
            self.wrong(lines.get("minutes", 1), f"minutes is {front.minutes}: expected 1 to 30")
        addresses = [spec.address for spec in front.servers.values()]
        if len(set(addresses)) < len(addresses):
            self.wrong(lines.get("servers", 1), "two servers have one address: give each its `address`")
        for name, spec in front.servers.items():
            if not _ID.fullmatch(name):
                self.wrong(lines.get("servers", 1), f"the server's name {name!r} is not lower-case words joined by -")
            if not re.fullmatch(r"127\.0\.0\.1|172(\.\d{1,3}){3}", spec.address):
                self.wrong(lines.get("servers", 1), f"the address {spec.address!r} is not of the form 172.16.6.18")
        if isinstance(front.terminals, dict):
            for name, terminal in front.terminals.items():
                if terminal.server and terminal.server not in front.servers:
                    self.wrong(lines.get("terminals", 1), f"terminal {name!r} names no server of this lesson")

    def yaml(self, text: str, line: int) -> tuple[Any, dict[tuple[Any, ...], int]]:
        """Return YAML's data and the line of every place in it."""
        try:
            data = yaml.safe_load(text)
            places: dict[tuple[Any, ...], int] = {}
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is not None:
                _place(node, (), line, places)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self.wrong(line + (mark.line if mark else 0), f"not YAML: {getattr(error, 'problem', None) or error}")
            return None, {}
        if not isinstance(data, dict):
            self.wrong(line, "expected fields, as in `name: value`")
            return None, {}
        return data, places

    def convert(self, data: Any, places: dict[tuple[Any, ...], int], kind: type[T], line: int) -> T | None:
        """Return data as the structure it should be, or None with the problem told."""
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            text, _, where = str(error).partition(" - at `")
            place = _path(where.rstrip("`"))
            unknown = re.search(r"unknown field `([^`]+)`", text)
            at = next((places[place[:n]] for n in range(len(place), -1, -1) if place[:n] in places), line)
            if unknown:
                at = places.get((*place, unknown[1]), at)
            field = ".".join(str(each) for each in place)
            text = text.replace("Object missing required field", "missing field")
            text = text.replace("Object contains unknown field", "unknown field")
            self.wrong(at, f"{field}: {text}" if field else text)
            return None

    # -- steps

    def steps(self, tokens: list[Token]) -> list[Step]:
        steps: list[Step] = []
        blocks: list[Block] = []
        title, line = "", 1
        pending: Token | None = None
        i = 0

        def close() -> None:
            if title and not blocks:
                self.wrong(line, f"the step {title!r} is empty")
            if blocks:
                steps.append(Step(len(steps) + 1, title or "Introduction", tuple(_joined(blocks)), line))

        while i < len(tokens):
            token = tokens[i]
            assert token.map is not None
            at = token.map[0] + 1
            i += 1
            if token.type == "heading_open" and token.tag == "h1":
                continue
            if token.type == "heading_open" and token.tag == "h2":
                close()
                title, line, blocks = self.source(token).lstrip("#").strip(), at, []
                self.counts = {}
                continue
            if token.type == "fence" and token.info.split()[:1] == ["redis"]:
                example = self.example(token)
                if example is not None:
                    blocks.append(example)
                continue
            if token.type == "fence" and token.info.split()[:2] == ["yaml", "task"]:
                self.wrong(at, "a task's YAML without its goal: expected a quote `> **Your turn.** …` above it")
                continue
            if token.type == "blockquote_open":
                said = _unquoted(self.source(token))
                kind = "Predict" if said.startswith("**Predict.**") else "Your turn"
                if said.startswith(("**Predict.**", "**Your turn.**")):
                    inside, i = self.details(tokens, i, at, kind)
                    block = (self.prediction if kind == "Predict" else self.task)(said, at, inside)
                    if block is not None:
                        blocks.append(block)
                    continue
                if said.startswith("**In the laboratory.**"):
                    scene = self.scene(said.removeprefix("**In the laboratory.**").strip(), at)
                    if scene is not None:
                        blocks.append(scene)
                    continue
            if token.type == "html_block" and token.content.strip().startswith(("<details", "</details")):
                self.wrong(at, "<details> without a quote `> **Predict.** …` or `> **Your turn.** …` above it")
                continue
            if token.type == "html_block" and token.content.strip().startswith("<!--"):
                continue
            blocks.append(Prose(self.source(token).strip("\n"), at))
        del pending
        close()
        if not steps:
            self.wrong(1, "there is no step: expected a heading `## …` with text below it")
        return steps

    def details(self, tokens: list[Token], i: int, line: int, kind: str) -> tuple[list[Token], int]:
        """Return what is folded below a quote, and the place behind it."""
        if i >= len(tokens) or not (tokens[i].type == "html_block" and tokens[i].content.startswith("<details")):
            self.wrong(line, f"**{kind}.** wants its <details> … </details> below it")
            return [], i
        inside: list[Token] = []
        for place in range(i + 1, len(tokens)):
            if tokens[place].type == "html_block" and tokens[place].content.startswith("</details>"):
                return inside, place + 1
            inside.append(tokens[place])
        self.wrong(line, "<details> is never closed: expected a line </details> between empty lines")
        return [], len(tokens)

    def number(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"

    def example(self, token: Token) -> Example | None:
        assert token.map is not None
        line = token.map[0] + 1
        terminal, flags = self.terminals[0], set()
        for word in token.info.split()[1:]:
            if word in FLAGS:
                flags.add(word)
            elif word in self.terminals:
                terminal = word
            else:
                known = ", ".join((*FLAGS, *self.terminals))
                self.wrong(line, f"```redis {word}: neither a marker nor a terminal of this lesson ({known})")
        try:
            exchanges = transcript.parse(token.content, self.path, line + 1, terminal in self.shells)
        except Problem as problem:
            self.problems.append(problem)
            return None
        if exchanges[0].command == "" and terminal in self.shells:
            self.wrong(line + 1, "a shell's transcript begins with its prompt, such as `redis01$ ls`")
        elif exchanges[0].command == "" and len(exchanges) > 1:
            self.wrong(line + 1, "a transcript begins with a prompt line such as `127.0.0.1:6379> GET key`")
        return Example(self.number("example"), terminal, exchanges, line, *(flag in flags for flag in FLAGS))

    def scene(self, said: str, line: int) -> Scene | None:
        found = _SCENE.fullmatch(said)
        if found is None:
            self.wrong(line, "expected `**In the laboratory.** [title](../scenarios/NN-name.yaml): what to look at`")
            return None
        return Scene(found[2], " ".join(found[1].split()), " ".join(found[3].split()), line)

    def prediction(self, said: str, line: int, inside: list[Token]) -> Prediction | None:
        rows = said.removeprefix("**Predict.**").strip().splitlines()
        options = tuple(re.sub(r"^\d+[.)]\s+", "", row) for row in rows if re.match(r"\d+[.)]\s", row))
        question = "\n".join(row for row in rows if not re.match(r"\d+[.)]\s", row)).strip()
        examples: list[Example] = []
        prose: list[str] = []
        for token in inside:
            if token.type == "fence" and token.info.split()[:1] == ["redis"]:
                example = self.example(token)
                if example is not None:
                    examples.append(example)
            else:
                prose.append(self.source(token).strip("\n"))
        because = "\n\n".join(prose)
        found = _ANSWER.search(because)
        if found is None:
            if inside:
                self.wrong(line, "the prediction has no answer: expected `**Answer: …**` in its <details>")
            return None
        said_answer = found[1]
        answers: tuple[str, ...] = tuple(re.split(r" or ", said_answer))
        if options:
            if not said_answer.isdigit() or not 1 <= int(said_answer) <= len(options):
                self.wrong(line, f"the answer {said_answer!r} is not the number of an option (1 to {len(options)})")
                return None
            answers = (options[int(said_answer) - 1],)
        return Prediction(
            self.number("predict"), question, options, answers, because[found.end() :].strip(), tuple(examples), line
        )

    def task(self, said: str, line: int, inside: list[Token]) -> Task | None:
        goal = " ".join(said.removeprefix("**Your turn.**").split())
        fences = [each for each in inside if each.type == "fence" and each.info.split()[:2] == ["yaml", "task"]]
        if len(fences) != 1:
            if inside:
                self.wrong(line, f"a task wants one fence marked `yaml task` in its <details>, not {len(fences)}")
            return None
        assert fences[0].map is not None
        at = fences[0].map[0] + 2
        data, places = self.yaml(fences[0].content, at)
        if data is None:
            return None
        spec = self.convert(data, places, TaskSpec, at)
        if spec is None:
            return None
        conditions = tuple(spec.check) if isinstance(spec.check, list) else (spec.check,)
        for n, condition in enumerate(conditions):
            self.condition(condition, places.get(("check", n), places.get(("check",), at)))
        for n, wrong in enumerate(spec.wrong):
            if wrong.when is not None:
                self.condition(wrong.when, places.get(("wrong", n, "when"), at))
        if not spec.hints:
            self.wrong(places.get(("hints",), at), "a task wants at least one hint before its solution")
        solution = (spec.solution,) if isinstance(spec.solution, str) else tuple(spec.solution)
        default = self.number("task")
        return Task(
            spec.id or default, goal, conditions, solution, tuple(spec.hints), tuple(spec.setup), tuple(spec.wrong),
            line, at,
        )  # fmt: skip

    def condition(self, condition: Condition, line: int) -> None:
        """Tell what makes no sense in a condition."""
        given = [
            name
            for name in condition.__struct_fields__
            if getattr(condition, name) not in (None, False, "") and not (name == "db" and condition.db == 0)
        ]
        kinds = [name for name in KINDS if name in given]
        kind = kinds[0] if kinds else ""
        if kinds != [kind] and kinds != ["typed", "replied"]:
            names = ", ".join(each.rstrip("_") for each in KINDS)
            self.wrong(line, f"a condition wants exactly one of {names}; this has {', '.join(kinds) or 'none'}")
            return
        for name in given:
            if name not in (*kinds, "say", *ALLOWED[kind]):
                self.wrong(line, f"`{name.rstrip('_')}` says nothing about a `{kind.rstrip('_')}`")
        for name in ("matches", "replied"):
            pattern = getattr(condition, name)
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    self.wrong(line, f"{name}: not a regular expression: {error}")
        for server in (condition.server, condition.up):
            if server and server not in self.servers:
                self.wrong(line, f"there is no server {server!r} in this lesson")
        if condition.terminal is not None and condition.terminal not in self.terminals:
            self.wrong(line, f"there is no terminal {condition.terminal!r} in this lesson")
        for inner in (*(condition.any or ()), *(condition.all or ()), *([condition.not_] if condition.not_ else [])):
            self.condition(inner, line)

    # -- links

    def links(self) -> list[Link]:
        found: list[Link] = []
        fenced = False
        for number, row in enumerate(self.rows, start=1):
            if row.lstrip().startswith("```"):
                fenced = not fenced
            if not fenced:
                found += [Link(match[1] or match[2], number) for match in _LINK.finditer(row)]
        return found


def _top(tokens: list[Token]) -> list[Token]:
    """Return the outermost block tokens, opening ones standing for what they open."""
    return [token for token in tokens if token.level == 0 and token.nesting >= 0 and token.map is not None]


def _joined(blocks: list[Block]) -> list[Block]:
    """Join prose that stands together."""
    joined: list[Block] = []
    for block in blocks:
        if isinstance(block, Prose) and joined and isinstance(joined[-1], Prose):
            joined[-1] = replace(joined[-1], markdown=joined[-1].markdown + "\n\n" + block.markdown)
        else:
            joined.append(block)
    return joined


def _unquoted(source: str) -> str:
    return "\n".join(re.sub(r"^ {0,3}> ?", "", row) for row in source.strip().splitlines())


def _place(node: yaml.Node, path: tuple[Any, ...], first: int, places: dict[tuple[Any, ...], int]) -> None:
    places.setdefault(path, node.start_mark.line + first)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            places[(*path, key.value)] = key.start_mark.line + first
            _place(value, (*path, key.value), first, places)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _place(value, (*path, number), first, places)


def _path(text: str) -> tuple[Any, ...]:
    """Turn msgspec's `$.check[0].key` into ("check", 0, "key")."""
    parts: list[Any] = []
    for match in re.finditer(r"\.([A-Za-z_]\w*)|\[(\d+)\]", text):
        parts.append(match[1] if match[1] else int(match[2]))
    return tuple(parts)
