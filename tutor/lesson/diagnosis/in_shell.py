"""Comparing a line of a shell with the task: its words, and the options of redis-cli."""

import itertools
from collections.abc import Sequence

from tutor.cluster.subcommands import SUBCOMMANDS
from tutor.lesson import typed
from tutor.lesson.diagnosis.goal import Goal, as_user, name_of, named_alike
from tutor.lesson.diagnosis.model import Diagnosis, code, nearest, without_digits
from tutor.lesson.diagnosis.slots import alike, difference, sentence
from tutor.prompt.words import to_bytes


def as_meant(words: Sequence[str]) -> list[str]:
    """Return a line without `sudo`, with what may be written in several ways written in one.

    That is the command that redis-cli is given, and the tests of redis-benchmark.
    """
    words = as_user(words)
    if words[:1] == ["redis-benchmark"]:
        return [",".join(sorted(word.split(","))) for word in words]
    passed = list(typed.commands([to_bytes(each) for each in words]))[1:] if words[:1] == ["redis-cli"] else []
    if not passed:
        return words
    inner = passed[-1]
    at = next(at for at in range(1, len(words)) if words[at : at + len(inner)] == inner)
    return [*words[:at], *named_alike(inner), *words[at + len(inner) :]]


def in_a_shell(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a line of a shell that is one of the solution but for one word."""
    have = as_meant(words)
    if found := _cluster_subcommand(as_user(words)):
        return found
    for wanted in goal.lines:
        want = as_meant(wanted.full)
        if not want or want == have:
            continue
        if have == want[1:]:
            return Diagnosis("goal", "command", "The name of the command is missing: a line begins with it.")
        if len(have) == len(want) + 1:
            for at in range(len(have) - 1):
                if have[at] == have[at + 1] and [*have[:at], *have[at + 1 :]] == want:
                    return Diagnosis("goal", "word", f"{code(have[at])} appears twice.")
        if len(have) == len(want) - 1:
            for at in range(1, len(want)):
                if have == [*want[:at], *want[at + 1 :]]:
                    return Diagnosis("goal", "word", f"A word is missing after {code(want[at - 1])}.")
        if len(have) != len(want):
            continue
        off = [at for at, (a, b) in enumerate(zip(have, want, strict=True)) if a != b]
        if len(off) == 1 and (
            have[off[0]].casefold() == want[off[0]].casefold()
            or alike(have[off[0]], want[off[0]])
            or without_digits(have[off[0]]) == without_digits(want[off[0]])
        ):
            return sentence(goal, wanted, difference(goal, "word", want[off[0]], have[off[0]]))
        if len(off) == 2 and sorted(have) == sorted(want) and not any(have[at].startswith("-") for at in off):
            return Diagnosis("goal", "word", f"{code(have[off[0]])} and {code(have[off[1]])} are in the wrong order.")
    return _redis_cli(goal, have)


def _cluster_subcommand(have: Sequence[str]) -> Diagnosis | None:
    """Return what is wrong with the word after `--cluster`."""
    if "redis-cli" not in have or "--cluster" not in have:
        return None
    at = have.index("--cluster")
    name, rest = (have[at + 1], have[at + 2 :]) if at + 1 < len(have) else ("", [])
    if name in SUBCOMMANDS:
        if name in rest:
            return Diagnosis("line", "word", f"{code(name)} appears twice.")
        return None
    moved = next((word for word in have if word in SUBCOMMANDS), "")
    if moved:
        text = f"The subcommand comes directly after `--cluster`: put {code(moved)} there."
    elif name.lower() in SUBCOMMANDS:
        text = f"Subcommands of `--cluster` are in lower case: {code(name)} is not one."
    elif not name or name.startswith("-") or ":" in name:
        text = "The word after `--cluster` is its subcommand. `redis-cli --cluster help` lists them."
    else:
        near = nearest(name, SUBCOMMANDS)
        text = f"`--cluster` does not have a subcommand {code(name)}." + (
            f" Did you mean {code(near)}?" if near else ""
        )
    return Diagnosis("command", "command", text)


_OPTIONS = {"-h": "host", "-n": "database", "-a": "password", "-r": "number of repetitions", "-p": "port"}


def _redis_cli(goal: Goal, have: Sequence[str]) -> Diagnosis | None:
    """Return in which option a call of redis-cli differs from the solution's."""
    if have[:1] != ["redis-cli"]:
        return None
    inner = list(typed.commands([to_bytes(each) for each in have]))[-1]
    for wanted in goal.lines:
        if wanted.full[:1] != ("redis-cli",) or name_of(inner) != wanted.name:
            continue
        ours, theirs = _cli_options(have), _cli_options(wanted.full)
        for option in theirs:
            if option in ours and ours[option] != theirs[option] and goal.is_given(theirs[option]):
                return Diagnosis("goal", "option", f"Look at the {_OPTIONS[option]}: you typed {code(ours[option])}.")
        if missing := [option for option in theirs if option not in ours]:
            return Diagnosis(
                "goal", "option", f"An option of `redis-cli` is missing: one for the {_OPTIONS[missing[0]]}."
            )
    return None


def _cli_options(words: Sequence[str]) -> dict[str, str]:
    return {a: b for a, b in itertools.pairwise(words[1:]) if a in _OPTIONS}
