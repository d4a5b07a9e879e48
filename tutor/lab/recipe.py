"""The seed and the actions of a history as text, which can be copied, mailed, pasted and opened again.

    # A reset, partial resync
    scenario partial-resync
    seed 4
    steps 31-57 57-93
    0.000000 #0  add A 172.16.6.18:6379
    0.000000 #0  start A
    1.025000 #57  cut A B reset
    2.055000 #93  end 6cd4…

Before each action: the seconds since the world began, and the steps of the world before it, so that the history is
the same to the byte; `end` has its hash, and `steps` the places at which steps of the scenario began and ended. What
is typed by hand may leave out the steps, the time, or both: an action without a time follows the one before it at
once, `step` is the next step of the scenario, whose nodes are put up first unless `add` does it. Actions that have no
words (an application that writes) are lines of JSON, as in a saved history.
"""

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from engine.simulation import actions
from engine.simulation.actions import PROMPT, Action, ActionError
from engine.simulation.history import History, HistoryError, Input
from engine.simulation.world import BEGINNING_US
from tutor.lab import choosing
from tutor.lab.actions import VERBS, action_of, describe, run_line
from tutor.lab.keeping import About
from tutor.lab.loader import find, read_scenario
from tutor.lab.model import ScenarioSpec
from tutor.lab.runner import ScenarioRunner, spec_of
from tutor.lesson.model import Problem
from tutor.prompt.words import spell, split_args

_LINE = re.compile(r"(?:(\d+(?:\.\d{1,6})?)\s+)?(?:#(\d+)\s+)?(\S.*)")
_US = 1_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


def recipe(history: History, spec: ScenarioSpec, spans: Sequence[tuple[int, int]] = ()) -> str:
    """Return the seed and the actions of the present branch, up to its end; `spans` are the steps that were done."""
    branch = history.branch_now
    lines = [f"# {spec.title}"]
    if spec.id:
        lines.append(f"scenario {spec.id}")
    lines.append(f"seed {history.seed}")
    if spans:
        lines.append("steps " + " ".join(f"{began}-{ended}" for began, ended in spans))
    lines += [_written(entry) for entry in branch.inputs]
    last = branch.places[-1]
    lines.append(f"{_seconds(last.now_us)} #{last.steps}  end {branch.chains[-1].hex()}")
    return "\n".join(lines) + "\n"


def _seconds(at_us: int) -> str:
    return f"{max(0, at_us - BEGINNING_US) / _US:.6f}"


def _written(entry: Input) -> str:
    text = "" if entry.pauses or entry.now_us < BEGINNING_US else _words(entry.action)
    if not text:
        return json.dumps(entry.as_line(), ensure_ascii=True)
    return f"{_seconds(entry.now_us)} #{entry.steps}  {text}"


def _words(action: Action) -> str:
    """Return the words of an action, if it has some that mean exactly this."""
    text = ""
    match action:
        case actions.SendCommand(client, argv):
            text = f"{client.removeprefix(PROMPT)}> " + " ".join(map(spell, argv))
            text = text if client.startswith(PROMPT) else f"client {text}"
        case actions.OpenClient(client, host, ""):
            text = f"connect {client} {host}"
        case actions.AddHost() | actions.AddSentinel() | actions.Directives():
            words = [field for field in action if isinstance(field, str)][: 1 if len(action) == 2 else 2]
            verb = describe(action).partition(" ")[0]
            text = " ".join([verb, *words, *map(shlex.quote, action[1 if len(action) == 2 else 2])])
        case _ if type(action) in (*VERBS.values(), actions.Cut, actions.Heal, actions.SetLink, actions.SetClock,
                                   actions.DiskLimit, actions.CloseClient):  # fmt: skip
            text = describe(action)
        case _:
            text = choosing.written(action)
    try:
        return text if "\n" not in text and text and _exactly(text) == action else ""
    except (ActionError, ValueError):
        return ""


def _exactly(text: str) -> Action:
    """Return the action that the words of a line with its steps mean. Raises ActionError."""
    if text.startswith("{"):
        raise ActionError("a line of JSON needs no time before it")
    verb, _, rest = text.partition(" ")
    named = verb == "client"
    name, prompt, command = (rest if named else text).partition(">")
    if prompt and " " not in name:
        argv = split_args(command.strip())
        if not argv:
            raise ActionError("a command is missing, or its quotes are unbalanced")
        return actions.SendCommand(name if named else PROMPT + name, tuple(argv))
    words = shlex.split(rest)
    if verb == "connect" and len(words) == 2:
        return actions.OpenClient(*words)
    if verb in choosing.USAGE:
        return choosing.read(verb, words)
    return action_of(verb, words)


class _Reader:
    """What has been read of a text so far."""

    def __init__(self) -> None:
        self.spec: ScenarioSpec | None = None
        self.seed: int | None = None
        self.runner: ScenarioRunner | None = None
        self.spans: list[tuple[int, int]] = []

    def begin(self, adds: bool) -> ScenarioRunner:
        """Return the runner: its history begins with the first action, with the scenario's nodes if it adds none."""
        if self.runner is None:
            spec = self.spec or ScenarioSpec(id="", title="", summary="", nodes={}, steps=())
            history = History(spec.seed if self.seed is None else self.seed)
            self.runner = ScenarioRunner(spec, history=history, resumed=adds)
        return self.runner

    def take(self, line: str) -> None:
        """Take a line. Raises ActionError, HistoryError, LookupError or Problem."""
        verb, _, rest = line.partition(" ")
        if self.runner is None and verb == "seed":
            if not rest.strip().isdigit() or len(rest.strip()) > 18:
                raise ActionError("seed NUMBER")
            self.seed = int(rest)
        elif self.runner is None and verb == "scenario":
            self.spec = read_scenario(find(rest.strip()))
        elif self.runner is None and verb == "steps":
            pairs = [span.partition("-") for span in rest.split()]
            self.spans = [(int(began), int(ended)) for began, _, ended in pairs]
        elif line.startswith("{"):
            self.begin(adds=True).history.again(_json(line))
        else:
            found = _LINE.fullmatch(line)
            if found is None:
                raise ActionError("not readable")
            self._act(found[1], found[2], found[3])

    def _act(self, at: str | None, steps: str | None, text: str) -> None:
        runner = self.begin(text.startswith(("add ", "add-sentinel ")))
        history = runner.history
        at_us = BEGINNING_US + round(float(at) * _US) if at is not None else 0
        if text.startswith("end"):
            digest = text.removeprefix("end").strip()
            if steps is None or not _HASH.fullmatch(digest):
                raise ActionError("TIME #STEPS end HASH")
            history.again({"steps": int(steps), "at": at_us, "hash": digest})
        elif steps is not None and at is not None:
            history.again({"steps": int(steps), "at": at_us, **_as_json(_exactly(text))})
        else:
            if at is not None:
                history.run(at_us)
            if text == "step":
                if runner.next_step is None:
                    raise ActionError("the scenario has no further step")
                runner.step()
            else:
                run_line(history, text.removeprefix("client "), runner.spec.clients)


def _json(line: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except json.JSONDecodeError as error:
        raise ActionError(f"this line is not JSON, from column {error.colno} on: it may have been cut off") from None
    if not isinstance(read, dict):
        raise ActionError("not an object")
    return read


def _as_json(action: Action) -> dict[str, Any]:
    line = Input(0, 0, action).as_line()
    return {"do": line["do"], "with": line["with"]}


def read_recipe(text: str) -> tuple[ScenarioSpec, History]:
    """Return the scenario and the history of a text. Raises HistoryError, with the line and the reason."""
    reader = _Reader()
    on_one_line = "\n" not in text.strip()  # as an argument of the command: parted by semicolons
    for number, line in enumerate(text.split(";") if on_one_line else text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            reader.take(line)
        except (HistoryError, ActionError, LookupError, Problem, KeyError, TypeError, ValueError) as error:
            told = error if isinstance(error, Problem) or not error.args else error.args[0]
            reason = str(told) or "it is different here from what was recorded"
            if reader.runner is None or not reader.runner.history.trace:
                raise HistoryError(f"line {number}: {reason}") from None
            reader.runner.history.warning = f"Line {number}: {reason}. What comes before it is opened."
            break
    runner = reader.begin(adds=False)
    if reader.spans:
        runner.take_spans({runner.history.branch_name: reader.spans})
    spec = reader.spec or spec_of(runner.history, "A history from its actions", "Its seed and actions were given.")
    runner.history.about = About(spans=runner.kept_spans).as_json()
    return spec, runner.history
