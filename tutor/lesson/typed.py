"""What was typed, parsed as a command: name, positional arguments, and options in any order.

A condition names a command by a pattern such as `SET lock:stock * NX`. Pattern and line are parsed with the argument
tree of the command (`tutor.prompt.grammar`), and compared part by part:

- names and tokens (`NX`, `EX`) in any case; `EVAL_RO` and `EVALSHA` count as `EVAL`, `SLAVEOF` as `REPLICAOF`;
- the positional arguments one by one, `*` for anything; a last word `*` for any more of them;
- each option of the pattern has to be there, wherever it was typed; others may be there as well.

A line that is not a Redis command, or that does not follow its syntax, is compared word by word. Nothing can be
concluded from what it does not contain (see `lacks`): only a line that was parsed can prove a mistake.
"""

import fnmatch
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.table.declarations import Command as Declaration
from tutor.lesson import benchmark
from tutor.prompt import CommandDocs, split_args, to_text
from tutor.prompt.grammar import Argument, is_number
from tutor.prompt.words import to_bytes

_NAMES = {"SLAVEOF": "REPLICAOF"}
_FLAGS_WITH_VALUE = (
    "-h", "-p", "-a", "-n", "-s", "-u", "-r", "-i", "-d", "-D", "--user", "--pass", "--pattern", "--count",
)  # fmt: skip


@dataclass(slots=True)
class Parsed:
    """A parsed command. `open`: a pattern that allows any further arguments."""

    name: str
    positional: list[str] = field(default_factory=list)
    options: list[tuple[str, list[str]]] = field(default_factory=list)
    open: bool = False
    last: list[str] = field(default_factory=list)  # the list to which the last word was added
    places: list[Argument] = field(default_factory=list)  # of each word after the name: the argument that it fills


class _Misfit(Exception):  # noqa: N818
    """The words do not follow the syntax."""


def parse(words: Sequence[str], pattern: bool = False) -> Parsed | None:
    """Parse a line or a pattern as a command; None if it is not a command or does not follow its syntax.

    The result is shared, and not to be changed.
    """
    return _parsed(tuple(words), pattern)


@functools.lru_cache(maxsize=256)
def _parsed(words: tuple[str, ...], pattern: bool) -> Parsed | None:
    parsed = _parse(words, pattern, False)
    if not pattern or len(words) < 2 or words[-1] != "*":
        return parsed
    if parsed is not None and parsed.last is not parsed.positional:  # the value of an option: `EX *`
        return parsed
    return _parse(words[:-1], pattern, True)


def _parse(words: Sequence[str], pattern: bool, open_ended: bool) -> Parsed | None:
    found = CommandDocs.load().find(words)
    if found is None or found[0].is_container:
        return None
    command, length = found
    parsed = Parsed(_canonical(command.name), open=open_ended)
    if not command.arguments:  # undocumented, such as DEBUG SLEEP
        parsed.positional += words[length:]
        return parsed
    try:
        rest = _TypedReader(words[length:], pattern, parsed).all(command.arguments, parsed.positional)
    except _Misfit:
        return None
    return parsed if not rest else None


def _canonical(name: str) -> str:
    base = name.removesuffix("_RO")
    return _NAMES.get(name, base if base != name and CommandDocs.load().find([base]) else name)


class _TypedReader:
    """A parser from words to a `Parsed`, by the rules of `grammar.take_all`."""

    def __init__(self, words: Sequence[str], pattern: bool, parsed: Parsed) -> None:
        self.words = list(words)
        self.pattern = pattern
        self.parsed = parsed
        self.numkeys: int | None = None  # how many keys there are, where a number before them says it

    def all(self, arguments: Sequence[Argument], values: list[str]) -> list[str]:
        """Take the arguments in order, adjacent optional ones in any order; return the rest."""
        at = 0
        while at < len(arguments):
            if not arguments[at].optional:
                if not self.words and self.parsed.open:
                    return []
                if not self.one(arguments[at], values, _required(arguments[at + 1 :])):
                    raise _Misfit
                at += 1
                continue
            end = at
            while end < len(arguments) and arguments[end].optional:
                end += 1
            run = list(arguments[at:end])
            reserved = _required(arguments[end:])
            while self.words:
                if len(self.words) <= reserved:  # AUTH password: the optional name before it is not there
                    run = [each for each in run if each.token is not None or each.type in ("oneof", "pure-token")]
                taken = next((each for each in run if self.one(each, values)), None)
                if taken is None:
                    break
                run.remove(taken)
            at = end
        return self.words

    def one(self, argument: Argument, values: list[str], reserved: int = 0) -> bool:
        """Take an argument with its repetitions, leaving `reserved` words; return whether it was present."""
        if not self._once(argument, values, argument.token):
            return False
        limit = self.numkeys if argument.type == "key" else None
        count = 1
        while argument.multiple and len(self.words) > reserved and (limit is None or count < limit):
            count += 1
            token = argument.token if argument.multiple_token else None
            if not self._once(argument, values, token):
                break
        return True

    def _once(self, argument: Argument, values: list[str], token: str | None) -> bool:
        before, options, places = list(self.words), len(self.parsed.options), len(self.parsed.places)
        length = len(values)
        try:
            if token is not None:
                if not self.words or self.words[0].lower() != token.lower():
                    return False
                self.words.pop(0)
                self.parsed.places.append(argument)
                values = []
                self.parsed.options.append((token.upper(), values))
                if argument.type == "pure-token":
                    return True
            if self._value(argument, values):
                return True
        except _Misfit:
            pass
        self.words = before
        del self.parsed.options[options:]
        del self.parsed.places[places:]
        del values[length if token is None else 0 :]
        return False

    def _value(self, argument: Argument, values: list[str]) -> bool:
        if argument.type == "block":
            left = len(self.words)
            self.all(argument.arguments, values)
            return len(self.words) < left
        if argument.type == "oneof":
            return any(self.one(child, values) for child in argument.arguments)
        if not self.words or (argument.type == "pure-token"):
            return False
        word = self.words[0]
        number = word.removeprefix("#" if argument.name == "offset" else "(")  # counted in fields; an exclusive score
        if not is_number(argument, number) and not (self.pattern and "*" in word):
            return False
        if argument.name == "numkeys" and word.isdigit() and len(word) < 6:
            self.numkeys = int(word)
        values.append(self.words.pop(0))
        self.parsed.places.append(argument)
        self.parsed.last = values
        return True


def _required(arguments: Sequence[Argument]) -> int:
    """Return how many words these arguments need at least, as far as each is a single one."""
    return sum(not each.optional and each.token is None and each.type not in ("block", "oneof") for each in arguments)


def commands(argv: Sequence[bytes]) -> Iterator[list[str]]:
    """Yield the commands of a line: the line itself, and the command that it passes to redis-cli in a shell."""
    words = [to_text(word) for word in argv]
    if words:
        yield words
    if words[:1] == ["sudo"] and len(words) > 1:
        words = words[1:]
        if words[0] != "redis-cli":
            yield words
    if words[:1] != ["redis-cli"]:
        return
    rest = words[1:]
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        rest = rest[2:] if rest[0] in _FLAGS_WITH_VALUE else rest[1:]
    end = next((at for at, word in enumerate(rest) if word in ("|", ";", ">", ">>", "&&")), len(rest))
    if rest[:end]:
        yield rest[:end]


def innermost(argv: Sequence[bytes]) -> list[bytes]:
    """Return the Redis command of a line: in a shell, what it passes to redis-cli."""
    return [to_bytes(word) for word in list(commands(argv))[-1]] if argv else []


@functools.cache
def _declarations() -> Mapping[bytes, Declaration]:
    from engine.commands import load_all  # imported here because the table is large
    from engine.table.declarations import SERVER

    load_all()
    return SERVER


def declared(name: bytes) -> Declaration | None:
    """Return what a server declares of a command, or a Sentinel of its own; None if neither has it."""
    if name == b"sentinel":
        import engine.sentinel.commands  # noqa: F401
        from engine.table.declarations import SENTINEL

        return SENTINEL.get(name)
    return _declarations().get(name)


def reach(argv: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Return the flags of a command and its keys; both empty if the command is unknown."""
    command = declared(argv[0].lower()) if argv else None
    if command is not None and command.subcommands and len(argv) > 1:
        command = command.subcommands.get(argv[1].lower(), command)
    if command is None:
        return 0, []
    places = [place for spec in command.key_specs for place in spec.positions(list(argv)) or ()]
    return command.flags, list(dict.fromkeys(argv[place] for place in places))


def fits(pattern: str, argv: Sequence[bytes]) -> bool:
    """Return whether the input is the command that a pattern describes."""
    return any(_fits(pattern, words) for words in commands(argv))


def _fits(pattern: str, words: list[str]) -> bool:
    wanted = [to_text(word) for word in split_args(pattern) or ()]
    if not wanted:
        return False
    if _same_words(wanted, words):
        return True
    want, have = parse(wanted, pattern=True) or _program(wanted), parse(words) or _program(words)
    if want is None or have is None:
        return False
    if want.name != have.name and (want.name, have.name) != ("EVAL", "EVALSHA"):
        return False  # a script by its digest: any script will do, or its text would not fit
    positional, found = want.positional, have.positional
    if want.name in _ANY_CASE:
        step = 2 if want.name == "CONFIG SET" else 1
        positional, found = _lower(positional, step), _lower(found, step)
    found = found[: len(positional)] if want.open else found
    if len(found) != len(positional) or not all(map(_same, positional, found)):
        return False
    return all(
        any(
            token == other and len(values) == len(others) and all(map(_same, values, others))
            for other, others in have.options
        )
        for token, values in want.options
    )


_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
_WITH_VALUE: dict[str, tuple[str, ...]] = {
    "redis-benchmark": benchmark.WITH_VALUE,
    "redis-cli": _FLAGS_WITH_VALUE,
    "pkill": (),
}
_SIGNALS = {"-KILL": "-9", "-SIGKILL": "-9", "-TERM": "-15", "-SIGTERM": "-15"}


def signal(option: str) -> str:
    """Return an option of pkill with a signal's number for its name."""
    return _SIGNALS.get(option.upper(), option)


def _program(words: Sequence[str]) -> Parsed | None:
    """Parse a call of a program whose options come in any order before a command; None for other programs."""
    if words[0] not in _WITH_VALUE:
        return None
    parsed, rest = Parsed(words[0]), list(words[1:])
    if words[0] == "pkill":  # which takes them behind its other words, too
        rest.sort(key=lambda word: not word.startswith("-"))
    while rest and rest[0].startswith("-"):
        option = signal(rest.pop(0))
        takes = option in _WITH_VALUE[words[0]] and rest
        parsed.options.append((option, [_number(rest.pop(0))] if takes else []))
    parsed.open = rest[-1:] == ["*"]
    parsed.positional = rest[:-1] if parsed.open else rest
    return parsed


def _number(word: str) -> str:
    """Write a number in one way: 0.5, .5 and 0.50 are the same."""
    return f"{float(word):g}" if _NUMBER.fullmatch(word) else word


_ANY_CASE = ("CONFIG GET", "CONFIG SET", "INFO")  # whose arguments are names of the server's


def _lower(words: Sequence[str], step: int) -> list[str]:
    return [word if at % step else word.lower() for at, word in enumerate(words)]


def lacks(argv: Sequence[bytes], tokens: Sequence[str]) -> bool:
    """Return whether the input provably has none of these options: it was parsed and does not contain them."""
    parsed = [parse(words) for words in commands(argv)]
    wanted = {token.upper() for token in tokens}
    return any(each is not None and not wanted & {token for token, _ in each.options} for each in parsed)


def repeats(argv: Sequence[bytes]) -> bool:
    """Return whether a command's reply is nothing but its own words, so that it shows nothing of the server."""
    return any(len(words) > 1 and words[0].upper() in ("ECHO", "PING") for words in commands(argv))


def _same_words(wanted: Sequence[str], found: Sequence[str]) -> bool:
    if wanted[-1] == "*" and len(wanted) > 1 and len(found) >= len(wanted) - 1:
        wanted, found = wanted[:-1], found[: len(wanted) - 1]
    return len(wanted) == len(found) and all(map(_same, wanted, found))


def _same(want: str, have: str) -> bool:
    """Compare two words: case matters only in keys and values."""
    return fnmatch.fnmatchcase(have.upper() if want.isupper() else have, want)
