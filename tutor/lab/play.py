"""`redis-tutor lab`: scenarios as plain text, equal at every run. Status 1 when something was not as expected."""

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.simulation.actions import ActionError
from engine.simulation.cluster_state import cluster_views, writer_views
from engine.simulation.history import History, HistoryError
from engine.simulation.program_state import program_views
from engine.simulation.state import application_views, belief_views, node_views
from tutor.lab import keeping
from tutor.lab.data import lines as written
from tutor.lab.format import EventFormatter, application_line, belief_line, line_of, node_line
from tutor.lab.journal import left_behind
from tutor.lab.keeping import CannotKeepError, write_whole
from tutor.lab.ledger import Ledger
from tutor.lab.loader import find, names, read_scenario
from tutor.lab.model import ScenarioSpec
from tutor.lab.naming import unknown
from tutor.lab.programs import line_of as program_line
from tutor.lab.recipe import read_recipe
from tutor.lab.runner import ScenarioRunner
from tutor.lab.session import LabSession
from tutor.lab.slots import cluster_line, writer_line
from tutor.lesson.model import Problem
from tutor.pictures.letters import Letters
from tutor.prompt.words import shorten

WIDTH = 78
_BEGINS = re.compile(r"^\s*(?:seed|scenario)\s+\S", re.MULTILINE)
_GAP = re.compile(r"^ +| {2,}")


def print_list() -> int:
    """Print the scenarios that there are."""
    specs = []
    for name in names():
        try:
            specs.append((name, read_scenario(find(name)).title))
        except Problem as problem:
            print(problem, file=sys.stderr)
            return 1
    width = max((len(name) for name, _ in specs), default=0)
    for name, title in specs:
        print(f"{name:<{width}}  {title}")
    if (left := next(left_behind(), None)) is not None:
        left.release()
        told = f"“{left.what}” ended before it was left: the next laboratory that you open offers to restore it"
        print(f"redis-tutor: {told}", file=sys.stderr)
    return 0


def load(name: str) -> ScenarioSpec | None:
    """Return a scenario, or None with the problem told."""
    try:
        return read_scenario(find(name))
    except (LookupError, Problem) as problem:
        print(problem if isinstance(problem, Problem) else problem.args[0], file=sys.stderr)
        return None


def play(name: str, save: str | None = None) -> int:
    """Play a scenario from its beginning to its end, and save its history if wanted.

    Where something was not as expected, the history that is saved opens at that event.
    """
    spec = load(name)
    if spec is None:
        return 1
    session = LabSession(spec)
    wrong: list[Wrong] = []
    for line in story(session.runner, wrong):
        for part in fitted(line):
            print(part)
    if wrong:
        print(f"To see it: redis-tutor lab {shlex.quote(name)} --at {wrong[0].place}")
    if save is not None:
        try:
            data = session.encode()
            if wrong:
                session.history.goto(wrong[0].place)
                data = session.encode()
            write_whole(Path(save), data)
        except CannotKeepError as error:
            print(f"redis-tutor: {error}", file=sys.stderr)
            return 1
        print(f"saved: {save}")
    return 1 if wrong else 0


class Wrong(NamedTuple):
    """What is not as a scenario says, and the place at which it was looked at."""

    place: int
    text: str


def story(runner: ScenarioRunner, wrong: list[Wrong]) -> Iterator[str]:
    """Yield the lines of a scenario; `wrong` gets what is not as expected."""
    spec, history = runner.spec, runner.history
    formatter, ledger = EventFormatter(), Ledger()
    yield spec.title
    yield "=" * len(spec.title)
    yield from textwrap.wrap(spec.summary, WIDTH)
    yield ""
    shown = 0
    for number in range(1, len(spec.steps) + 1):
        yield from said(spec, number)
        problems = [Wrong(history.place, text) for text in runner.step()]
        yield from lines(formatter, history, shown)
        shown = history.place
        yield ""
        yield from state(history, formatter.letters)
        ledger = ledger.read(history.trace)
        yield from ("   " + line for line in written(ledger, history))
        for problem in problems:
            yield f"    NOT AS EXPECTED at event {problem.place}: {problem.text}"
        wrong += problems
        yield ""
    yield f"{len(spec.steps)} steps, {history.place} events, seed {history.seed}, history {runner.digest()}"


def said(spec: ScenarioSpec, number: int) -> Iterator[str]:
    """Yield the text of a step of a scenario."""
    text = spec.steps[number - 1].say
    yield from textwrap.wrap(text, WIDTH, initial_indent=f"{number}. ", subsequent_indent="   ")
    yield ""


def state(history: History, letters: Letters) -> Iterator[str]:
    """Yield how nodes, Sentinels and applications are now."""
    for node in node_views(history.world).values():
        yield "    " + node_line(node, letters)
    for belief in belief_views(history.world):
        yield "    " + belief_line(belief)
    for view in application_views(history.world):
        yield "    " + application_line(view)
    for program in program_views(history.world):
        yield "    " + program_line(program)
    for cluster in cluster_views(history.world).values():
        yield "    " + cluster_line(cluster)
    for writer in writer_views(history.world):
        yield "    " + writer_line(writer)


def lines(formatter: EventFormatter, history: History, first: int) -> Iterator[str]:
    """Yield the lines for what happened from a place on."""
    for event in history.trace[first : history.place]:
        for row in formatter.rows(event):
            yield line_of(row, event.at_us)


def fitted(line: str) -> list[str]:
    """Return a line as it fits a terminal, under its text's beginning; in a pipe as it is."""
    if not sys.stdout.isatty():
        return [line]
    columns = shutil.get_terminal_size().columns
    if len(line) <= columns:
        return [line]
    under = max((gap.end() for gap in _GAP.finditer(line, 0, columns // 2)), default=0)
    return textwrap.wrap(line, columns, subsequent_indent=" " * under, drop_whitespace=True) or [""]


def print_actions(name: str) -> int:
    """Play a scenario, and print its seed and its actions."""
    spec = load(name)
    if spec is None:
        return 1
    session = LabSession(spec)
    while session.runner.next_step is not None:
        session.next_step()
    print(session.recipe(), end="")
    return 0


def new(words: Sequence[str], options: Mapping[str, int]) -> tuple[ScenarioSpec, History] | None:
    """Build the laboratory that the words describe; None, with a message, if it cannot be built."""
    from tutor.lab.building import YAML, build, wanted_of
    from tutor.lab.clusterfile import read_cluster_file

    try:
        wanted = wanted_of(words, **options)
        for name in wanted.files:
            if name.endswith(YAML) and read_cluster_file(Path(name)).left_out:
                file = shlex.quote(name)
                told = f"`lab new` leaves out the steps of {file}: `redis-tutor lab {file}` has them"
                print(f"redis-tutor: {told}", file=sys.stderr)
        return build(wanted)
    except (ActionError, Problem) as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return None


def expose_new(words: Sequence[str], options: Mapping[str, int], port: int) -> int:
    """Build the laboratory that the words describe, on real ports, without a screen."""
    import msgspec

    from tutor.lab.building import begun, wanted_of
    from tutor.lab.expose import expose

    try:
        spec, step = begun(wanted_of(words, **options))
    except (ActionError, Problem) as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return 1
    return expose(msgspec.structs.replace(spec, steps=(step,)), 1, port, reached=True)


def put(made: tuple[ScenarioSpec, History], save: str | None, export: str | None, actions: bool) -> int:
    """Save or export a history, print its seed and actions, or what has happened in it."""
    from tutor.lab.export import export as export_session

    session = LabSession(*made)
    try:
        if export is not None:
            print(export_session(session, export))
        if save is not None:
            write_whole(Path(save), session.encode())
            print(f"saved: {save}")
    except (CannotKeepError, HistoryError) as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return 1
    if actions:
        print(session.recipe(), end="")
    elif save is None and export is None:
        for line in retold(session):
            for part in fitted(line):
                print(part)
    return 0


def export_to(name: str, file: str | None, scenario: str | None, place: int | None) -> int:
    """Export a saved history or a scenario, up to an event or its end."""
    from tutor.lab.export import export, kind_of

    try:
        kind_of(name)
        if file is not None:
            found = kept(file, place)
        else:
            found = at_event(scenario or "", sys.maxsize if place is None else place)
        if found is None:
            return 1
        session = LabSession(*found)
        if file is not None and place is None:
            session.history.end()
        print(export(session, name))
    except (CannotKeepError, HistoryError) as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return 1
    return 0


def kept(file: str, place: int | None = None) -> tuple[ScenarioSpec, History] | None:
    """Open a saved history, or a seed with actions (in a file, as it is, or "-": typed in); it is run and verified.

    Returns it with its scenario, or one that has no steps. Where it cannot be opened the problem is printed, and None
    returned.
    """
    try:
        spec, history = opened(given(file), Path(file).name)
        if place is not None:
            history.goto(place)
    except OSError as error:
        print(f"redis-tutor: {file}: {error.strerror}", file=sys.stderr)
        return None
    except (CannotKeepError, HistoryError) as error:
        print(f"redis-tutor: {shorten(file)}: {error}", file=sys.stderr)
        return None
    return spec, history


def given(file: str) -> bytes:
    """Return what `--open` names: a file, one that was saved by name, standard input, or the actions themselves.

    Raises OSError.
    """
    if file == "-":
        return sys.stdin.buffer.read()
    if not os.path.exists(file):
        if _BEGINS.match(file):
            return file.encode("utf-8", "surrogateescape")
        named = [saved.name for saved in keeping.saved()]
        if file in named:
            return keeping.path_of(file).read_bytes()
        if not os.path.dirname(file) and named:
            raise CannotKeepError(unknown("file or saved history", file, named))
    return Path(file).read_bytes()


def opened(data: bytes, name: str) -> tuple[ScenarioSpec, History]:
    """Return a history from the bytes of a file, or of a seed with actions. Raises HistoryError."""
    if data.lstrip()[:1] in (b"{", b"") or b"\0" in data[:1000]:
        history = History.decode(data)
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise HistoryError("line 1: this is no history of redis-tutor") from None
        if not _BEGINS.search(text):
            raise HistoryError("line 1: this is no history of redis-tutor, and no seed with actions")
        return read_recipe(text)
    summary = history.warning or "A history that was kept. Go back in it, and branch off where you like."
    return keeping.scenario_of(history, name, summary), history


def reopen(file: str, actions: bool = False) -> int:
    """Open a saved history, which is run again and verified, and print it, or only its seed and actions."""
    opened = kept(file)
    if opened is None:
        return 1
    session = LabSession(*opened)
    if actions:
        print(session.recipe(), end="")
    else:
        session.history.end()
        for line in retold(session):
            for part in fitted(line):
                print(part)
    if session.history.warning:
        print(f"redis-tutor: {shorten(file)}: {session.history.warning}", file=sys.stderr)
        return 1
    return 0


def retold(session: LabSession) -> Iterator[str]:
    """Yield the lines of a session until now: its events, between them the scenario's text and notes."""
    history, spec, log = session.history, session.spec, session.log
    log.read(history)
    yield spec.title
    yield "=" * len(spec.title)
    yield from textwrap.wrap(spec.summary, WIDTH)
    yield ""
    heads: list[tuple[int, list[str]]] = [
        (span.began, ["", *said(spec, number)])
        for number, span in enumerate(session.runner.spans[: len(spec.steps)], 1)
    ]
    heads += [
        (note.place, textwrap.wrap(note.text, WIDTH, initial_indent="    ✎ ", subsequent_indent="      "))
        for note in session.notes_here
    ]
    heads.sort(key=lambda head: head[0])
    for row in log.rows[: log.count]:
        while heads and heads[0][0] <= row[0]:
            yield from heads.pop(0)[1]
        yield line_of(row, history.trace[row[0]].at_us)
    for _, rest in heads:
        yield from rest
    yield ""
    yield from state(history, log.letters)
    yield f"{history.place} events, seed {history.seed}, history {session.runner.digest()}"


def at_event(name: str, place: int) -> tuple[ScenarioSpec, History] | None:
    """Play a scenario until so many events have happened; None if it cannot be, and the reason is printed."""
    spec = load(name)
    if spec is None:
        return None
    session = LabSession(spec)
    history = session.history
    try:
        while history.place < place and session.runner.next_step is not None:
            session.next_step()
        history.goto(min(place, history.place))
    except (ActionError, HistoryError) as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return None
    history.about = session.about()
    return spec, history
