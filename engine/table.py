"""The command table: a command is a function with its facts above it.

    @command("LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>", WRITE, DENYOOM,
             keys=("1 RW access delete", "2 RW insert"), since="6.2.0", complexity="O(1)")
    def lmove(ctx, argv): ...

This one declaration is what dispatch, COMMAND, ACL rules, key extraction, the prompt's hints and the course's
reference pages read. Arity follows from the usage line, the group from the module, most ACL categories from group
and flags; where they do not, `arity=`, `group=`, `acl=` say so. The long facts (argument trees, history) stand in
`engine/reference.json`.

Key specifications, one text each: where to begin, how many keys, what is done to them.

    "1 RO access"                 one key at position 1
    "1..-1 RW"                    from 1 to the last argument ("1..-2": to the last but one)
    "1..-1/2 OW update"           every second one (MSET)
    "2# RO access"                position 2 holds their number, they follow it
    "STORE@5 OW"                  after the word STORE, looked for from position 5 (negative: from the end, backwards)
    "STREAMS@1..-1%2 RO"          after STREAMS to the end, the first half of it
    "? RW incomplete"             cannot be told without running the command

https://redis.io/docs/latest/develop/reference/key-specs/
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import ReplyError

if TYPE_CHECKING:
    from engine.client import Client

Argv = list[bytes]
Handler = Callable[["Client", Argv], Any]
F = Callable[[Handler], Handler]

# Flags of commands. Plain integers: they are tested on the way of every command.
WRITE = 1 << 0
READONLY = 1 << 1
DENYOOM = 1 << 2
ADMIN = 1 << 3
PUBSUB = 1 << 4
NOSCRIPT = 1 << 5
BLOCKING = 1 << 6
LOADING = 1 << 7
STALE = 1 << 8
SKIP_MONITOR = 1 << 9
SKIP_SLOWLOG = 1 << 10
ASKING = 1 << 11
FAST = 1 << 12
NO_AUTH = 1 << 13
MAY_REPLICATE = 1 << 14
NO_MANDATORY_KEYS = 1 << 15
PROTECTED = 1 << 16
NO_ASYNC_LOADING = 1 << 17
NO_MULTI = 1 << 18
ALLOW_BUSY = 1 << 19
TOUCHES_ARBITRARY_KEYS = 1 << 20
MOVABLEKEYS = 1 << 21  # derived from the key specifications

# Names as COMMAND INFO shows them, in its order.
FLAG_NAMES: dict[int, bytes] = {
    WRITE: b"write",
    READONLY: b"readonly",
    DENYOOM: b"denyoom",
    ADMIN: b"admin",
    PUBSUB: b"pubsub",
    NOSCRIPT: b"noscript",
    BLOCKING: b"blocking",
    LOADING: b"loading",
    STALE: b"stale",
    SKIP_MONITOR: b"skip_monitor",
    SKIP_SLOWLOG: b"skip_slowlog",
    ASKING: b"asking",
    FAST: b"fast",
    NO_AUTH: b"no_auth",
    MAY_REPLICATE: b"may_replicate",
    NO_MANDATORY_KEYS: b"no_mandatory_keys",
    PROTECTED: b"protected",
    NO_ASYNC_LOADING: b"no_async_loading",
    NO_MULTI: b"no_multi",
    MOVABLEKEYS: b"movablekeys",
    ALLOW_BUSY: b"allow_busy",
    TOUCHES_ARBITRARY_KEYS: b"TOUCHES_ARBITRARY_KEYS",
}

HIDDEN_FLAGS = MAY_REPLICATE | PROTECTED | TOUCHES_ARBITRARY_KEYS
"""Flags that COMMAND INFO keeps to itself."""

# ACL categories, in Redis's order; a command's set of them is a bit mask.
ACL_CATEGORIES = (
    b"keyspace",
    b"read",
    b"write",
    b"set",
    b"sortedset",
    b"list",
    b"hash",
    b"string",
    b"bitmap",
    b"hyperloglog",
    b"geo",
    b"stream",
    b"pubsub",
    b"admin",
    b"fast",
    b"slow",
    b"blocking",
    b"dangerous",
    b"connection",
    b"transaction",
    b"scripting",
)
_CATEGORY = {name: 1 << i for i, name in enumerate(ACL_CATEGORIES)}

_GROUP_CATEGORY = {
    "bitmap": b"bitmap",
    "connection": b"connection",
    "generic": b"keyspace",
    "geo": b"geo",
    "hash": b"hash",
    "hyperloglog": b"hyperloglog",
    "list": b"list",
    "scripting": b"scripting",
    "set": b"set",
    "sorted_set": b"sortedset",
    "stream": b"stream",
    "string": b"string",
    "transactions": b"transaction",
}

# What a key specification says is done to a key.
KEY_RO = 1 << 0
KEY_RW = 1 << 1
KEY_OW = 1 << 2
KEY_RM = 1 << 3
KEY_ACCESS = 1 << 4
KEY_UPDATE = 1 << 5
KEY_INSERT = 1 << 6
KEY_DELETE = 1 << 7
KEY_NOT_KEY = 1 << 8
KEY_INCOMPLETE = 1 << 9
KEY_VARIABLE_FLAGS = 1 << 10
KEY_FLAG_NAMES: dict[int, bytes] = {
    KEY_RO: b"RO",
    KEY_RW: b"RW",
    KEY_OW: b"OW",
    KEY_RM: b"RM",
    KEY_ACCESS: b"access",
    KEY_UPDATE: b"update",
    KEY_INSERT: b"insert",
    KEY_DELETE: b"delete",
    KEY_NOT_KEY: b"not_key",
    KEY_INCOMPLETE: b"incomplete",
    KEY_VARIABLE_FLAGS: b"variable_flags",
}
_KEY_FLAGS = {name.decode(): flag for flag, name in KEY_FLAG_NAMES.items()}


class KeyRef(NamedTuple):
    """The place of a key among the arguments, and what is done to it (KEY_* flags)."""

    position: int
    flags: int


GetKeys = Callable[[Argv], list[KeyRef]]

_SPEC = re.compile(
    r"(?:(?P<unknown>\?)|(?P<keyword>[A-Z]+)@(?P<start>-?\d+)|(?P<index>\d+))"
    r"(?:(?P<number>#)|\.\.(?P<last>-?\d+)(?:/(?P<step>\d+))?(?:%(?P<limit>\d+))?)?(?: |$)"
)


class KeySpec:
    """Where a command's keys stand among its arguments."""

    __slots__ = ("by_number", "flags", "index", "keyword", "last", "limit", "notes", "start", "step", "unknown")

    def __init__(self, text: str) -> None:
        text, _, notes = text.partition(" -- ")
        match = _SPEC.match(text)
        if match is None:
            raise ValueError(f"key specification {text!r}")
        self.notes = notes
        self.unknown = match["unknown"] is not None
        self.keyword = match["keyword"].encode() if match["keyword"] else b""
        self.start = int(match["start"] or 0)
        self.index = int(match["index"] or 0)
        self.by_number = match["number"] is not None
        self.last = int(match["last"] or 0)
        if self.index and match["last"] and self.last > 0:
            self.last -= self.index  # relative to the first key, as COMMAND shows it
        self.step = int(match["step"] or 1)
        self.limit = int(match["limit"] or 0)
        self.flags = 0
        for word in text[match.end() :].split():
            self.flags |= _KEY_FLAGS[word]

    @property
    def plain(self) -> bool:
        """Whether positions follow from the number of arguments alone."""
        return not (self.unknown or self.keyword or self.by_number)

    def positions(self, argv: Argv) -> list[int] | None:
        """Return the keys' positions; None when they cannot be told or the arguments do not fit."""
        count = len(argv)
        if self.unknown:
            return None
        first = self.index
        if self.keyword:
            found = self._find_keyword(argv)
            if found is None:
                return []
            first = found + 1
        if self.by_number:
            if first >= count or (number := _count(argv[first])) is None:
                return None
            last = first + number
            first += 1
        elif self.last >= 0:
            last = first + self.last
        elif self.limit:
            last = first + (count - first) // self.limit + self.last
        else:
            last = count + self.last
        if last >= count or last < first or first >= count:
            return None
        return list(range(first, last + 1, self.step))

    def loose_positions(self, argv: Argv) -> list[int]:
        """Return the positions of counted keys where `positions` would not take their number as it is spelled."""
        number = _loose_count(argv[self.index])
        first = self.index + 1
        return list(range(first, first + number)) if 0 < number <= len(argv) - first else []

    def _find_keyword(self, argv: Argv) -> int | None:
        if self.start > 0:
            places = range(self.start, len(argv) - 1)
        else:
            places = range(len(argv) + self.start, 1, -1)
        for i in places:
            if argv[i].upper() == self.keyword:
                return i
        return None


def _count(text: bytes) -> int | None:
    """Return a number of keys in its canonical spelling; None for anything else."""
    if not text.isdigit() or len(text) > 18 or (text[0] == 0x30 and len(text) > 1):
        return None
    return _as_int(int(text))


def _as_int(number: int) -> int:
    """Return what is left of a number in one of C's ints: large ones wrap round."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


_DIGITS = re.compile(rb"[ \t\n\v\f\r]*([-+]?)0*(\d{1,20})")


def _loose_count(text: bytes) -> int:
    """Return a number as C's `atoi` does: what follows the digits does not count."""
    digits = _DIGITS.match(text)
    return _as_int(min(max(int(digits[1] + digits[2]), -(1 << 63)), (1 << 63) - 1)) if digits else 0


class Command:
    """What is known about a command or subcommand, and the function that runs it."""

    __slots__ = (
        "acl",
        "arity",
        "channel_patterns",
        "channel_spec",
        "complexity",
        "first_key",
        "flags",
        "get_keys",
        "group",
        "handler",
        "has_keys",
        "is_container",
        "key_ref",
        "key_specs",
        "key_step",
        "last_key",
        "name",
        "parent",
        "since",
        "special",
        "subcommands",
        "tips",
        "usage",
    )

    def __init__(
        self,
        name: bytes,
        handler: Handler,
        usage: str,
        flags: int,
        *,
        arity: int,
        acl: tuple[str, ...],
        keys: tuple[str, ...],
        group: str,
        since: str,
        complexity: str,
        tips: tuple[str, ...],
        get_keys: GetKeys | None,
        channels: str,
        parent: "Command | None",
        is_container: bool = False,
    ) -> None:
        self.name = name
        self.handler = handler
        self.usage = usage
        self.arity = arity
        self.key_specs = tuple(KeySpec(text) for text in keys)
        self.group = group
        self.since = since
        self.complexity = complexity
        self.tips = tuple(tip.encode() for tip in tips)
        self.get_keys = get_keys
        self.channel_spec = KeySpec(channels.removesuffix(" pattern")) if channels else None
        self.channel_patterns = channels.endswith(" pattern")
        self.parent = parent
        self.subcommands: dict[bytes, Command] | None = None
        self.special = is_container or bool(flags & (PROTECTED | NO_AUTH))
        """Whether it always goes by the gates: it has subcommands, may be forbidden, or changes who the client is."""
        self.first_key, self.last_key, self.key_step, movable = _legacy_range(self.key_specs)
        self.flags = flags | (MOVABLEKEYS if movable else 0)
        self.is_container = is_container
        self.has_keys = get_keys is not None or any(not spec.flags & KEY_NOT_KEY for spec in self.key_specs)
        self.key_ref: KeyRef | None = None
        """The only key, for the many commands whose key is always there and always used in the same way."""
        if len(self.key_specs) == 1 and get_keys is None:
            spec = self.key_specs[0]
            if spec.plain and not spec.last and not spec.flags & (KEY_NOT_KEY | KEY_INCOMPLETE | KEY_VARIABLE_FLAGS):
                self.key_ref = KeyRef(spec.index, spec.flags)
        self.acl = self._categories(acl)

    def takes(self, count: int) -> bool:
        """Tell whether a request of so many words, the name included, is neither too short nor too long."""
        return count == self.arity or count >= -self.arity > 0

    def _categories(self, extra: tuple[str, ...]) -> int:
        flags = self.flags
        names = [name.encode() for name in extra if name[0] != "-"]
        # A container itself belongs to no group's category, only its subcommands do.
        if self.group in _GROUP_CATEGORY and not self.is_container:
            category = _GROUP_CATEGORY[self.group]
            if "-" + category.decode() not in extra:
                names.append(category)
        if flags & WRITE:
            names.append(b"write")
        if flags & READONLY and b"scripting" not in names:
            names.append(b"read")
        if flags & ADMIN:
            names += [b"admin", b"dangerous"]
        if flags & PUBSUB:
            names.append(b"pubsub")
        if flags & BLOCKING:
            names.append(b"blocking")
        names.append(b"fast" if flags & FAST else b"slow")
        mask = 0
        for name in names:
            mask |= _CATEGORY[name]
        return mask

    @property
    def declared_name(self) -> str:
        """The name as users type it: `CONFIG GET`."""
        return self.name.decode().upper().replace("|", " ")

    @property
    def categories(self) -> list[bytes]:
        """The names of its ACL categories, in Redis's order."""
        return [name for i, name in enumerate(ACL_CATEGORIES) if self.acl >> i & 1]

    def __reduce__(self) -> tuple[Callable[[bytes], "Command"], tuple[bytes]]:
        # Commands are facts of the program, not state of a node: a pickle names them.
        return find, (self.name,)

    def __repr__(self) -> str:
        return f"<command {self.declared_name}>"


COMMANDS: dict[bytes, Command] = {}
"""All commands by lower-case name; subcommands hang on theirs."""


def find(name: bytes) -> Command:
    """Return a command by its full lower-case name (`config|get`). KeyError when there is none."""
    head, separator, tail = name.partition(b"|")
    command = COMMANDS[head]
    if not separator:
        return command
    if command.subcommands is None:
        raise KeyError(name)
    return command.subcommands[tail]


def command(
    usage: str,
    *flags: int,
    since: str,
    complexity: str = "",
    keys: tuple[str, ...] = (),
    acl: tuple[str, ...] = (),
    tips: tuple[str, ...] = (),
    arity: int | None = None,
    group: str | None = None,
    get_keys: GetKeys | None = None,
    channels: str = "",
) -> F:
    """Declare the function below as the command that `usage` describes.

    `acl` adds categories that do not follow from group and flags; "-name" takes the group's away.
    `usage` is the command's syntax: lower-case words are values, upper-case words literal, `[…]` optional, `<a | b>`
    a choice, `…` repetition. Two leading upper-case words declare a subcommand of a `container`. `channels` says
    where channels stand that the command publishes or subscribes to ("1..-1"), and if they are patterns ("1..-1
    pattern").
    """
    head = usage.split()[0].lower().encode()
    parent = COMMANDS.get(head)
    name = head
    tokens = usage.split()
    if parent is not None and parent.subcommands is not None and len(tokens) > 1:
        name = head + b"|" + tokens[1].lower().encode()

    def declare(handler: Handler) -> Handler:
        chosen = group or (parent.group if parent is not None and parent.subcommands is not None else None)
        mask = 0
        for flag in flags:
            mask |= flag
        declared = Command(
            name,
            handler,
            usage,
            mask,
            arity=arity if arity is not None else arity_of(usage),
            acl=acl,
            keys=keys,
            # A group's module is named after it; one of several modules of a group says so with GROUP.
            group=chosen or handler.__globals__.get("GROUP") or handler.__module__.rsplit(".", 1)[-1],
            since=since,
            complexity=complexity,
            tips=tips,
            get_keys=get_keys,
            channels=channels,
            parent=parent if name != head else None,
        )
        if name == head:
            if name in COMMANDS:
                raise ValueError(f"{usage.split()[0]} is declared twice")
            COMMANDS[name] = declared
        else:
            assert parent is not None and parent.subcommands is not None
            parent.subcommands[name.split(b"|")[1]] = declared
        return handler

    return declare


def container(
    name: str,
    *flags: int,
    since: str,
    complexity: str = "Depends on subcommand.",
    group: str,
    arity: int = -2,
    acl: tuple[str, ...] = (),
    tips: tuple[str, ...] = (),
    handler: Handler | None = None,
) -> None:
    """Declare a command that only holds subcommands (`handler` answers where it can stand alone, as COMMAND does)."""
    mask = 0
    for flag in flags:
        mask |= flag
    held = Command(
        name.lower().encode(),
        handler or _needs_subcommand,
        name,
        mask,
        arity=arity,
        acl=acl,
        keys=(),
        group=group,
        since=since,
        complexity=complexity,
        tips=tips,
        get_keys=None,
        channels="",
        parent=None,
        is_container=True,
    )
    held.subcommands = {}
    COMMANDS[held.name] = held


def _needs_subcommand(ctx: "Client", argv: Argv) -> Any:
    raise AssertionError("a container is refused by its arity")


_OPEN, _CLOSE = "[<", "]>"


def arity_of(usage: str) -> int:
    """Return the arity that a usage line means: the number of words if it is fixed, else minus the least number."""
    tokens = usage.replace("[", " [ ").replace("]", " ] ").replace("<", " < ").replace(">", " > ").split()
    least, open_end, end = _least(tokens, 0)
    assert end == len(tokens), usage
    return -least if open_end else least


def _least(tokens: list[str], i: int) -> tuple[int, bool, int]:
    """Return the least number of words in a sequence, whether more may follow, and where the sequence ends."""
    alternatives: list[int] = []
    least, open_end = 0, False
    while i < len(tokens) and tokens[i] not in "]>":
        token = tokens[i]
        if token == "|":
            alternatives.append(least)
            least = 0
            i += 1
        elif token == "[":
            _, _, i = _least(tokens, i + 1)
            i += 1
            open_end = True
        elif token == "<":
            inner, inner_open, i = _least(tokens, i + 1)
            least += inner
            open_end |= inner_open
            i += 1
        else:
            if token != "...":
                least += 1
            i += 1
    alternatives.append(least)
    return min(alternatives), open_end or len(set(alternatives)) > 1, i


def _legacy_range(specs: tuple[KeySpec, ...]) -> tuple[int, int, int, bool]:
    """Return first key, last key, step as COMMAND shows them, and whether they do not tell the whole truth."""
    if not specs:
        return 0, 0, 0, False
    movable = any(spec.flags & KEY_INCOMPLETE for spec in specs)
    if len(specs) == 1 and specs[0].plain:
        spec = specs[0]
        last = spec.index + spec.last if spec.last >= 0 else spec.last
        return spec.index, last, spec.step, movable
    first, last, previous = 0, 0, 0
    for spec in specs:
        if not spec.plain or spec.step != 1 or (previous and previous != spec.index - 1):
            movable = True
            continue
        end = spec.index + spec.last if spec.last >= 0 else spec.last
        first = first or spec.index
        # A negative end counts from the end of the arguments and so lies behind any other.
        last = end if end < 0 or last < 0 else max(last, end)
        previous = last
    if not first:
        return 0, 0, 0, True
    return first, last, 1, movable


INVALID_KEYS = b"ERR Invalid arguments specified for command"


def keys_of(command: Command, argv: Argv, *, include_not_keys: bool = False) -> list[KeyRef]:
    """Return the keys that a request names; raises ReplyError when that cannot be told.

    Specifications are asked first. Where they are incomplete, do not fit, or leave open what is done to the key, the
    command's own `get_keys` answers, or for keys that are counted a looser reading of their number.
    `include_not_keys` adds what is only hashed like a key (the channels of SPUBLISH), which decides about slots but
    not about permissions.
    """
    ref = command.key_ref
    if ref is not None and ref.position < len(argv):
        return [ref]
    if not command.key_specs:
        return command.get_keys(argv) if command.get_keys is not None else []
    refs = _refs_of(command.key_specs, argv, include_not_keys)
    if refs is not None:
        return refs
    if command.get_keys is not None:
        return command.get_keys(argv)
    refs = _loose_refs_of(command.key_specs, argv)
    if refs or command.flags & NO_MANDATORY_KEYS:
        return refs
    raise ReplyError(INVALID_KEYS)


def _refs_of(specs: tuple[KeySpec, ...], argv: Argv, include_not_keys: bool) -> list[KeyRef] | None:
    refs: list[KeyRef] = []
    for spec in specs:
        flags = spec.flags
        if flags & KEY_VARIABLE_FLAGS:
            return None
        if flags & KEY_NOT_KEY and not include_not_keys:
            continue
        positions = spec.positions(argv)
        if positions is None or (positions and flags & KEY_INCOMPLETE):
            return None
        refs += [KeyRef(position, flags) for position in positions]
    return refs


def _loose_refs_of(specs: tuple[KeySpec, ...], argv: Argv) -> list[KeyRef]:
    """Return counted keys whose number only C's `atoi` would read, then the command's destination.

    Redis keeps these functions from before there were specifications, so they say nothing of what is done to a key.
    The command itself is going to refuse such a number.
    """
    for spec in specs:
        if spec.by_number:
            counted = spec.loose_positions(argv)
            others = [other.index for other in specs if other is not spec] if counted else []
            return [KeyRef(position, 0) for position in counted + others]
    return []
