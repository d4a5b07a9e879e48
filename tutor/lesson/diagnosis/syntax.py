"""Walking the grammar of a command: which word is missing, surplus, misplaced, of the wrong kind or nearly right.

The walk takes the longest beginning of the line that the argument tree accepts, and looks at what was expected next.
Redis reads numbers more strictly than its hints do, so the words that fill numbers are looked at once more.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Sequence

from tutor.lesson import typed
from tutor.lesson.diagnosis import commands
from tutor.lesson.diagnosis.model import Diagnosis, code, is_number, nearest, nearly, role_of, word_set
from tutor.prompt import CommandDoc, CommandDocs
from tutor.prompt.grammar import Argument, ArgumentMatch, Expected, expected, match, placed

MOST = 64  # words that are walked
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})")
_DOUBLE = re.compile(r"\(?[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|\(?[-+]?inf(inity)?", re.I)
_UNIT = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*(ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?|d|days?|k|kb|mb|gb|%)", re.I
)
_WORDS_FOR_NUMBERS = word_set(
    "zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty "
    "hundred thousand million"
)
_PLACEHOLDERS = word_set(
    "key value field member score seconds milliseconds name number element count start stop min max index "
    "pattern channel message script numkeys increment amount"
)


_TWO_FORMS = {"CLIENT KILL"}  # whose tree does not tell their forms apart


def walk(
    argv: Sequence[str], about: Collection[str] = (), known: Collection[str] = (), kind: str = ""
) -> Diagnosis | None:
    """Return what keeps a command from following its syntax; None if it follows it, or is unknown.

    `about`: the lesson's commands; `known`: the task's words; `kind`: the type of the value under the first key.
    """
    if len(argv) == 2 and (missing := sentinel_word(argv, 2)):
        return _say("name", f"{missing} is missing after {code(argv[1])}.")
    if (sentinel := CommandDocs.of_sentinel().find(list(argv))) is not None:
        return _subcommand(sentinel[0], list(argv[1:])) if sentinel[0].is_container else None
    found = CommandDocs.load().find(list(argv))
    if found is None:
        return None
    command, length = found
    words = list(argv[length:])
    if command.name.startswith("BITFIELD"):
        words = [word.removeprefix("#") for word in words]  # an offset that is counted in fields
    if command.is_container or (command.subcommands and not words and length == 1 and command.name != "COMMAND"):
        return _subcommand(command, words)
    if len(words) > MOST or command.name in _TWO_FORMS:
        return None
    return (
        _fixed_pair(command, words)
        or _missing_or_surplus(command, argv, words, about, known, kind)
        or _bounds(command, words)
        or _numbers(command, argv, words)
        or _token_as_value(command, argv, words, known)
    )


_OF_A_MASTER = word_set("MASTER REPLICAS SLAVES SENTINELS GET-MASTER-ADDR-BY-NAME FAILOVER CKQUORUM REMOVE SET RESET")


def sentinel_word(argv: Sequence[str], at: int) -> str:
    """Return how the word at a place of a command of Sentinel is called, if it names a master; nothing otherwise."""
    if at != 2 or argv[0].upper() != "SENTINEL" or argv[1].upper() not in _OF_A_MASTER:
        return ""
    return "The name of the master"


def _first(name: str) -> str:
    role = role_of(name)
    return role[0].upper() + role[1:]


def _say(slot: str, text: str, near: bool = True) -> Diagnosis:
    return Diagnosis("syntax", slot, text, near)


_SUBCOMMANDS = {
    "SAVE": ("REWRITE",), "WRITE": ("REWRITE",), "STORE": ("REWRITE", "LOAD"), "DEL": ("DELETE", "DELUSER"),
    "REMOVE": ("DELETE", "DELUSER", "REMOVE"), "ADD": ("SETUSER", "LOAD", "CREATE"), "CREATE": ("SETUSER", "LOAD"),
    "SHOW": ("GET", "LIST", "INFO"), "READ": ("GET",), "CHANGE": ("SET", "SETUSER"), "NAME": ("SETNAME", "GETNAME"),
    "USER": ("GETUSER", "SETUSER"), "COUNT": ("LEN", "NUMSUB"), "CLEAR": ("RESET", "FLUSH"),
}  # fmt: skip


def _subcommand(command: CommandDoc, words: list[str]) -> Diagnosis | None:
    known = sorted(command.subcommands)
    if not words:
        some = ", ".join(code(name) for name in known[:4])
        return _say(
            "subcommand",
            f"{code(command.name)} needs a second word: {some} … ({code(command.name + ' HELP')} lists all.)",
        )
    if words[0].upper() in command.subcommands:
        return None
    upper = words[0].upper()
    near = nearest(upper, known) or next((each for each in known if each.startswith(upper)), "")
    near = near or next((each for each in known if len(upper) > 3 and each.endswith(upper)), "")
    near = near or next((each for each in _SUBCOMMANDS.get(upper, ()) if each in known), "")
    text = f"{code(command.name)} has no subcommand {code(words[0])}."
    return _say(
        "subcommand",
        text + (f" Did you mean {code(near)}?" if near else f" {code(command.name + ' HELP')} lists what it has."),
    )


def _values(found: Sequence[Expected]) -> list[Argument]:
    return [each.argument for each in found if each.token is None]


def _tokens(command: CommandDoc) -> list[str]:
    nodes = [ArgumentMatch(argument) for argument in command.arguments]
    return list(dict.fromkeys(each.token for each in placed(nodes) if each.token))


def accepts(command: CommandDoc, words: Sequence[str]) -> int:
    """Return how many of the words, from the first on, the syntax accepts."""
    for count in range(len(words), 0, -1):
        if match(command.arguments, list(words[:count]))[1]:
            return count
    return 0


def _missing_or_surplus(
    command: CommandDoc,
    argv: Sequence[str],
    words: list[str],
    about: Collection[str],
    known: Collection[str],
    kind: str,
) -> Diagnosis | None:
    if not command.arguments:
        if not words or not _takes_nothing(command):
            return None
        return _surplus(command, argv, words, 0, about, known)
    if typed.parse(list(argv)) is not None:
        return None
    if doubled := _doubled(argv):
        return doubled
    if found := _two_commands(argv) or _filler(argv, known) or _joined(command, argv, words):
        return found
    if counted := _counted(command, words):
        return counted
    if misplaced := misplaced_option(argv, known):
        return misplaced
    count = accepts(command, words)
    nodes, _ = match(command.arguments, words[:count])
    next_ = expected(nodes)
    if count == len(words):
        return _missing(command, argv, words, nodes, about)
    return _misfit(command, argv, words, count, next_, about, known, kind)


def _counted(command: CommandDoc, words: list[str]) -> Diagnosis | None:
    """Look at the keys that a number announces, and at what follows them."""
    names = [argument.name for argument in command.arguments]
    if "numkeys" not in names or command.arguments[names.index("numkeys")].optional:
        return None
    place = names.index("numkeys")
    if place >= len(words) or not words[place].isdigit():
        return None
    keys, rest = int(words[place]), words[place + 1 :]
    if keys > len(rest):
        return _say("numkeys", f"The number of keys is {keys}, but only {len(rest)} words follow it.")
    tokens = _tokens(command)
    if not tokens or not rest[keys:] or rest[keys].upper() in tokens:
        return None
    word = rest[keys]
    if near := nearest(word.upper(), tokens):
        return _say("option", f"{command.name} has no option {code(word)}. Did you mean {code(near)}?")
    return _say("numkeys", f"The number of keys is {keys}, so {code(word)} is not a key.")


def _doubled(argv: Sequence[str]) -> Diagnosis | None:
    """Two equal words next to each other, without one of which the line would follow the syntax."""
    for at, (a, b) in enumerate(itertools.pairwise(argv)):
        if a.upper() == b.upper() and typed.parse([*argv[:at], *argv[at + 1 :]]) is not None:
            return _say("surplus", f"{code(a)} appears twice.")
    return None


def _two_commands(argv: Sequence[str]) -> Diagnosis | None:
    """Two whole commands on one line: `SELECT 3 SET x 1`."""
    for at in range(1, len(argv)):
        if (
            commands.is_command(argv[at])
            and commands.fits(argv[:at])
            and commands.fits(argv[at:])
            and len(argv) > at + 1
        ):
            text = f"{code(argv[at])} is not an argument of {code(argv[0])}."
            return _say("separator", f"{text} If it begins another command, type that on its own line.")
    return None


_FILLERS = word_set("to of from into in as the with")
_BEFORE_A_VALUE = word_set("to as into")  # the others may be the beginning of a sentence that lacks its quotes


def _filler(argv: Sequence[str], known: Collection[str]) -> Diagnosis | None:
    """A word of a sentence, without which the line would be a command: `RENAME a TO b`."""
    for at in range(1, len(argv)):
        text = at > 1 and argv[0].upper() in ("SET", "APPEND", "ECHO", "PUBLISH")
        if (
            argv[at].lower() in (_BEFORE_A_VALUE if text else _FILLERS)
            and argv[at] not in known
            and commands.fits([*argv[:at], *argv[at + 1 :]])
            and len(argv) > 2
        ):
            return _say(
                "surplus",
                f"{code(argv[at])} does not belong here: a command does not have such words between its arguments.",
            )
    return None


_NUMBER_WITH_A_WORD = re.compile(r"(-?\d+(?:\.\d+)?)([A-Za-z]+)|([A-Za-z]+)(-?\d+(?:\.\d+)?)")


_ADDRESS = re.compile(r"(localhost|(?:[\w-]+\.)+[\w-]+):(\d+)")


def _joined(command: CommandDoc, argv: Sequence[str], words: Sequence[str]) -> Diagnosis | None:
    """A number and an option in one word (`EX120`, `100km`), or a host and its port."""
    head, tokens = list(argv[: len(argv) - len(words)]), {each.upper() for each in _tokens(command)}
    for at, word in enumerate(words):
        if found := _NUMBER_WITH_A_WORD.fullmatch(word):
            parts = [each for each in found.groups() if each]
        elif found := _ADDRESS.fullmatch(word):
            parts = list(found.groups())
        else:
            continue
        meant = any(each.upper() in tokens for each in parts) or len(found.groups()) == 2
        if meant and commands.fits([*head, *words[:at], *parts, *words[at + 1 :]]):
            return _say(
                "pair", f"{code(word)} is a single word: put a space between {code(parts[0])} and {code(parts[1])}."
            )
    return None


def _takes_nothing(command: CommandDoc) -> bool:
    first, _, rest = command.name.lower().partition(" ")
    found = typed.declared(first.encode())
    if found is not None and rest:
        found = (found.subcommands or {}).get(rest.encode())
    return found is not None and found.arity == len(command.name.split())


def _missing(
    command: CommandDoc,
    argv: Sequence[str],
    words: list[str],
    nodes: Sequence[ArgumentMatch],
    about: Collection[str],
) -> Diagnosis | None:
    name = command.name
    if glued := _glued(argv, command):
        return glued
    if fixed := _fixed_words(command.arguments, words):
        return fixed
    next_ = expected(nodes)
    values = _values(next_)
    untouched = [node.argument for node in nodes if not node.argument.optional and not node.matched]
    if words and values and untouched and untouched[0].type not in ("oneof", "block", "pure-token"):
        filled = {node.argument.name for node in nodes if node.matched and node.argument.multiple and node.value_seen}
        if values[0].name in filled:
            values = [untouched[0]]
    options = [each.token for each in next_ if each.token]
    token = next((each.token for node in _open_tokens(command, words) for each in [node]), None)
    if token and words and words[-1].upper() == token.upper() and values:
        return _say(values[0].name, f"{code(words[-1])} needs a value after it: {role_of(values[0].name)}.")
    if values:
        behind = code(words[-1]) if words else code(name)
        text = f"{_first(values[0].name)} is missing after {behind}."
        other = commands.sibling(argv, about)
        if other in about and name not in about:
            text += f" ({code(other)} takes exactly these words.)"
        return _say(values[0].name, text)
    if options:
        some = " or ".join(code(each) for each in options[:3])
        return _say("option", f"After {code(words[-1] if words else name)}, {some} is missing.")
    return None


def _fixed_words(arguments: Sequence[Argument], words: Sequence[str]) -> Diagnosis | None:
    """The beginning of words that belong together, or all of them run together: `REPLICAOF NO`, `REPLICAOF NONE`."""
    for argument in arguments:
        tokens = [each.token for each in argument.arguments if each.type == "pure-token" and each.token]
        if argument.type == "block" and len(tokens) == len(argument.arguments) > 1:
            if 0 < len(words) < len(tokens) and [word.upper() for word in words] == tokens[: len(words)]:
                return _say("option", f"{code(tokens[len(words)])} is missing after {code(words[-1])}.")
            joined = "".join(tokens)
            if len(words) == 1 and (words[0].upper() == joined or nearly(words[0].upper(), joined)):
                return _say("option", f"{code(' '.join(tokens))} is written as {len(tokens)} words.")
        elif found := _fixed_words(argument.arguments, words):
            return found
    return None


def _glued(argv: Sequence[str], command: CommandDoc) -> Diagnosis | None:
    """A key and its value in one word: `SET user:1=Ada`, `HSET k name:Ada`."""
    for word in argv[1:]:
        name, mark, value = word.partition("=")
        if mark and name and value:
            return _say(
                "pair", f"{code(word)} is a single word: put a space, and no `=`, between a name and its value."
            )
    return None


def _open_tokens(command: CommandDoc, words: Sequence[str]) -> Iterator[Argument]:
    nodes, _ = match(command.arguments, list(words))
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.argument.token and node.token_seen and node.argument.type != "pure-token" and not node.value_seen:
            yield node.argument
        waiting += node.children


def _misfit(
    command: CommandDoc,
    argv: Sequence[str],
    words: list[str],
    count: int,
    next_: list[Expected],
    about: Collection[str],
    known: Collection[str],
    kind: str,
) -> Diagnosis | None:
    word = words[count]
    tokens = _tokens(command)
    upper = word.upper()
    values = _values(next_)
    wanted_number = next((each for each in values if each.type in ("integer", "double", "unix-time")), None)
    if word in ("=", ",", ":", "->", "=>"):
        return _say("pair", f"{code(word)} is a separate word here: leave it out, a space is enough.")
    if (unit := _UNIT.fullmatch(word)) and wanted_number is not None:
        return _say(
            wanted_number.name,
            f"{_first(wanted_number.name)} is a plain number, without a unit: {code(word)} has {code(unit[2])}.",
        )
    if _UNIT.fullmatch(f"1{word}") and is_number(words[count - 1] if count else ""):
        return _say(
            "surplus",
            f"{code(word)} does not belong here: a time is a number whose unit depends on the command or option.",
        )
    if wanted_number is not None and upper not in tokens:
        name = wanted_number.name
        if name == "numkeys":
            return _say(
                "numkeys",
                f"The number of keys is missing before {code(word)}: it says how many of the next words are keys.",
            )
        behind = words[count + 1] if count + 1 < len(words) else ""
        if swapped := _key_behind(command, words, count):
            return swapped
        if is_number(behind):
            return _say(name, f"{code(word)} and {code(behind)} are in the wrong order: {role_of(name)} comes first.")
        return _say(name, f"{_first(name)} must be a number, but {code(word)} is in its place.")
    open_token = next(iter(_open_tokens(command, words[:count])), None)
    token_near = upper if upper in tokens else nearest(upper, tokens) or _turned(upper, tokens)
    if upper not in tokens and token_near and not (word in known and not nearly(upper, token_near)):
        return _say(
            "option", f"{command.name.split()[0]} has no option {code(word)}. Did you mean {code(token_near)}?"
        )
    if upper in tokens:
        if any(each.upper() == upper for each in words[:count]):
            return _say("option", f"{code(word)} appears twice.")
        if open_token is not None:
            return _say(
                open_token.name,
                f"{code(open_token.token or '')} needs a value after it, but {code(word)} follows.",
            )
        needed = next((each for each in values if not each.optional), None)
        if needed is not None and not any(each.token and each.token.upper() == upper for each in next_):
            return _say(needed.name, f"{code(word)} comes too early: {role_of(needed.name)} is missing before it.")
        return _excludes(command, words[:count], word)
    required = [each.token for each in next_ if each.token and not each.argument.optional]
    if required and not values and not _ends_here(command, argv, count):
        some = " or ".join(code(each) for each in required[:5])
        behind = code(words[count - 1]) if count else code(command.name)
        return _say("option", f"After {behind} comes {some}, not {code(word)}.")
    return _surplus(command, argv, words, count, about, known)


def _key_behind(command: CommandDoc, words: Sequence[str], place: int) -> Diagnosis | None:
    """Look at a word in the place of a number, behind a number in the place of the key: `INCRBY 5 visits`."""
    if place != 1 or command.arguments[0].type != "key" or not is_number(words[0]):
        return None
    return _say("key", f"{code(words[0])} and {code(words[1])} are in the wrong order: the key comes first.")


def _turned(word: str, tokens: Sequence[str]) -> str:
    return next((each for each in tokens if len(each) == len(word) == 2 and each == word[::-1]), "")


def _ends_here(command: CommandDoc, argv: Sequence[str], count: int) -> bool:
    return typed.parse(list(argv[: len(command.name.split()) + count])) is not None


def _excludes(command: CommandDoc, before: Sequence[str], word: str) -> Diagnosis:
    tokens = set(_tokens(command))
    others = [each for each in before if each.upper() in tokens]
    if others:
        return _say("option", f"{code(word)} cannot be combined with {code(others[-1])}, or is in the wrong place.")
    return _say("option", f"{code(word)} is in the wrong place: options come after the required words.")


def _surplus(
    command: CommandDoc,
    argv: Sequence[str],
    words: list[str],
    count: int,
    about: Collection[str],
    known: Collection[str],
) -> Diagnosis:
    more = words[count:]
    name = command.name
    shown = code(" ".join(more))
    last = words[count - 1] if count else ""
    sentence = " ".join([last, *more])
    quotes = (
        f"{code(name)} does not accept {shown} after {code(last or name)}. "
        "A value with spaces needs quotes around it."
    )
    if any(" " in each and each in sentence for each in known):
        return _say("quote", quotes)
    other = commands.sibling(argv, about)
    if last and _takes_text(command, words[:count]) and not (other in about and name not in about):
        whole = f'`"{sentence}"`' if len(sentence) <= _SHORT and sentence.isprintable() else ""
        if whole and not set(sentence) & set('"\\`'):
            return _say(
                "surplus",
                f"{code(name)} does not accept a word after {code(last)}. A value with spaces needs quotes: {whole}.",
            )
        return _say("surplus", quotes)
    letters = last[:1].isalpha() and more[0][:1].isalpha()
    if other and (other in about or len(more) == 1 or not letters):
        return _say(
            "command",
            f"{code(other)} takes exactly these words; {code(name)} accepts nothing after {code(last or name)}.",
        )
    if not command.arguments:
        return _say("surplus", f"{code(name)} does not take arguments: leave {shown} out.")
    if letters:
        return _say("surplus", quotes)
    return _say(
        "surplus",
        f"{shown} does not belong here: {code(name)} accepts nothing after {code(last or name)}.",
    )


_TEXTS = frozenset(("value", "message", "element"))  # arguments that may well be a sentence
_SHORT = 40  # characters of a value that is shown in quotes


def _takes_text(command: CommandDoc, words: Sequence[str]) -> bool:
    """Return whether the last of the words that a command accepts fills an argument that may be a sentence."""
    parsed = typed.parse([*command.name.split(), *words])
    if parsed is None or not parsed.places:
        return False
    last = parsed.places[-1]
    return last.type == "string" and last.name in _TEXTS and last.token is None


def _bounds(command: CommandDoc, words: Sequence[str]) -> Diagnosis | None:
    """Look at bounds of a range that is by index: scores and names need an option."""
    if command.name != "ZRANGE" or {"BYSCORE", "BYLEX"} & {word.upper() for word in words}:
        return None
    word = next((each for each in words[1:3] if not _INTEGER.fullmatch(each)), "")
    if not word:
        return None
    wanted = "BYLEX" if word[0] == "[" else "BYSCORE"
    return _say(
        "option",
        f"{code(word)} is not an index, and `ZRANGE` takes indexes unless it has an option such as `{wanted}`.",
    )


def _fixed_pair(command: CommandDoc, words: list[str]) -> Diagnosis | None:
    """Look for fixed words of which only the first is right: `REPLICAOF NO NONE` names a host `NO`."""
    for argument in command.arguments:
        for block in argument.arguments if argument.type == "oneof" else ():
            tokens = [each.token or "" for each in block.arguments if each.type == "pure-token"]
            typed_words = [word.upper() for word in words[: len(tokens)]]
            is_fixed = 1 < len(tokens) == len(block.arguments)
            if is_fixed and len(words) > 1 and typed_words[0] == tokens[0] and typed_words != tokens:
                return _say(block.name, f"Did you mean {code(' '.join([command.name, *tokens]))}?")
    return None


def _numbers(command: CommandDoc, argv: Sequence[str], words: list[str]) -> Diagnosis | None:
    """Look again at the words that fill numbers: `120s` and `3x` begin with one and are none."""
    parsed = typed.parse(list(argv))
    if parsed is None:
        return None
    for place, (argument, word) in enumerate(zip(parsed.places, words, strict=False)):
        if argument.token and argument.token.upper() == word.upper():
            continue
        double = argument.type == "double"
        if argument.type not in ("integer", "double", "unix-time") or (_DOUBLE if double else _INTEGER).fullmatch(
            word
        ):
            continue
        role = role_of(argument.name)
        if not word:
            return _say(argument.name, f"{role[0].upper() + role[1:]} is empty: a number is expected there.")
        if unit := _UNIT.fullmatch(word):
            return _say(
                argument.name,
                f"{role[0].upper() + role[1:]} is a plain number, without a unit: {code(word)} has {code(unit[2])}.",
            )
        if not double and re.fullmatch(r"-?\d*\.\d+", word):
            return _say(
                argument.name, f"{role[0].upper() + role[1:]} must be a whole number, but {code(word)} has decimals."
            )
        if "," in word and is_number(word.replace(",", "")):
            subject = role[0].upper() + role[1:]
            if double:
                text = f"{subject} is written with a comma, {code(word)}: the decimals follow a point."
            else:
                text = f"{subject} is written without commas: {code(word)} is not a number to Redis."
            return _say(argument.name, text)
        if word.startswith("+") and is_number(word[1:]):
            return _say(argument.name, f"Redis does not accept a plus sign: {role} is {code(word[1:])}.")
        if swapped := _key_behind(command, words, place):
            return swapped
        behind = words[place + 1] if place + 1 < len(words) else ""
        if behind and is_number(behind):
            return _say(argument.name, f"{code(word)} and {code(behind)} are in the wrong order: {role} comes first.")
        if word.lower() in _PLACEHOLDERS:
            return _say("placeholder", f"{code(word)} is a placeholder of the syntax: put {role} there.")
        return _say(argument.name, f"{role[0].upper() + role[1:]} must be a number, but {code(word)} is not one.")
    return None


def _token_as_value(
    command: CommandDoc, argv: Sequence[str], words: list[str], known: Collection[str]
) -> Diagnosis | None:
    """An option in the place of a value: `SET k EX 120 v` fails later, and `SET k NX` stores the text NX."""
    parsed = typed.parse(list(argv))
    places = parsed.places if parsed is not None else []
    tokens = set(_tokens(command))
    for argument, word in zip(places, words, strict=False):
        if (
            argument.token is None
            and argument.type == "string"
            and word.upper() in tokens
            and word == word.upper()
            and word not in known
        ):
            return _say(
                argument.name,
                f"{code(word)} is where {role_of(argument.name)} belongs: options come after it.",
                near=False,
            )
    return None


def misplaced_option(argv: Sequence[str], known: Collection[str] = ()) -> Diagnosis | None:
    """Return what to say when an option was typed where a value belongs, in a line that failed."""
    found = CommandDocs.load().find(list(argv))
    if found is None:
        return None
    command, length = found
    tokens = set(_tokens(command))
    words = list(argv[length:])
    for position, argument in enumerate(command.arguments):
        if position >= len(words) or argument.optional or argument.multiple or argument.token is not None:
            return None
        if (
            argument.type in ("string", "key")
            and words[position].upper() in tokens
            and words[position] not in known
            and words[position].isupper()
        ):
            return _say(
                argument.name,
                f"{code(words[position])} is where {role_of(argument.name)} belongs: options come after it.",
            )
    return None


def placeholders(argv: Sequence[str]) -> int:
    """Return how many words of a line may be placeholders of the syntax: a single one may be a real name."""
    return sum(word.strip("<>[]{}").lower() in _PLACEHOLDERS for word in argv[1:])


def placeholder(argv: Sequence[str], known: Collection[str] = ()) -> Diagnosis | None:
    """Return what to say about a word of the syntax that was typed as it is."""
    for word in argv[1:]:
        bare = word.strip("<>[]{}")
        if bare.lower() in _PLACEHOLDERS and bare == word.lower() and word not in known and bare not in known:
            return _say("placeholder", f"{code(word)} is a placeholder of the syntax: type what it stands for.")
    return None
