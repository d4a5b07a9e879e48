"""The text of a lesson or scenario file, and the YAML in it, read strictly.

YAML silently changes what a teacher wrote: `no` becomes false, `1:30` ninety, `2024-05-01` a date, and text after `
#` disappears. Redis values can look like any of these. So a value that YAML 1.1 or 1.2 would convert, other than
`true`, `false` and plain decimal numbers, is reported with a fix instead of being converted, and so are comments
after an unquoted value, duplicate fields, empty values, anchors, aliases and tags. Without aliases, a small file
cannot expand into a large one.

The lines come from the parser's events, in one pass, so every place in the data has a line.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from tutor.convert import convert
from tutor.prompt.words import WORD, shorten

T = TypeVar("T")
Place = tuple[Any, ...]
Report = Callable[[int, str], object]  # a line and the problem in it

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_DIGITS = 18

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+|0o[0-7]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_FIELD = re.compile(r"\s*(?:- +)*[{]?\s*([\w-]+)\s*:")


# How to fix a value of the wrong type, by msgspec's message.
_CURES = {
    "got `bool`": '; write "yes", "no" or the value that is meant in quotes',
    "Expected `str`, got `int`": "; put it in quotes",
    "Expected `str`, got `float`": "; put it in quotes",
    "Expected `str | null`, got `int`": "; put it in quotes",
    "Expected `int": "; write a whole number",
    "Expected `float": "; write a number",
    "Expected `bool": "; write true or false",
    "array`": "; write a list: [a, b], or lines that begin with `- `",
    "Expected `object`": "; write fields: `name: value`",
}


class UnreadableSource(Exception):  # noqa: N818
    """A file is not text; `line` is the line with the problem."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_text(path: Path) -> str:
    """Return the text of a file, its lines ended by newlines. Raises UnreadableSource."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableSource(1, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UnreadableSource(1, f"the file is larger than {MAX_BYTES >> 20} MB: split it into several lessons")
    try:
        return clean(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UnreadableSource(1, "not UTF-8 but UTF-16: save the file as UTF-8") from error
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"not UTF-8: byte {data[error.start]:#04x} in this line; save the file as UTF-8"
        raise UnreadableSource(line, reason) from error


def clean(text: str) -> str:
    """Return a text with newlines at its line ends and without a byte order mark. Raises UnreadableSource."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        name = "NUL byte" if found[0] == "\0" else f"control character U+{ord(found[0]):04X}"
        raise UnreadableSource(line, f"a {name} in this line: remove it")
    return text


def short(text: object) -> str:
    """Return a text shortened for a message."""
    return shorten(str(text))


def near(word: str, known: Iterable[str], what: str = "did you mean") -> str:
    """Return `; did you mean `x`?`, or nothing when no known word is near."""
    found = difflib.get_close_matches(word[:WORD], list(known), 1, 0.6)
    return f"; {what} `{found[0]}`?" if found else ""


def named(place: Place) -> str:
    """Return a place as messages name it: `check #2.key`."""
    return "".join(f" #{each + 1}" if isinstance(each, int) else f".{each}" for each in place).lstrip(".")


class _Stop(Exception):  # noqa: N818
    """The text cannot be read any further."""


class Document:
    """YAML as data, with the line of every place in it. Problems are reported; then `data` may be None."""

    def __init__(self, text: str, first: int, report: Report, null: bool = False) -> None:
        self.null = null  # whether `null` means None
        self.rows = text.split("\n")
        self.first = first
        self.report = report
        self.lines: dict[Place, int] = {}
        self.folded: set[Place] = set()  # values without quotes that go over several lines
        self.faults: list[Place] = []  # the places with problems
        self._events: Iterator[Any] = iter(())
        self.data: Any = None
        try:
            self._events = yaml.parse(text, Loader=_LOADER)
            self.data = self._document()
        except yaml.YAMLError as error:
            self._not_yaml(error)
            self.data = None
        except _Stop:
            self.data = None

    @property
    def whole(self) -> bool:
        """Whether there were no problems."""
        return not self.faults

    def wrong(self, line: int, text: str, place: Place = ()) -> None:
        """Report a problem in a line of the YAML (from 0), with its field."""
        self.faults.append(place)
        self.report(self.first + line, f"{named(place)}: {text}" if place else text)

    def line(self, place: Place) -> int:
        """Return the line of a place, or of what it is in."""
        return next((self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), self.first)

    def _document(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                continue
            if isinstance(event, yaml.StreamEndEvent):
                break
            data = self._value(event, (), 0)
            for rest in self._events:
                if isinstance(rest, yaml.DocumentStartEvent) and rest.start_mark is not None:
                    self.wrong(rest.start_mark.line, "a line `---` begins a second document: remove it")
                    raise _Stop
            if not isinstance(data, dict):
                self.wrong(0, "expected fields, as in `name: value`")
                raise _Stop
            return data
        self.wrong(0, "expected fields, as in `name: value`")
        raise _Stop

    def _value(self, event: Any, place: Place, depth: int) -> Any:
        line = event.start_mark.line
        self.lines.setdefault(place, self.first + line)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            name = f"`{sign}{short(event.anchor)}`"
            self.wrong(line, f"YAML reads {name} as an anchor: put the value in quotes, or write it out", place)
            raise _Stop
        if event.tag is not None:
            self.wrong(line, f"a value cannot begin with `!` here ({short(event.tag)}): put it in quotes", place)
            raise _Stop
        if depth > MAX_DEPTH:
            self.wrong(line, f"nested deeper than {MAX_DEPTH} levels", place[:3])
            raise _Stop
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(item, (*place, len(items)), depth + 1))
            return items
        return self._mapping(place, depth)

    def _mapping(self, place: Place, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line
            if not isinstance(event, yaml.ScalarEvent):
                self.wrong(line, "expected a name before the colon: put what begins with a bracket in quotes", place)
                raise _Stop
            name = event.value
            here = (*place, name)
            if name in found:
                self.wrong(line, f"given twice: first in line {self.lines[here]}; remove one of them", here)
            self.lines[here] = self.first + line
            if not event.style and name == "<<":
                self.wrong(line, "`<<` merges in YAML: write the fields out", place)
                raise _Stop
            value = self._value(next(self._events), here, depth + 1)
            self.lines[here] = self.first + line
            found[name] = value
        return found

    def _scalar(self, event: Any, place: Place) -> Any:
        text, line = event.value, event.start_mark.line
        if event.style:
            return text
        end = event.end_mark
        rest = self.rows[end.line][end.column :] if end.line < len(self.rows) else ""
        if rest[:1] in (" ", "\t", "") and rest.lstrip().startswith("#") and (rest[:1] or not text):
            cut = f"`{short(rest.strip())}` is a comment to YAML and is cut off"
            self.wrong(end.line, f"{cut}: put the whole value in quotes, or the comment on its own line", place)
            return text
        if not text:
            self.wrong(line, "has no value: write one, or remove the field", place)
            return ""
        if end.line > line:
            self.folded.add(place)
            return text
        return self._plain(text, line, place)

    def _plain(self, text: str, line: int, place: Place) -> Any:
        """Return an unquoted value; one that YAML would convert is reported."""
        if text in ("true", "false"):
            return text == "true"
        if text == "null" and self.null:
            return None
        if _DECIMAL.fullmatch(text) or _FLOAT.fullmatch(text):
            if len(text) > MAX_DIGITS:
                self.wrong(line, f"{short(text)} has too many digits for a number: put it in quotes", place)
                return text
            return int(text) if _DECIMAL.fullmatch(text) else float(text)
        meaning = self._conversion(text)
        if meaning:
            cure = f'"{text}"' if '"' not in text else f"'{text}'"
            self.wrong(line, f"YAML reads `{short(text)}` as {meaning}: write {short(cure)}", place)
        return text

    @staticmethod
    def _conversion(text: str) -> str:
        resolvers = yaml.SafeLoader.yaml_implicit_resolvers
        for tag, pattern in [*resolvers.get(text[0], ()), *resolvers.get(None, ())]:
            if pattern.match(text):
                kind = tag.rpartition(":")[2]
                if kind == "bool":  # only `true` and `false` are converted
                    return "true" if text.lower() in ("yes", "on", "true") else "false"
                kinds = {"null": "nothing", "timestamp": "a date", "int": "a number", "float": "a number"}
                value = ""
                if kind in ("int", "float") and len(text) <= MAX_DIGITS:
                    value = f" ({short(yaml.safe_load(text))})"
                return kinds.get(kind, "something else") + value
        return "a number" if _EXPONENT.fullmatch(text) else ""

    def _not_yaml(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None)
        context = str(getattr(error, "context", None) or "")
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        line = min(mark.line, len(self.rows) - 1) if mark is not None else 0
        row = self.rows[line]
        field = found[1] + ": " if (found := _FIELD.match(row)) else ""
        began = getattr(error, "context_mark", None)
        if "\t" in row[: len(row) - len(row.lstrip())]:
            text = "a tab indents this line; use spaces"
        elif "mapping values" in problem:
            text = f"{field}a second `: ` in this line; put a value that contains `: ` in quotes"
        elif "quoted scalar" in context or "flow" in context:
            line = self._opened(line) if "flow" in context else began.line if began is not None else line
            field = found[1] + ": " if (found := _FIELD.match(self.rows[line])) else ""
            bracket = "[ … ]" if "sequence" in context else "{ … }"
            if "quoted" in context:
                text = f"{field}a quote is opened here and never closed"
            else:
                text = f"{field}{bracket} is not closed, or something in it needs quotes"
        elif "cannot start any token" in problem or "alias" in context or "anchor" in context:
            sign = row[mark.column : mark.column + 1] if mark is not None else ""
            sign = "*" if "alias" in context else "&" if "anchor" in context else sign
            text = f"{field}a value that begins with {sign or 'this character'} needs quotes"
        elif "simple key" in context and began is not None:
            line, row = began.line, self.rows[began.line]
            missing = "a space is missing after the colon" if ":" in row else "expected `name: value`"
            text = f"{missing} in {short(row.strip())}"
        elif "did not find expected" in problem or "block end" in problem:
            text = f"{field}text behind a closing quote or bracket, or an indentation that fits no field"
        else:
            text = f"{field}{short(problem)}"
        self.wrong(line, f"not YAML: {text}")

    def _opened(self, line: int) -> int:
        """Return the line of the bracket that is still open in a line."""
        for at in range(line, -1, -1):
            row = self.rows[at]
            if sum(map(row.count, "[{")) > sum(map(row.count, "]}")):
                return at
        return line

    def convert(self, kind: type[T]) -> T | None:
        """Return the data as a structure. All unknown fields are reported, and the first value that does not fit."""
        if self.data is None:
            return None
        misspelled: set[Place] = set()  # fields whose names are misspelled
        while True:
            try:
                made = convert(self.data, kind)
            except msgspec.ValidationError as error:
                text, _, where = str(error).partition(" - at `")
                unknown = re.search(r"unknown field `([^`]*)`", text)
                place = self._find(kind, str(error), _path(where.rstrip("`")), unknown[1] if unknown else None)
                missing = re.search(r"missing required field `([^`]*)`", text)
                if missing is not None and (*place, missing[1]) in misspelled:
                    return None
                if unknown is None and place and place in self.faults:  # the reason has been reported
                    return None
                if unknown is None:
                    text = text.replace("Object missing required field", "missing field")
                    text += next((cure for sign, cure in _CURES.items() if sign in text), "")
                    self.wrong(self.line(place) - self.first, text, place)
                    return None
                line = self.line((*place, unknown[1])) - self.first
                hint = near(unknown[1], _fields(kind) - {unknown[1]})  # one that exists elsewhere is no cure here
                self.wrong(line, f"unknown field `{short(unknown[1])}`{hint}", place)
                misspelled.add((*place, hint.partition("`")[2].partition("`")[0]))
                del self._inside(place)[unknown[1]]
            else:
                return made if self.whole else None

    def _inside(self, place: Place) -> Any:
        inside = self.data
        for each in place:
            inside = inside[each]
        return inside

    def _find(self, kind: type[Any], error: str, path: Place, field: str | None) -> Place:
        """Return the place of a path in which msgspec does not name the keys of mappings (None in the path)."""
        place: Place = ()
        for part in path:
            if part is not None:
                place = (*place, part)
                continue
            mapping = self._inside(place)
            for name in list(mapping):  # the one whose removal changes the error
                value = mapping.pop(name)
                try:
                    convert(self.data, kind)
                    culprit = True
                except msgspec.ValidationError as other:
                    culprit = str(other) != error
                mapping[name] = value
                if culprit:
                    break
            place = (*place, name)
        return place


def _path(text: str) -> Place:
    """Turn msgspec's `$.check[0].key` into ("check", 0, "key"); a key of a mapping, `[...]`, into None."""
    parts: list[Any] = []
    for match in re.finditer(r"\.([A-Za-z_]\w*)|\[(\d+)\]|(\[\.\.\.\])", text):
        parts.append(None if match[3] else match[1] or int(match[2]))
    return tuple(parts)


def _fields(kind: Any) -> set[str]:
    """Return the names of all fields that a structure and those in it have."""
    names: set[str] = set()
    seen: set[Any] = set()
    waiting = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            names |= {field.encode_name for field in info.fields}
            waiting += [field.type for field in info.fields]
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting += info.types
        elif isinstance(info, msgspec.inspect.ListType):
            waiting.append(info.item_type)
        elif isinstance(info, msgspec.inspect.DictType):
            waiting.append(info.value_type)
    return names
