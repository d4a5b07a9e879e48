"""A YAML file → a scenario. What does not fit is told with file, line and reason."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from engine.simulation.actions import ActionError
from engine.simulation.cluster_application import FOLLOWS
from tutor.lab.actions import NAMES, USAGE, action_of
from tutor.lab.clusters import ID, groups, wrong_expectation
from tutor.lab.model import NOT_REAL, ScenarioSpec
from tutor.lab.programs import SENTINELS
from tutor.lab.programs import parse as parse_program
from tutor.lesson.catalogue import COURSE
from tutor.lesson.diagnosis.model import nearest
from tutor.lesson.model import Problem
from tutor.lesson.sources import Document, UnreadableSource, clean, read_text
from tutor.prompt.words import shorten, split_args

SUFFIX = ".yaml"
_T = TypeVar("_T")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}:\d{1,5}")
# The numbers that the fields of a scenario take, with their units; within these limits every history comes to an end.
DAY_S = 86_400
PERIODS_MS = 10, 3_600_000
LATENCIES_MS = 0, 60_000
SPEEDS_MAX = 10**12
SEEDS_MAX = 10**18 - 1
WRITES_MAX = 1_000_000
VALUE_MAX = 512 << 20
PORT_MAX = 65_535
_STATES = {"state": ("up", "down", "paused"), "role": ("master", "replica"), "link": ("up", "down")}


def folder() -> Path:
    """Return the folder of the scenarios that are installed with the program."""
    return Path(__file__).resolve().parent.parent.parent / "lessons" / "scenarios"


def files() -> dict[str, Path]:
    """Return the installed scenarios by name, in the order of their files, and those of the teacher's own course."""
    found = {path.stem.partition("-")[2]: path for path in sorted(folder().glob("*" + SUFFIX))}
    if own := os.environ.get(COURSE):
        for path in sorted(Path(own, "scenarios").glob("*" + SUFFIX)):
            number, _, rest = path.stem.partition("-")
            found.setdefault(rest if number.isdigit() and rest else path.stem, path)
    return found


@cache
def names() -> tuple[str, ...]:
    """Return the names of all scenarios, in their order."""
    return tuple(files())


def find(name: str) -> Path:
    """Return the file of a scenario, by its name or a path. Raises LookupError."""
    if name.endswith(SUFFIX) and os.path.isfile(name):
        return Path(name)
    if (path := files().get(name)) is not None:
        return path
    near = nearest(name, names())
    rather = f"did you mean {near}?" if near else "`redis-tutor lab --list` names them"
    raise LookupError(f"there is no scenario {shorten(name)!r}: {rather}")


def read_source(path: Path) -> str:
    """Return the text of a file. Raises Problem."""
    try:
        return read_text(path)
    except UnreadableSource as problem:
        raise Problem(str(path), problem.line, str(problem)) from problem


def converted(text: str, path: str, kind: type[_T]) -> tuple[_T, Document]:
    """Return what a YAML text describes, as a struct of a kind, and where its fields stand. Raises Problem."""
    problems: list[Problem] = []
    try:
        text = clean(text)
    except UnreadableSource as problem:
        raise Problem(path, problem.line, str(problem)) from problem
    document = Document(text, 1, lambda line, reason: problems.append(Problem(path, line, reason)), null=True)
    read = document.convert(kind)
    if problems or read is None:
        raise min(problems, key=lambda problem: problem.line)
    return read, document


def read_scenario(path: Path) -> ScenarioSpec:
    """Read one file. Raises Problem."""
    return parse_scenario(read_source(path), str(path))


def parse_scenario(text: str, path: str) -> ScenarioSpec:
    """Return the scenario that a text describes. Raises Problem, the first one."""
    spec, document = converted(text, path, ScenarioSpec)
    check_scenario(spec, path, document.lines)
    return spec


def check_scenario(spec: ScenarioSpec, path: str, lines: dict[tuple[Any, ...], int]) -> None:
    """Check what a scenario says about its own machines and actions. Raises Problem."""

    def wrong(text: str, *place: Any) -> Problem:
        return Problem(
            path, next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1), text
        )

    if not _ID.fullmatch(spec.id):
        raise wrong(f"the id {spec.id!r} is not lower-case words joined by -", "id")
    for number, span, place in _numbers(spec):
        if unfit := span.wrong(number):
            raise wrong(unfit, *place)
    known = dict.fromkeys(spec.nodes)
    for name, node in spec.nodes.items():
        if not name.isalnum():
            raise wrong(f"a node's name is letters and digits, not {name!r}", "nodes", name)
        if not _ADDRESS.fullmatch(node.address):
            raise wrong(f"{node.address!r} is not an address like 172.16.6.18:6379", "nodes", name, "address")
    for name, sentinel in spec.sentinels.items():
        if name in spec.nodes or not name.isalnum():
            raise wrong(f"a Sentinel needs a unique name of letters and digits, not {name!r}", "sentinels", name)
        if not _ADDRESS.fullmatch(sentinel.address):
            raise wrong(f"{sentinel.address!r} is not an address", "sentinels", name, "address")
        known[name] = None
    for name, application in spec.applications.items():
        if name in known or not name.isalnum():
            raise wrong(
                f"an application needs a unique name of letters and digits, not {name!r}", "applications", name
            )
        ways = bool(application.asks) + bool(application.writes_to) + bool(application.cluster)
        if ways != 1:
            text = "an application either asks Sentinels or writes to a node or to a cluster"
            raise wrong(text, "applications", name)
        if application.follows not in FOLLOWS:
            raise wrong(f"follows is one of {', '.join(FOLLOWS)}", "applications", name, "follows")
        for other in application.cluster:
            if other not in spec.nodes:
                raise wrong(f"there is no node {other}", "applications", name, "cluster")
        for other in application.asks:
            if other not in spec.sentinels:
                raise wrong(f"there is no Sentinel {other}", "applications", name, "asks")
        if application.writes_to and application.writes_to not in spec.nodes:
            raise wrong(f"there is no node {application.writes_to}", "applications", name, "writes_to")
    machines = dict.fromkeys((*known, *spec.applications))
    for client, host in spec.clients.items():
        if client in spec.nodes:
            raise wrong(f"{client} is a node's name already", "clients", client)
        machines[client] = None
        if host not in known:
            raise wrong(f"there is no node {host}", "clients", client)
    for number, link in enumerate(spec.links):
        for name in link.between:
            if name not in machines:
                raise wrong(f"there is no node {name}", "links", number)
    for number, step in enumerate(spec.steps):
        here = ("steps", number)
        for index, line in enumerate(step.do):
            reason = _wrong_words(line, known, spec.clients, machines)
            if reason:
                raise wrong(f"{line!r}: {reason}", *here, "do", index)
            if line.split()[0] in NOT_REAL and not spec.simulated_only.strip():
                raise wrong(f"{line!r}: real servers cannot; say why in simulated_only", *here, "do", index)
        for field, expected in (("until", step.until), ("expect", step.expect)):
            for name, expect in expected.items():
                if name not in known and name not in spec.applications:
                    raise wrong(f"there is no node {name}", *here, field, name)
                for what, allowed in _STATES.items():
                    value = getattr(expect, what)
                    if value is not None and value not in allowed:
                        raise wrong(f"{what} is {' or '.join(allowed)}, not {value!r}", *here, field, name, what)
                reason = wrong_expectation(expect, known)
                if reason:
                    raise wrong(reason, *here, field, name)
                for what in ("same_offset", "same_data", "same_id", "other_id", "follows", "voted_for"):
                    value = getattr(expect, what)
                    if value and value not in known:
                        raise wrong(f"there is no node {value}", *here, field, name, what)
        for client in step.replied:
            if client not in spec.clients and client not in known:
                raise wrong(f"there is no client {client}", *here, "replied", client)
        for name in step.logged:
            if name not in known:
                raise wrong(f"there is no node {name}", *here, "logged", name)


class NumberRange(NamedTuple):
    """The numbers that a field takes."""

    name: str
    least: float
    most: float
    unit: str = ""

    def wrong(self, number: float) -> str:
        """Return what is wrong with a number, or ""."""
        if self.least <= number <= self.most:
            return ""
        return f"{self.name} is {self.least} to {self.most}{self.unit}, not {number}"


def _numbers(spec: ScenarioSpec) -> Iterator[tuple[float, NumberRange, tuple[Any, ...]]]:
    """Yield the numbers of a scenario on which time depends, what they may be, and where they are."""
    yield spec.seed, NumberRange("seed", 0, SEEDS_MAX), ("seed",)
    for name, application in spec.applications.items():
        period = NumberRange("period_ms", *PERIODS_MS, " milliseconds")
        yield application.period_ms, period, ("applications", name, "period_ms")
    for number, link in enumerate(spec.links):
        latency = NumberRange("latency_ms", *LATENCIES_MS, " milliseconds")
        yield link.latency_ms, latency, ("links", number, "latency_ms")
        speed = NumberRange("bytes_per_s", 0, SPEEDS_MAX, " (0: no limit)")
        yield link.bytes_per_s, speed, ("links", number, "bytes_per_s")
    for number, step in enumerate(spec.steps):
        yield step.run, NumberRange("run", 0, DAY_S, " seconds"), ("steps", number, "run")
        yield step.within, NumberRange("within", 0, DAY_S, " seconds"), ("steps", number, "within")
    for kind, machines in (("nodes", spec.nodes), ("sentinels", spec.sentinels)):
        for name, machine in machines.items():
            port = machine.address.rpartition(":")[2]
            if port.isascii() and port.isdigit():
                yield int(port[:6]), NumberRange("the port", 1, PORT_MAX), (kind, name, "address")


def _wrong_words(line: str, known: dict[str, None], clients: dict[str, str], machines: dict[str, None]) -> str:
    """Return what is wrong with an action, or nothing; an added node is known from there on."""
    name, prompt, command = line.partition(">")
    if prompt and " " not in name.strip():
        if name.strip() not in known and name.strip() not in clients:
            return f"there is no client or node {name.strip()}"
        for other in ID.findall(command):
            if other not in known:
                return f"there is no node {other}"
        return "" if split_args(command.strip()) else "a command is missing, or its quotes are unbalanced"
    words = line.split()
    if not words or words[0] not in NAMES:
        return f"the actions are {', '.join(NAMES)}, and NAME> COMMAND"
    if words[0] == "write":
        if len(words) not in (3, 4) or words[1] not in (*known, *clients):
            return USAGE["write"]
        for word, (name, most) in zip(words[2:], (("COUNT", WRITES_MAX), ("BYTES", VALUE_MAX)), strict=False):
            if not word.isascii() or not word.isdigit():
                return USAGE["write"]
            if unfit := NumberRange(name, 0, most).wrong(int(word[:18])):
                return unfit
        return ""
    if words[0] == "form":
        try:
            masters, replicas = groups(words[1:])
        except ActionError as error:
            return str(error)
        missing = [name for name in (*masters, *(replica for replica, _ in replicas)) if name not in known]
        return f"there is no node {missing[0]}" if missing else ""
    if words[0] == "configure":
        return "" if len(words) > 3 and words[1] in known else f"{USAGE['configure']}: {words[1:2] or ['no node']}"
    if words[0] == "run":
        try:
            program = parse_program(words[1:])
        except ActionError as error:
            return str(error)
        if program.node not in (*known, SENTINELS):
            return f"there is no node {program.node}"
        known[program.name] = machines[program.name] = None
        return ""
    if words[0] == "wait":
        if len(words) != 2 or not words[1].isascii() or not words[1].replace(".", "", 1).isdigit():
            return USAGE["wait"]
        return NumberRange("SECONDS", 0, DAY_S).wrong(float(words[1]))
    try:
        action = action_of(words[0], words[1:])
    except ActionError as error:
        return str(error)
    if words[0] in ("add", "add-sentinel"):
        known[words[1]] = machines[words[1]] = None
    elif words[0] == "close":
        return "" if words[1] in clients else f"there is no client {words[1]}"
    for field in ("host", "a", "b"):
        host = getattr(action, field, None)
        if host is not None and host not in (known if field == "host" else machines):
            return f"there is no node {host}"
    return ""
