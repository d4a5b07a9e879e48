"""A Markdown file → a lesson. Every problem is reported with file and line, not only the first.

The Markdown is cut along its block tokens (markdown-it), so that anything Markdown can say stays possible in prose:
a step begins with a `##` heading; a fence marked `redis` is an example; a quote that begins with **Predict.** or
**Your turn.** makes a prediction or a task, with what belongs to it folded into the `<details>` below, and one that
begins with **In the laboratory.** names a scenario.

Markdown has no syntax errors: an unclosed fence or `<details>` swallows the text that follows, and a misspelled word
turns a task into prose. So everything that resembles a part of a lesson without being a valid one is reported. After
a problem that makes the rest of the file ambiguous, the rest is not checked.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

from tutor import answers
from tutor.lesson import transcript
from tutor.lesson.model import (
    Block,
    CheckCondition,
    Example,
    FrontMatter,
    Lesson,
    Prediction,
    Problem,
    Prose,
    Range,
    Scene,
    Step,
    Task,
    TaskSpec,
    TerminalKind,
    TextLink,
)
from tutor.lesson.sources import Document, Place, UnreadableSource, clean, named, near, read_text, short
from tutor.prompt.markdown import reflow

FLAGS = ("unordered", "waits", "setup", "redis-7")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINK = re.compile(r"(?:\[|^)[^\[\]\n]*\]\(<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)|^\[[^\]]+\]:\s*(\S+)", re.M)
_SPACED = re.compile(r"\[[^\]\n]+\]\(([^)<>\"'\s]+ [^)<>\"']+)\)")
_CODE = re.compile(r"(`+)(?!`).*?\1(?!`)")
_QUOTES = ("Predict", "Your turn", "In the laboratory")
_PARTS = tuple(f"**{name}." for name in _QUOTES)
_BEGINNING = re.compile(r"\W{0,4}((?:your |in the )?\w+)\W", re.I)
_TAG = re.compile(r"</?([a-z]+)", re.I)
# Fences that are shown unchanged. Any other word is treated as a misspelling.
_SHOWN = {
    "text", "console", "shell", "sh", "bash", "conf", "ini", "lua", "python", "js", "javascript", "json", "yaml",
    "toml", "c", "go", "java", "ruby", "rust", "diff", "sql", "http", "resp", "markdown",
}  # fmt: skip
_BEGINNINGS: dict[TerminalKind, str] = {
    "shell": "a shell's transcript begins with its prompt, such as `redis01$ ls`",
    "python": "a transcript of Python begins with its prompt, such as `>>> import redis`",
}
TYPES = ("string", "list", "hash", "set", "zset", "stream")
ENCODINGS = (
    "int", "embstr", "raw", "listpack", "quicklist", "hashtable", "intset", "skiplist", "stream", "ziplist",
)  # fmt: skip
_SCENE = re.compile(r"\[([^\]]+)\]\(\.\./scenarios/\d+-([a-z0-9-]+)\.yaml\)[.:]?\s*(.*)", re.S)
_ANSWER = re.compile(r"^\*\*Answer: (.+?)\.?\*\*\s*", re.S)
KINDS = ("key", "command", "file", "up", "typed", "reads", "writes", "replied", "any", "all", "not_")
ON_VALUES = ("value", "contains", "matches", "length")
ALLOWED = {
    "key": ("server", "db", "missing", "type", "encoding", "ttl", *ON_VALUES),
    "command": ("server", "db", "is_", "at_least", "at_most", "contains", "matches"),
    "file": ("server", "missing", "matches"),
    "up": ("missing",),
    "typed": ("terminal", "replied", "without", "together"),
    "reads": ("terminal", "replied"),
    "writes": ("terminal", "replied"),
    "replied": ("terminal",),
    "terminal": (),
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
        text = read_text(path)
    except UnreadableSource as problem:
        raise Problems([Problem(name, problem.line, str(problem))]) from problem
    return parse_lesson(text, name)


def parse_lesson(text: str, path: str) -> Lesson:
    """Return the lesson that a file's text describes. Raises Problems."""
    try:
        reader = _LessonReader(clean(text), path)
    except UnreadableSource as problem:
        raise Problems([Problem(path, problem.line, str(problem))]) from problem
    lesson = reader.read()
    problems = sorted((each for each in reader.problems if each.line <= reader.sure), key=lambda each: each.line)
    if problems or lesson is None:
        raise Problems(problems)
    return lesson


class _LessonReader:
    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.rows = text.splitlines(keepends=True) if "\x85" not in text else text.split("\n")
        self.text = text
        self.digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
        self.problems: list[Problem] = []
        self.sure: float = float("inf")  # the last line that can be checked
        self.front_known = False  # whether the servers and terminals could be read
        self.terminals: tuple[str, ...] = ("redis",)
        self.kinds: dict[str, TerminalKind] = {}
        self.servers: set[str] = set()
        self.counts: dict[str, int] = {}
        self.ids: dict[str, int] = {}  # of tasks: the line

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(Problem(self.path, line, text))

    def swallows(self, line: int, text: str) -> None:
        """Report a problem that turns the text after it into prose."""
        self.wrong(line, text)
        self.sure = min(self.sure, line)

    def source(self, token: Token) -> str:
        assert token.map is not None
        return "".join(self.rows[token.map[0] : token.map[1]])

    def read(self) -> Lesson | None:
        parser = MarkdownIt("commonmark").enable("table").disable("inline").use(front_matter_plugin)
        tokens = parser.parse(self.text)
        if not tokens or tokens[0].type != "front_matter":
            if self.rows and self.rows[0].strip() == "---":
                self.wrong(1, "the front matter is never closed: expected a second line ---")
            else:
                self.wrong(1, "there is no front matter: the file must begin with a line ---")
            return None
        document = Document(tokens[0].content, 2, self.wrong)
        lines = {".".join(map(str, place)): line for place, line in document.lines.items()}
        front = document.convert(FrontMatter)
        self.front_known = front is not None
        if front is not None and front.terminals:
            self.terminals = tuple(front.terminals)
            if isinstance(front.terminals, dict):
                self.kinds = {name: spec.kind for name, spec in front.terminals.items()}
        elif front is not None and len(front.servers) > 1:
            self.terminals = tuple(front.servers)
        self.servers = set(front.servers) if front is not None else set()
        steps = self.steps(_top(tokens[1:]))
        if front is None:
            return None
        self.names(front, lines)
        self.empty(document)
        return Lesson(self.path, front, tuple(steps), self.terminals, tuple(self.links()), lines, self.digest)

    # -- front matter

    def names(self, front: FrontMatter, lines: dict[str, int]) -> None:
        if not _ID.fullmatch(front.id):
            self.wrong(lines.get("id", 1), f"the id {front.id!r} is not lower-case words joined by -")
        if not 1 <= front.minutes <= 30:
            self.wrong(lines.get("minutes", 1), f"minutes is {front.minutes}: expected 1 to 30")
        if front.order < 0:
            self.wrong(lines.get("order", 1), f"order: expected 0 or more, not {front.order}")
        addresses = [spec.address for spec in front.servers.values()]
        if len(set(addresses)) < len(addresses):
            self.wrong(lines.get("servers", 1), "two servers have one address: give each its `address`")
        for name, spec in front.servers.items():
            if not _ID.fullmatch(name):
                self.wrong(lines.get("servers", 1), f"the server's name {name!r} is not lower-case words joined by -")
            octets = spec.address.split(".")
            if not re.fullmatch(r"127\.0\.0\.1|172(\.\d{1,3}){3}", spec.address) or max(map(int, octets)) > 255:
                self.wrong(lines.get("servers", 1), f"the address {spec.address!r} is not of the form 172.16.6.18")
        twice = [name for name in front.terminals if list(front.terminals).count(name) > 1]
        if twice:
            self.wrong(lines.get("terminals", 1), f"terminals: {short(twice[0])!r} is named twice")
        if isinstance(front.terminals, dict):
            for name, terminal in front.terminals.items():
                if terminal.shell and terminal.python:
                    self.wrong(lines.get("terminals", 1), f"terminal {name!r} is a shell and Python: choose one")
                if terminal.server and terminal.server not in front.servers:
                    self.wrong(lines.get("terminals", 1), f"terminal {name!r} names no server of this lesson")

    def empty(self, document: Document) -> None:
        """Report empty texts."""
        for place, text in _texts(document.data):
            name = next((each for each in reversed(place) if isinstance(each, str)), "")
            if not text.strip() and name in _SAYING and place[:1] != ("servers",):
                self.wrong(document.line(place), f"{named(place)}: is empty: write something, or remove it")

    # -- steps

    def steps(self, tokens: list[Token]) -> list[Step]:
        steps: list[Step] = []
        blocks: list[Block] = []
        title, line, i = "", 1, 0

        def close() -> None:
            if title and not blocks and not any(each.line >= line for each in self.problems):
                self.wrong(line, f"the step {title!r} is empty: write something below its heading")
            if blocks:
                steps.append(Step(len(steps) + 1, title or "Introduction", tuple(_joined(blocks)), line))

        while i < len(tokens):
            token = tokens[i]
            assert token.map is not None
            at = token.map[0] + 1
            i += 1
            if token.type == "heading_open" and token.tag == "h1":
                if steps or title:
                    self.wrong(at, "a second title: a step begins with ##, `## Title`")
                continue
            if token.type == "heading_open" and token.tag == "h2":
                close()
                title, line, blocks = self.source(token).lstrip("#").strip(), at, []
                if not title:
                    self.wrong(at, "the step has no title: expected `## Title`")
                self.counts = {}
                continue
            if token.type == "fence":
                if self.fence(token) and token.info.split()[:1] == ["redis"]:
                    example = self.example(token)
                    if example is not None:
                        blocks.append(example)
                    continue
                if token.info.split()[:2] == ["yaml", "task"]:
                    self.wrong(at, "a task's YAML without its goal: expected a quote `> **Your turn.** …` above it")
                    continue
            if token.type == "blockquote_open":
                said = _unquoted(self.source(token))
                kind = self.kind(said, at)
                if kind in ("Predict", "Your turn"):
                    inside, i = self.details(tokens, i, at, kind)
                    if inside is None:
                        continue
                    block = (self.prediction if kind == "Predict" else self.task)(said, at, inside)
                    if block is not None:
                        blocks.append(block)
                    continue
                if kind == "In the laboratory":
                    scene = self.scene(said.removeprefix("**In the laboratory.**").strip(), at)
                    if scene is not None:
                        blocks.append(scene)
                    continue
                if kind:
                    if i < len(tokens) and self.tag(tokens[i]) == "details":
                        _, i = self.details(tokens, i, at, kind)
                    continue
            if token.type == "html_block":
                if self.comment(token):
                    continue
                if self.tag(token) == "details":
                    if token.content.strip().startswith("</"):
                        self.wrong(at, "</details> closes nothing: remove it, or put its <details> back")
                    else:
                        self.wrong(
                            at, "<details> without a quote `> **Predict.** …` or `> **Your turn.** …` above it"
                        )
                        _, i = self.details(tokens, i - 1, at, "", quiet=True)
                    continue
            if token.type == "paragraph_open" and self.source(token).startswith(_PARTS):
                self.wrong(at, "a part of the lesson is a quote: expected `> ` before each of these lines")
                i = self.behind(tokens, i)
                continue
            if token.type == "paragraph_open" and (found := re.search(r"^##+[^#\s]", self.source(token), re.M)):
                row = self.source(token).count("\n", 0, found.start())
                self.wrong(at + row, "a heading needs a space after its #: `## Title`")
            blocks.append(Prose(self.source(token).strip("\n"), at))
        close()
        if not steps and not self.problems:
            self.wrong(1, "there is no step: expected a heading `## …` with text below it")
        return steps

    def kind(self, said: str, line: int) -> str:
        """Return the kind of a quote: "?" if it is misspelled (which is reported), "" for an ordinary quote."""
        for name in _QUOTES:
            if said.startswith(f"**{name}.**"):
                if name != "In the laboratory" and not said.removeprefix(f"**{name}.**").strip():
                    self.wrong(line, f"**{name}.** has no text: write the question or the task")
                return name
        begins = _BEGINNING.match(said + " ")
        bold = re.match(r"\*\*([^*]+)\*\*", said)
        words = (bold[1] if bold else begins[1] if begins else "").strip(" .:!").casefold()
        meant = near(words, [name.casefold() for name in _QUOTES], "expected")
        if meant and (bold or words in [name.casefold() for name in _QUOTES]):
            name = next(each for each in _QUOTES if f"`{each.casefold()}`" in meant)
            self.wrong(
                line, f"a quote that begins with `{short(said.split(chr(10))[0])}`: did you mean `**{name}.**`?"
            )
            return "?"
        return ""

    def tag(self, token: Token) -> str:
        """Return the name of the first tag in an HTML block; a misspelled `details` is reported and accepted."""
        found = _TAG.match(token.content.strip()) if token.type == "html_block" else None
        if found is None:
            return ""
        name = found[1]
        if name != "details" and near(name.lower(), ["details"]):
            assert token.map is not None
            slash = "/" if token.content.strip().startswith("</") else ""
            self.wrong(token.map[0] + 1, f"unknown tag <{slash}{name}>: did you mean <{slash}details>?")
            return "details"
        return name

    def comment(self, token: Token) -> bool:
        """Return whether an HTML block is a comment; an unclosed one is reported."""
        text = token.content.strip()
        if not text.startswith("<!--"):
            return False
        if "-->" not in text:
            assert token.map is not None
            self.swallows(token.map[0] + 1, "the comment <!-- is never closed: expected -->")
        return True

    def fence(self, token: Token) -> bool:
        """Report problems in the lines of a fence; return whether it can be read."""
        assert token.map is not None
        line = token.map[0] + 1
        rows = self.source(token).rstrip("\n").split("\n")
        mark = token.markup
        closed = len(rows) > 1 and re.fullmatch(rf" *{re.escape(mark[0])}{{{len(mark)},}}\s*", rows[-1])
        word, *more = token.info.split() or [""]
        meant = word in ("redis", "yaml")
        inner = next((n for n, row in enumerate(rows[1:], 1) if row.startswith("```") and meant), None)
        if not closed or (inner is not None and inner < len(rows) - 1):
            self.swallows(
                line, f"the fence {mark}{token.info} is never closed: expected a line {mark} below its text"
            )
            return False
        if word and word not in _SHOWN | {"redis"}:
            hint = (
                near(word.lower(), ["redis", "yaml", *sorted(_SHOWN)]) or "; expected `redis`, `yaml task` or `text`"
            )
            self.wrong(line, f"{mark}{short(token.info)}: unknown word{hint}")
            return False
        if word == "yaml" and more and more != ["task"]:
            self.wrong(line, f"{mark}{short(token.info)}: expected {mark}yaml task")
            return False
        if not word and re.search(r"^(redis )?[\w.]+:\d+(\[\d+\])?> ", token.content, re.M):
            self.wrong(
                line, f"a transcript without a language: expected {mark}redis, or {mark}text if it is only shown"
            )
            return False
        return True

    def details(
        self, tokens: list[Token], i: int, line: int, kind: str, quiet: bool = False
    ) -> tuple[list[Token] | None, int]:
        """Return the folded part below a quote and the index after it, or None if a problem was reported."""
        if i >= len(tokens) or self.tag(tokens[i]) != "details" or tokens[i].content.strip().startswith("</"):
            if line < self.sure:
                self.wrong(line, f"**{kind}.** needs its <details> … </details> below it")
            return None, self.behind(tokens, i)
        opening = tokens[i]
        assert opening.map is not None
        at = opening.map[0] + 1
        rows = opening.content.rstrip("\n").split("\n")
        body = [n for n, row in enumerate(rows) if n and row.strip() and not row.strip().startswith("<")]
        if body and not quiet:
            self.wrong(at + body[0], "an empty line is missing above this one: text right below <details> is HTML")
            quiet = True
        if any(row.strip().startswith("</details") for row in rows):
            return None if quiet else [], i + 1
        inside: list[Token] = []
        faults = len(self.problems)
        for place in range(i + 1, len(tokens)):
            token = tokens[place]
            assert token.map is not None
            if token.type == "fence" and not self.fence(token):
                if self.sure < float("inf"):
                    return None, len(tokens)
                continue
            name = self.tag(token)
            if name == "details" and token.content.strip().startswith("</"):
                below = token.content.rstrip("\n").split("\n")
                if len(below) > 1:
                    self.wrong(token.map[0] + 2, "an empty line is missing above this one: it follows </details>")
                return None if quiet or len(self.problems) > faults else inside, place + 1
            ends = token.type == "heading_open" and token.tag in ("h1", "h2")
            quote = token.type == "blockquote_open" and _unquoted(self.source(token)).startswith(_PARTS)
            if name == "details" and self.behind(tokens, closing := self.behind(tokens, place)) > closing > place:
                if not quiet:
                    self.wrong(token.map[0] + 1, "a <details> inside another: they cannot be nested")
                return None, self.behind(tokens, closing)
            if name == "details" or ends or quote:
                if not quiet:
                    self.wrong(
                        at, f"<details> is never closed: expected a line </details> above line {token.map[0] + 1}"
                    )
                return None, place
            if not self.comment(token):
                inside.append(token)
        if self.sure > at and not quiet:
            self.wrong(at, "<details> is never closed: expected a line </details> between empty lines")
        return None, len(tokens)

    def behind(self, tokens: list[Token], i: int) -> int:
        """Return the index after the </details> of an unreadable part, or `i` if the next part comes first."""
        for place in range(i, len(tokens)):
            token = tokens[place]
            if token.type == "blockquote_open" or (token.type == "heading_open" and token.tag in ("h1", "h2")):
                break
            if token.type == "html_block" and token.content.strip().startswith("</details"):
                return place + 1
        return i

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
                if self.front_known:
                    hint = near(word, [*FLAGS, *self.terminals])
                    text = f"```redis {short(word)}: neither a marker nor a terminal of this lesson ({known}){hint}"
                    self.wrong(line, text)
                elif word not in FLAGS:
                    terminal = word
        kind = self.kinds.get(terminal, "prompt")
        try:
            exchanges = transcript.parse(token.content, self.path, line + 1, kind)
        except Problem as problem:
            self.problems.append(problem)
            return None
        if not self.front_known:
            pass  # what this terminal is, is not known
        elif exchanges[0].command == "" and kind != "prompt":
            self.wrong(line + 1, _BEGINNINGS[kind])
        elif exchanges[0].command == "" and len(exchanges) > 1:
            self.wrong(line + 1, "a transcript begins with a prompt line such as `127.0.0.1:6379> GET key`")
        return Example(self.number("example"), terminal, exchanges, line, *(flag in flags for flag in FLAGS))

    def scene(self, said: str, line: int) -> Scene | None:
        found = _SCENE.fullmatch(said)
        if found is None:
            self.wrong(line, "expected `**In the laboratory.** [title](../scenarios/NN-name.yaml): what to look at`")
            return None
        text = " ".join(found[3].split())  # shown on a line of its own, below the title
        return Scene(found[2], " ".join(found[1].split()), text[:1].upper() + text[1:], line)

    def prediction(self, said: str, line: int, inside: list[Token]) -> Prediction | None:
        options: list[str] = []
        asked: list[str] = []
        before = ""
        for number, row in enumerate(said.removeprefix("**Predict.**").strip().splitlines()):
            found = re.match(r"(\d{1,9})[.)](?:\s+(.*))?$", row)
            begins = options or not before.strip()  # a list follows an empty line; "10." may start any other line
            before = row
            if found and begins:
                options.append((found[2] or "").strip())
                if int(found[1]) != len(options):
                    self.wrong(
                        line + number, f"option {found[1]} is number {len(options)} of the list: number them 1, 2, …"
                    )
                if not options[-1]:
                    self.wrong(line + number, f"option {found[1]} is empty")
            elif options and row.startswith("  ") and row.strip():
                options[-1] = f"{options[-1]} {row.strip()}"
            else:
                asked.append(row)
        question = reflow("\n".join(asked).strip())
        if not question:
            self.wrong(line, "the prediction asks nothing: expected a question after **Predict.**")
        twins = [each for n, each in enumerate(options) if answers.bare(each) in map(answers.bare, options[:n])]
        if twins:
            self.wrong(line, f"the option {short(twins[0])!r} is given twice")
        examples: list[Example] = []
        prose: list[str] = []
        for token in inside:
            if token.type == "fence" and token.info.split()[:1] == ["redis"]:
                example = self.example(token)
                if example is not None:
                    examples.append(example)
            elif token.type == "fence" and token.info.split()[:2] == ["yaml", "task"]:
                assert token.map is not None
                self.wrong(token.map[0] + 1, "a task's YAML below **Predict.**: expected it below **Your turn.**")
            else:
                prose.append(self.source(token).strip("\n"))
        because = "\n\n".join(prose)
        answer = _ANSWER.search(because)
        if answer is None:
            self.wrong(line, "the prediction has no answer: expected `**Answer: …**` in its <details>")
            return None
        said_answer = answer[1]
        right: tuple[str, ...] = tuple(re.split(r" or ", said_answer))
        if options:
            if not said_answer.isdecimal() or not 1 <= int(said_answer[:9]) <= len(options):
                text = f"the answer {short(said_answer)!r} is not the number of an option (1 to {len(options)})"
                text += ": one option is not a choice" * (len(options) == 1)
                self.wrong(line, text)
                return None
            if len(options) == 1:
                self.wrong(line, "one option is not a choice: expected at least two, or none")
            right = (options[int(said_answer) - 1],)
        return Prediction(
            self.number("predict"), question, tuple(options), right, because[answer.end() :].strip(), tuple(examples),
            line,
        )  # fmt: skip

    def task(self, said: str, line: int, inside: list[Token]) -> Task | None:
        goal = " ".join(said.removeprefix("**Your turn.**").split())
        fences = [each for each in inside if each.type == "fence" and each.info.split()[:2] == ["yaml", "task"]]
        if len(fences) != 1:
            others = [each for each in inside if each.type == "fence" and each.info.split()[:1] == ["yaml"]]
            at = others[0].map[0] + 1 if not fences and others and others[0].map else line
            self.wrong(at, f"a task needs one fence marked `yaml task` in its <details>, not {len(fences)}")
            return None
        assert fences[0].map is not None
        at = fences[0].map[0] + 2
        document = Document(fences[0].content, at, self.wrong)
        spec = document.convert(TaskSpec)
        if spec is None:
            return None
        conditions = tuple(spec.check) if isinstance(spec.check, list) else (spec.check,)
        for n, condition in enumerate(conditions):
            self.condition(condition, ("check", n) if isinstance(spec.check, list) else ("check",), document)
        for n, wrong in enumerate(spec.wrong):
            if wrong.when is not None:
                self.condition(wrong.when, ("wrong", n, "when"), document)
        if not conditions:
            self.wrong(document.line(("check",)), "check: a task needs at least one condition")
        if not spec.hints:
            text = "hints: a task needs at least one hint before its solution"
            self.wrong(document.line(("hints",)), text)
        solution = (spec.solution,) if isinstance(spec.solution, str) else tuple(spec.solution)
        if not solution:
            self.wrong(document.line(("solution",)), "solution: is empty: expected at least one command")
        self.empty(document)
        for place in document.folded:
            if place[0] in ("solution", "setup") or "try" in place or place[-1] in ("command", "typed"):
                text = "two lines are one command here: write a list, `- ` before each command"
                self.wrong(document.line(place), f"{named(place)}: {text}")
        default = self.number("task")
        if spec.id:
            if spec.id in self.ids:
                text = f"id: {short(spec.id)!r} is already the id of the task in line {self.ids[spec.id]}"
                self.wrong(document.line(("id",)), text)
            self.ids.setdefault(spec.id, line)
        return Task(
            spec.id or default, goal, conditions, solution, tuple(spec.hints), tuple(spec.setup), tuple(spec.wrong),
            line, at, document.lines, spec.because, spec.title,
        )  # fmt: skip

    def condition(self, condition: CheckCondition, place: Place, document: Document) -> None:
        """Report contradictions in a condition."""
        line = document.line(place)

        def wrong(name: str, text: str) -> None:
            where = (*place, name.rstrip("_"))
            self.wrong(document.line(where), f"{named(where)}: {text}")

        given = [
            name
            for name in condition.__struct_fields__
            if getattr(condition, name) not in (None, False, "") and not (name == "db" and condition.db == 0)
        ]
        kinds = [name for name in KINDS if name in given] or [name for name in given if name == "terminal"]
        kind = kinds[0] if kinds else ""
        if kinds != [kind] and kinds not in (["typed", "replied"], ["reads", "replied"], ["writes", "replied"]):
            names = ", ".join(each.rstrip("_") for each in (*KINDS, "terminal"))
            self.wrong(line, f"a condition wants exactly one of {names}; this has {', '.join(kinds) or 'none'}")
            return
        stray: set[str] = set()
        for name in given:
            if name not in (*kinds, "say", *ALLOWED[kind]):
                stray.add(name)
                self.wrong(line, f"`{name.rstrip('_')}` says nothing about a `{kind.rstrip('_')}`")
        for name in ("matches", "replied"):
            pattern = getattr(condition, name)
            if pattern is not None:
                try:
                    re.compile(pattern)
                except (re.error, RecursionError, OverflowError) as error:
                    self.wrong(document.line((*place, name)), f"{name}: not a regular expression: {error}")
        for name, known in (("type", TYPES), ("encoding", ENCODINGS)):
            value = getattr(condition, name)
            if value is not None and value not in known:
                wrong(name, f"no {name} is called {short(value)!r}{near(value, known)}")
        if isinstance(condition.ttl, str) and condition.ttl not in ("none", "some"):
            wrong("ttl", f"expected none, some or bounds such as {{min: 1, max: 60}}, not {short(condition.ttl)!r}")
        for name in ("ttl", "length"):
            bounds = getattr(condition, name)
            if isinstance(bounds, Range):
                if bounds.min is None and bounds.max is None:
                    wrong(name, "bounds without min and max: give at least one")
                elif bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
                    wrong(name, f"no number is between {bounds.min:g} and {bounds.max:g}: min is greater than max")
                elif (bounds.max or 0) < 0 or (bounds.min or 0) < 0:
                    wrong(name, "cannot be below 0")
            elif isinstance(bounds, int) and bounds < 0:
                wrong(name, "cannot be below 0")
        if (
            condition.at_least is not None
            and condition.at_most is not None
            and condition.at_least > condition.at_most
        ):
            wrong("at_least", "is greater than at_most: no number can satisfy both")
        if not 0 <= condition.db <= 15:
            wrong("db", f"there is no database {condition.db}: expected 0 to 15")
        if self.front_known:
            for name, server in (("server", condition.server), ("up", condition.up)):
                if server and server not in self.servers and name not in stray:
                    wrong(name, f"there is no server {short(server)!r} in this lesson{near(server, self.servers)}")
            terminal = condition.terminal
            if terminal is not None and terminal not in self.terminals and "terminal" not in stray:
                hint = near(terminal, self.terminals)
                wrong("terminal", f"there is no terminal {short(terminal)!r} in this lesson{hint}")
        for name in ("any", "all"):
            for n, inner in enumerate(getattr(condition, name) or ()):
                self.condition(inner, (*place, name, n), document)
        if condition.not_ is not None:
            self.condition(condition.not_, (*place, "not"), document)

    # -- links

    def links(self) -> list[TextLink]:
        found: list[TextLink] = []
        fenced = False
        for number, row in enumerate(self.rows, start=1):
            if row.lstrip().startswith("```"):
                fenced = not fenced
            if not fenced and "]" in row:
                plain = _CODE.sub("", row)
                found += [TextLink(match[1] or match[2], number) for match in _LINK.finditer(plain)]
                if spaced := _SPACED.search(plain):
                    self.wrong(number, f"the link to {short(spaced[1])} contains a space: write %20")
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


# Fields with text that the learner reads, that is typed, or that is searched for.
_SAYING = {
    "id", "title", "summary", "wrong_idea", "needs", "commands", "hint", "hints", "solution", "setup", "try", "key",
    "command", "file", "up", "typed", "reads", "writes", "terminal", "server", "say", "replied", "matches",
}  # fmt: skip


def _texts(data: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every string in the YAML data with its place."""
    if isinstance(data, str):
        yield place, data
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    for name, value in items:
        yield from _texts(value, (*place, name))
