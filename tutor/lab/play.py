"""`redis-tutor lab`: scenarios as plain text, equal at every run. Status 1 when something was not as expected."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from engine.simulation.cluster_state import cluster_views, writer_views
from engine.simulation.history import History, HistoryError
from engine.simulation.state import application_views, belief_views, node_views
from tutor.lab.data import lines as written
from tutor.lab.format import EventFormatter, application_line, belief_line, line_of, node_line
from tutor.lab.ledger import Ledger
from tutor.lab.loader import find, names, read_scenario
from tutor.lab.model import ScenarioSpec
from tutor.lab.runner import ScenarioRunner, spec_of
from tutor.lab.slots import cluster_line, writer_line
from tutor.lesson.model import Problem

WIDTH = 78
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
    return 0


def load(name: str) -> ScenarioSpec | None:
    """Return a scenario, or None with the problem told."""
    try:
        return read_scenario(find(name))
    except (LookupError, Problem) as problem:
        print(problem.args[0], file=sys.stderr)
        return None


def play(name: str, save: str | None = None) -> int:
    """Play a scenario from its beginning to its end, and save its history if wanted."""
    spec = load(name)
    if spec is None:
        return 1
    runner = ScenarioRunner(spec)
    wrong: list[str] = []
    for line in story(runner, wrong):
        for part in fitted(line):
            print(part)
    if save is not None:
        try:
            Path(save).write_bytes(runner.history.encode())
        except OSError as error:
            print(f"redis-tutor: {save}: {error.strerror}", file=sys.stderr)
            return 1
        print(f"saved: {save}")
    return 1 if wrong else 0


def story(runner: ScenarioRunner, wrong: list[str]) -> Iterator[str]:
    """Yield the lines of a scenario; `wrong` gets what is not as expected."""
    spec, history = runner.spec, runner.history
    formatter, ledger = EventFormatter(), Ledger()
    yield spec.title
    yield "=" * len(spec.title)
    yield from textwrap.wrap(spec.summary, WIDTH)
    yield ""
    shown = 0
    for number, step in enumerate(spec.steps, start=1):
        yield from textwrap.wrap(step.say, WIDTH, initial_indent=f"{number}. ", subsequent_indent="   ")
        yield ""
        problems = runner.step()
        yield from lines(formatter, history, shown)
        shown = history.place
        yield ""
        for node in node_views(history.world).values():
            yield "    " + node_line(node, formatter.letters)
        for belief in belief_views(history.world):
            yield "    " + belief_line(belief)
        for view in application_views(history.world):
            yield "    " + application_line(view)
        for cluster in cluster_views(history.world).values():
            yield "    " + cluster_line(cluster)
        for writer in writer_views(history.world):
            yield "    " + writer_line(writer)
        ledger = ledger.read(history.trace)
        yield from ("   " + line for line in written(ledger, history))
        for problem in problems:
            yield f"    NOT AS EXPECTED: {problem}"
        wrong += problems
        yield ""
    yield f"{len(spec.steps)} steps, {history.place} events, history {runner.digest()}"


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


def kept(file: str) -> tuple[ScenarioSpec, History] | None:
    """Open a saved history, which is run again and verified; returns it with a scenario that has no steps.

    Where it cannot be opened the problem is told, and None returned.
    """
    try:
        history = History.decode(Path(file).read_bytes())
    except OSError as error:
        print(f"redis-tutor: {file}: {error.strerror}", file=sys.stderr)
        return None
    except HistoryError as error:
        print(f"redis-tutor: {file}: {error}", file=sys.stderr)
        return None
    summary = history.warning or "A history that was kept. Go back in it, and branch off where you like."
    return spec_of(history, Path(file).name, summary), history


def reopen(file: str) -> int:
    """Open a saved history, which is run again and verified, and print it."""
    opened = kept(file)
    if opened is None:
        return 1
    history = opened[1]
    history.end()
    formatter = EventFormatter()
    for line in lines(formatter, history, 0):
        for part in fitted(line):
            print(part)
    print()
    for node in node_views(history.world).values():
        print(node_line(node, formatter.letters))
    if history.warning:
        print(f"redis-tutor: {file}: {history.warning}", file=sys.stderr)
        return 1
    return 0
