"""Comparing what was typed with the solution: which word is missing, doubled, swapped, misspelled, or another one."""

from collections.abc import Sequence

from engine.table.declarations import ADMIN, WRITE
from tutor.lesson import typed
from tutor.lesson.diagnosis import commands, syntax
from tutor.lesson.diagnosis.goal import MOST, Goal, Wanted, as_meant, as_user, keys_of, name_of, named_alike
from tutor.lesson.diagnosis.model import Diagnosis, Place, code, is_number, role_of, similar
from tutor.lesson.diagnosis.slots import aligned, closest, difference, differences, groups, misplaced, sentence
from tutor.prompt.words import distance


def edited(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a line that is one of the solution but for one word: doubled, left out, or swapped."""
    have = as_meant(named_alike(words))
    if any(words and list(words) == as_user(each.words)[1:] for each in goal.lines if each.words[:1] != ("sudo",)):
        return Diagnosis("goal", "command", "The name of the command is missing: a line begins with it.")
    for wanted in goal.lines:
        want = named_alike(wanted.words)
        if have == want or not want:
            continue
        if len(have) == len(want) + 1:
            for at in range(len(have) - 1):
                if have[at] == have[at + 1] and _agree(goal, [*have[:at], *have[at + 1 :]], want):
                    role = _role_at(wanted, at)
                    return Diagnosis("goal", role, f"{code(words[at])} appears twice.")
        if len(have) == len(want) - 1:
            for at in range(len(want)):
                role = _role_at(wanted, at)
                if at and have == [*want[:at], *want[at + 1 :]] and (goal.is_given(want[at]) or role == "subcommand"):
                    named = syntax.sentinel_word(want, at) or _named(goal, role, want[at])
                    text = f"{named} is missing after {code(words[at - 1])}."
                    near = role not in _SEVERAL_TIMES or at < 2 or goal.one_command
                    return Diagnosis("goal", role, text, near)
        if len(have) == len(want) and sorted(have) == sorted(want) and not _same_groups(wanted, have):
            off = [at for at, (a, b) in enumerate(zip(have, want, strict=True)) if a != b]
            options = wanted.shell and any(have[at].startswith("-") for at in off)
            if len(off) == 2 and have[0] == want[0] and not options:
                return Diagnosis(
                    "goal",
                    _role_at(wanted, off[0]),
                    f"{code(have[off[0]])} and {code(have[off[1]])} are in the wrong order.",
                )
        if (
            swapped := _swapped(goal, wanted, want, have)
            or _run_together(wanted, want, have)
            or _torn(wanted, want, have)
        ):
            return swapped
    return None


def _torn(wanted: Wanted, want: list[str], have: list[str]) -> Diagnosis | None:
    """Return what to say about a word of the solution that was typed as two: `max memory`."""
    if len(have) != len(want) + 1:
        return None
    for at in range(1, len(want)):
        pair = have[at : at + 2]
        if (
            have[:at] == want[:at]
            and have[at + 2 :] == want[at + 1 :]
            and "".join(pair).casefold() == want[at].casefold()
        ):
            text = f"{code(pair[0])} and {code(pair[1])} are two words: they belong together, without a space."
            return Diagnosis("goal", _role_at(wanted, at), text)
    return None


def _run_together(wanted: Wanted, want: list[str], have: list[str]) -> Diagnosis | None:
    """Return what to say about two words of the solution that were typed as one: `DEL abc`, `NOONE`."""
    extra = len(want) - len(have)
    if not 1 <= extra <= 3:
        return None
    for at in range(1, len(have)):
        if (
            have[:at] == want[:at]
            and have[at + 1 :] == want[at + extra + 1 :]
            and "".join(want[at : at + extra + 1]).casefold() == have[at].casefold()
        ):
            return Diagnosis(
                "goal", _role_at(wanted, at), f"{code(have[at])} is a single word: separate words by spaces."
            )
    return None


def _swapped(goal: Goal, wanted: Wanted, want: list[str], have: list[str]) -> Diagnosis | None:
    """Return what to say if a given word has changed places with one that is the learner's choice: `SET 5 key`."""
    if len(have) != len(want) or have[0] != want[0] or wanted.shell:
        return None
    for at in range(1, len(want)):
        if have[at] == want[at] or not goal.is_given(want[at]) or want[at] not in have:
            continue
        other = have.index(want[at])
        turned = list(have)
        turned[at], turned[other] = have[other], have[at]
        if goal.is_given(want[other]) or not _agree(goal, turned, want):
            continue
        role = _role_at(wanted, at)
        if role != _role_at(wanted, other) and role not in ("command", "subcommand"):
            first, second = sorted((at, other))
            text = f"{code(have[first])} and {code(have[second])} are in the wrong order"
            said = role if at < other else _role_at(wanted, other)
            return Diagnosis("goal", role, f"{text}: {role_of(said)} comes first.")
    return None


_SEVERAL_TIMES = frozenset(
    ("member", "element", "key", "id", "sourcekey", "rule", "field", "data")
)  # what may be given to one command after the other


def _named(goal: Goal, role: str, word: str) -> str:
    if role in ("word", "argument"):
        return "The key" if word in goal.keys else "A word"
    named = "an option" if role == "option" else role_of(role)
    return named[0].upper() + named[1:]


def _agree(goal: Goal, have: Sequence[str], want: Sequence[str]) -> bool:
    """Return whether words are a line of the solution, apart from the learner's own choice."""
    return (
        len(have) == len(want)
        and all(a == b or not goal.is_given(b) for a, b in zip(have, want, strict=True))
        and have[0] == want[0]
    )


def _same_groups(wanted: Wanted, have: Sequence[str]) -> bool:
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(have))
    if wants is None or haves is None or wants.name != haves.name:
        return False
    return aligned(wants.name, wants.positional, haves.positional) == wants.positional


def _role_at(wanted: Wanted, at: int) -> str:
    parsed = typed.parse(list(wanted.words))
    if parsed is None or not parsed.places:
        return "command" if at == 0 else "word"
    place = at - (len(wanted.words) - len(parsed.places))
    if place < 0:
        return "command" if at == 0 else "subcommand"
    argument = parsed.places[place]
    return "option" if argument.token and argument.token.upper() == wanted.words[at].upper() else argument.name


def compare(goal: Goal, words: Sequence[str], place: Place, db: int, needed_db: int = 0) -> Diagnosis | None:
    """Return in which slot a line differs from the closest line of the solution; None if it is not close to any."""
    if not words or len(words) > MOST:
        return None
    words = as_meant(words)
    if found := edited(goal, words):
        return found
    if found := key_elsewhere(goal, words) or _other_pair(goal, words):
        return found
    got = closest(goal, words, place.terminal)
    if got is None:
        return None
    wanted, score = got
    exact = score >= 0.999
    if score < 0.45:
        return None
    if other := _another_form(wanted, words):
        return other
    off = differences(goal, wanted, words)
    if off and wanted.terminal != place.terminal and goal.one_terminal and goal.several_servers and not place.shell:
        return misplaced(goal, wanted, place, db, needed_db, off=True)
    if off:
        rank = {
            "case": 0,
            "space": 0,
            "mark": 0,
            "near": 1,
            "swapped": 1,
            "number": 2,
            "missing": 3,
            "excluding": 3,
            "surplus": 4,
            "other": 5,
        }
        first = min(off, key=lambda each: rank[each.how])
        if first.have in goal.keys and len(goal.lines) > 1:  # the key of another line: perhaps another way to do it
            said = sentence(goal, wanted, first)
            return Diagnosis(said.kind, said.slot, said.text, near=False)
        if name_of(words) == wanted.name or first.how in ("case", "mark", "near", "space"):
            return sentence(goal, wanted, first)
    if (
        (exact or not off)
        and name_of(words) == wanted.name
        and (wrong := misplaced(goal, wanted, place, db, needed_db))
    ):
        return wrong
    if name_of(words) != wanted.name and score >= 0.5 and goal.keys and set(keys_of(words)) & set(goal.keys):
        return Diagnosis(
            "goal",
            "command",
            f"The key is right, but {code(words[0].upper())} does not do what the task asks for.",
            near=_all_but_the_name(goal, wanted, words),
        )
    return None


def wrong_terminal(goal: Goal, words: Sequence[str], place: Place) -> Diagnosis | None:
    """Return what to say about a line of the solution that another terminal does not even know."""
    wanted = next(
        (each for each in goal.lines if tuple(words[1:]) == each.words[1:] and each.name == name_of(words)), None
    )
    return misplaced(goal, wanted, place, 0, 0) if wanted is not None else None


def _another_form(wanted: Wanted, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about another form of the command: `REPLICAOF NO ONE` for `REPLICAOF host port`."""
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(words))
    if wants is None or haves is None or wants.name != haves.name or not wants.positional or haves.positional:
        return None
    if not haves.options or wants.options:
        return None
    shown = code(" ".join(token for token, _ in haves.options))
    return Diagnosis(
        "goal", "option", f"{shown} makes this another form of the command than the task needs.", near=False
    )


def key_elsewhere(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about the task's key behind another word that the task gives: `SETNX France country`."""
    if len(goal.keys) != 1 or len(words) < 3 or words[2] != goal.keys[0] or words[1] in goal.keys:
        return None
    if keys_of(words) != [words[1]] or not goal.is_given(words[1]):
        return None
    return Diagnosis(
        "goal", "key", f"{code(words[1])} and {code(words[2])} are in the wrong order: the key comes first."
    )


_NAMED_VALUES = ("HSET", "HMSET", "MSET", "CONFIG SET")  # pairs of a name and its value, in any order


def _other_pair(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a pair whose name is one of the task's, and whose value is another."""
    name = name_of(words)
    lines = [each for each in goal.lines if each.name == name]
    if name not in _NAMED_VALUES or len(lines) < 2:
        return None
    have, want = typed.parse(list(words)), [typed.parse(list(each.words)) for each in lines]
    had = groups(name, have.positional) if have is not None else None
    wanted = [found for each in want if each is not None and (found := groups(name, each.positional))]
    if had is None:
        return None
    pairs = [group for head, all_ in wanted if head == had[0] for group in all_ if len(group) == 2]
    values = dict(pairs)
    for group in had[1]:
        if (
            len(group) == 2
            and group[0] in values
            and group not in pairs  # a setting can be changed, and changed back
            and goal.is_given(values[group[0]])
        ):
            off = difference(goal, "value", values[group[0]], group[1])
            return sentence(goal, lines[0], off)
    return None


def _all_but_the_name(goal: Goal, wanted: Wanted, words: Sequence[str]) -> bool:
    """Return whether only the command's name differs (`LPUSH`, `RPUSH`): all given words are there."""
    given = [word for word in wanted.words[1:] if goal.is_given(word)]
    if len(goal.lines) > 1:
        return False  # perhaps another way
    relatives = {
        *commands.RELATIVES.get(wanted.name, "").split(),
        *commands.RELATIVES.get(name_of(words), "").split(),
    }
    if (
        len(given) >= 2
        and list(words[1:]) == list(wanted.words[1:])
        and not relatives & {wanted.name, name_of(words)}
    ):
        return True
    if len(wanted.name) != len(words[0]) or distance(wanted.name, words[0].upper(), 2) > 2:
        return False
    return len(given) >= 2 and len(words) == len(wanted.words) and all(word in words for word in given)


def free_slot(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return in which single slot a line differs from the solution, if the task leaves that word to the learner.

    Asked only when the task's conditions do not hold: then that word, whatever it should be, is what keeps them so.
    """
    if len(goal.lines) != 1 or goal.lines[0].shell:
        return None
    wanted = goal.lines[0]
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(words))
    if wants is None or haves is None or wants.name != haves.name:
        return None
    if len(words) == len(wanted.words) - 1:
        return _fewer(goal, wanted, words)
    if len(words) != len(wanted.words):
        return None
    places = [
        place
        for place, (a, b) in enumerate(zip(wanted.words, words, strict=True))
        if a != b and a.upper() != b.upper()
    ]
    skip = len(words) - len(haves.places)
    if len(places) != 1 or not 0 <= places[0] - skip < len(haves.places):
        return None
    want, have = wanted.words[places[0]], words[places[0]]
    role = role_of(haves.places[places[0] - skip].name)
    given = sum(goal.is_given(word) for word in wanted.words[skip:])
    near = (
        distance(want, have, 2) <= 2
        or (is_number(want) and is_number(have))
        or (len(want) > 4 and similar(have, [want]) >= 0.5)
        or bool(
            given and typed.reach([each.encode("utf-8", "surrogateescape") for each in words])[0] & (WRITE | ADMIN)
        )
    )
    text = f"Right command, but look at {role}: {code(have)} does not give the result that the task asks for."
    return Diagnosis("goal", haves.places[places[0] - skip].name, text, near)


def same_form(goal: Goal, words: Sequence[str]) -> bool:
    """Return whether a line is the solution's command with as many words, of which only its values may differ."""
    if len(goal.lines) != 1 or goal.lines[0].shell or len(words) != len(goal.lines[0].words):
        return False
    return name_of(words) == goal.lines[0].name and list(words) != list(goal.lines[0].words)


def _fewer(goal: Goal, wanted: Wanted, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a line of the solution without one of its words, which was the learner's choice."""
    for at in range(1, len(wanted.words)):
        if tuple(words[1:]) == (*wanted.words[1:at], *wanted.words[at + 1 :]):
            role = _role_at(wanted, at)
            named = role if role in ("option", "word") else role_of(role).removeprefix("the ")
            writes = bool(typed.reach([each.encode("utf-8", "surrogateescape") for each in words])[0] & WRITE)
            near = writes and (role not in _SEVERAL_TIMES or goal.one_command or not goal.keys)
            return Diagnosis("goal", role, f"Right command, but at least one {named} is missing.", near)
    return None
