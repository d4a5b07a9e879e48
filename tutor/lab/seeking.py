"""`redis-tutor lab SCENARIO --find CONDITION`: a history in which a condition holds, as a seed with its actions.

What came of it goes to standard error, with the progress if that is a terminal; the seed and the actions of the
history go to standard output, as `redis-tutor lab --open -` takes them. Status 0: found; 1: not found within the
bounds; 2: there is no such condition or scenario; 130: interrupted.
"""

import sys
from pathlib import Path

from engine.simulation.actions import ActionError
from engine.simulation.history import History, HistoryError
from tutor.lab import play
from tutor.lab.exploring import HISTORIES, SECONDS
from tutor.lab.keeping import CannotKeepError, write_whole
from tutor.lab.model import ScenarioSpec
from tutor.lab.session import LabSession

FOUND, NOT_FOUND, WRONG, INTERRUPTED = 0, 1, 2, 130
SETTLE_US = 2_000_000  # before the first step of a scenario: the nodes that run connect to each other
TOLD_EVERY = 10  # looks at the progress
WIDTH = 78


def seek(
    condition: str,
    scenario: str | None,
    opened: str | None = None,
    made: tuple[ScenarioSpec, History] | None = None,
    place: int | None = None,
    steps: int = 0,
    seconds: float | None = None,
    histories: int | None = None,
    save: str | None = None,
) -> int:
    """Seek it from an event of a scenario or a saved history on, or in a new cluster; returns the exit status."""
    session = LabSession(*made) if made is not None else _session(scenario, opened, place, steps)
    if session is None:
        return WRONG
    try:
        work = session.find_work(condition, SECONDS if seconds is None else seconds, histories or HISTORIES)
        looks = 0
        while True:
            try:
                progress = next(work)
            except StopIteration as ended:
                found = ended.value
                break
            looks += 1
            if looks % TOLD_EVERY == 1 and sys.stderr.isatty():
                print(f"\r{f'{condition}: {progress}'[:WIDTH]:<{WIDTH}}", end="", file=sys.stderr, flush=True)
    except (ActionError, HistoryError) as error:
        _clear()
        print(f"redis-tutor: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        _clear()
        print("Interrupted; nothing was found yet.", file=sys.stderr)
        return INTERRUPTED
    _clear()
    print(found.told, file=sys.stderr)
    if not found.branch:
        return NOT_FOUND
    for move in found.moves:
        print(f"  {move}", file=sys.stderr)
    if save is None:
        print(session.recipe(), end="")
        return FOUND
    try:
        write_whole(Path(save), session.encode())
    except CannotKeepError as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return WRONG
    print(f"saved: {save}; see it with: redis-tutor lab --open {save}", file=sys.stderr)
    return FOUND


def _clear() -> None:
    if sys.stderr.isatty():
        print(f"\r{'':{WIDTH}}\r", end="", file=sys.stderr, flush=True)


def _session(scenario: str | None, opened: str | None, place: int | None, steps: int) -> LabSession | None:
    """Return the session from whose present place on it is sought; None: there is none, which is told."""
    found: tuple[ScenarioSpec, History] | None
    if opened is not None:
        found = play.kept(opened, place)
    elif scenario is not None and place is not None:
        found = play.at_event(scenario, place)
    else:
        spec = play.load(scenario or "")
        if spec is None:
            return None
        if steps > len(spec.steps):
            print(f"redis-tutor: {spec.id} has {len(spec.steps)} steps, not {steps}", file=sys.stderr)
            return None
        session = LabSession(spec)
        for _ in range(steps):
            session.next_step()
        if not steps:
            session.history.run(session.world.now_us + SETTLE_US)
        return session
    return None if found is None else LabSession(*found)


__all__ = ["seek"]
