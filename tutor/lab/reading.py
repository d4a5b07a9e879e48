"""A YAML file → a scenario. What does not fit is told with file, line and reason."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.simulation.actions import ActionError
from tutor.course.model import Problem
from tutor.lab.model import NOT_REAL, ScenarioSpec
from tutor.lab.words import NAMES, action_of
from tutor.prompt.words import split_args

SUFFIX = ".yaml"
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}:\d{1,5}")
_STATES = {"state": ("up", "down", "paused"), "role": ("master", "replica"), "link": ("up", "down")}


def folder() -> Path:
    """Return the folder of the scenarios that are installed with the program."""
    return Path(__file__).resolve().parent.parent.parent / "lessons" / "scenarios"


@cache
def names() -> tuple[str, ...]:
    """Return the installed scenarios, in their order: files begin with a number."""
    return tuple(path.stem.partition("-")[2] for path in sorted(folder().glob("*" + SUFFIX)))


def find(name: str) -> Path:
    """Return the file of a scenario, by its name or a path. Raises LookupError."""
    if name.endswith(SUFFIX) and Path(name).is_file():
        return Path(name)
    for path in sorted(folder().glob("*" + SUFFIX)):
        if path.stem.partition("-")[2] == name:
            return path
    raise LookupError(f"there is no scenario {name!r}: `redis-tutor lab --list` names them")


def read_scenario(path: Path) -> ScenarioSpec:
    """Read one file. Raises Problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(str(path), 1, f"cannot be read: {error}") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, path: str) -> ScenarioSpec:
    """Return the scenario that a text describes. Raises Problem."""
    try:
        data = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise Problem(path, line, f"not YAML: {getattr(error, 'problem', None) or error}") from error
    lines: dict[tuple[Any, ...], int] = {}
    if node is not None:
        _lines(node, (), lines)
    try:
        spec = msgspec.convert(data, ScenarioSpec)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `")
        place = tuple(
            match[1] or int(match[2]) for match in re.finditer(r"\.([A-Za-z_]\w*)|\[(\d+)\]", where.rstrip("`"))
        )
        unknown = re.search(r"unknown field `([^`]+)`", reason)
        line = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 1)
        if unknown:
            line = lines.get((*place, unknown[1]), line)
        field = ".".join(map(str, place))
        raise Problem(path, line, f"{field}: {reason}" if field else reason) from error
    _check(spec, path, lines)
    return spec


def _lines(node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*path, key.value)] = key.start_mark.line + 1
            _lines(value, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _lines(value, (*path, number), lines)


def _check(spec: ScenarioSpec, path: str, lines: dict[tuple[Any, ...], int]) -> None:
    def wrong(text: str, *place: Any) -> Problem:
        return Problem(
            path, next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1), text
        )

    if not _ID.fullmatch(spec.id):
        raise wrong(f"the id {spec.id!r} is not lower-case words joined by -", "id")
    known = dict.fromkeys(spec.nodes)
    for name, node in spec.nodes.items():
        if not name.isalnum():
            raise wrong(f"a node's name is letters and digits, not {name!r}", "nodes", name)
        if not _ADDRESS.fullmatch(node.address):
            raise wrong(f"{node.address!r} is not an address like 172.16.6.18:6379", "nodes", name, "address")
    for client, host in spec.clients.items():
        if client in spec.nodes:
            raise wrong(f"{client} is a node's name already", "clients", client)
        if host not in known:
            raise wrong(f"there is no node {host}", "clients", client)
    for number, link in enumerate(spec.links):
        for name in link.between:
            if name not in known and name not in spec.clients:
                raise wrong(f"there is no node {name}", "links", number)
    for number, step in enumerate(spec.steps):
        here = ("steps", number)
        for index, line in enumerate(step.do):
            reason = _wrong_words(line, known, spec.clients)
            if reason:
                raise wrong(f"{line!r}: {reason}", *here, "do", index)
            if line.split()[0] in NOT_REAL and not spec.simulated_only.strip():
                raise wrong(f"{line!r}: real servers cannot; say why in simulated_only", *here, "do", index)
        for field, expected in (("until", step.until), ("expect", step.expect)):
            for name, expect in expected.items():
                if name not in known:
                    raise wrong(f"there is no node {name}", *here, field, name)
                for what, allowed in _STATES.items():
                    value = getattr(expect, what)
                    if value is not None and value not in allowed:
                        raise wrong(f"{what} is {' or '.join(allowed)}, not {value!r}", *here, field, name, what)
                for what in ("same_offset", "same_data", "same_id", "other_id"):
                    value = getattr(expect, what)
                    if value is not None and value not in known:
                        raise wrong(f"there is no node {value}", *here, field, name, what)
        for client in step.replied:
            if client not in spec.clients and client not in known:
                raise wrong(f"there is no client {client}", *here, "replied", client)
        for name in step.logged:
            if name not in known:
                raise wrong(f"there is no node {name}", *here, "logged", name)


def _wrong_words(line: str, known: dict[str, None], clients: dict[str, str]) -> str:
    """Return what is wrong with an action, or nothing; an added node is known from there on."""
    name, prompt, command = line.partition(">")
    if prompt and " " not in name.strip():
        if name.strip() not in known and name.strip() not in clients:
            return f"there is no client or node {name.strip()}"
        return "" if split_args(command.strip()) else "a command is missing, or its quotes are not closed"
    words = line.split()
    if not words or words[0] not in NAMES:
        return f"the actions are {', '.join(NAMES)}, and NAME> COMMAND"
    if words[0] == "write":
        return "" if len(words) in (3, 4) and words[1] in (*known, *clients) else "write NAME COUNT [BYTES]"
    if words[0] == "wait":
        return "" if len(words) == 2 and words[1].replace(".", "", 1).isdigit() else "wait SECONDS"
    try:
        action = action_of(words[0], words[1:])
    except ActionError as error:
        return str(error)
    if words[0] == "add":
        known[words[1]] = None
    elif words[0] == "close":
        return "" if words[1] in clients else f"there is no client {words[1]}"
    for field in ("host", "a", "b"):
        host = getattr(action, field, None)
        if host is not None and host not in known and host not in clients:
            return f"there is no node {host}"
    return ""
