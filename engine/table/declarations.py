"""The command table: a command is a function with a declaration above it.

    @command("LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>", WRITE, DENYOOM,
             keys=("1 RW access delete", "2 RW insert"), since="6.2.0", complexity="O(1)")
    def lmove(ctx, argv): ...

Dispatch, COMMAND, ACL rules, key extraction, the hints of the prompt and the reference pages of the course all use
this one declaration. Arity is derived from the usage line, the group from the module, and most ACL categories from
group and flags; `arity=`, `group=` and `acl=` override them. Longer facts (argument trees, history) are stored in
`engine/table/reference.json`.

Key specifications, one text each: where the keys begin, how many there are, and how the command accesses them.

    "1 RO access"                 one key at position 1
    "1..-1 RW"                    from 1 to the last argument ("1..-2": to the second to last)
    "1..-1/2 OW update"           every second argument (MSET)
    "2# RO access"                position 2 contains the number of keys that follow it
    "STORE@5 OW"                  after the word STORE at 5 or later (negative: searched from the end)
    "STREAMS@1..-1%2 RO"          the first half of the arguments after STREAMS
    "? RW incomplete"             unknown before the command runs

https://redis.io/docs/latest/develop/reference/key-specs/
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from engine.protocol.errors import ReplyError
from engine.protocol.numbers import as_int

Argv = list[bytes]
Handler = Callable[[Any, Argv], Any]  # of the client (engine.clients), which this module does not import
F = Callable[[Handler], Handler]

# Flags of commands. Plain integers, because every command execution tests them.
WRITE: Final = 1 << 0
READONLY: Final = 1 << 1
DENYOOM: Final = 1 << 2
ADMIN: Final = 1 << 3
PUBSUB: Final = 1 << 4
NOSCRIPT: Final = 1 << 5
BLOCKING: Final = 1 << 6
LOADING: Final = 1 << 7
STALE: Final = 1 << 8
SKIP_MONITOR: Final = 1 << 9
SKIP_SLOWLOG: Final = 1 << 10
ASKING: Final = 1 << 11
FAST: Final = 1 << 12
NO_AUTH: Final = 1 << 13
MAY_REPLICATE: Final = 1 << 14
NO_MANDATORY_KEYS: Final = 1 << 15
PROTECTED: Final = 1 << 16
NO_ASYNC_LOADING: Final = 1 << 17
NO_MULTI: Final = 1 << 18
ALLOW_BUSY: Final = 1 << 19
TOUCHES_ARBITRARY_KEYS: Final = 1 << 20
MOVABLEKEYS: Final = 1 << 21  # derived from the key specifications

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

HIDDEN_FLAGS: Final = MAY_REPLICATE | PROTECTED | TOUCHES_ARBITRARY_KEYS
"""Flags that COMMAND INFO does not show."""

# ACL categories in Redis's order; the categories of a command are a bit mask.
ACL_CATEGORIES: Final = (
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
_CATEGORY: Final = {name: 1 << i for i, name in enumerate(ACL_CATEGORIES)}

_GROUP_CATEGORY: Final = {
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

# How a command accesses a key.
KEY_RO: Final = 1 << 0
KEY_RW: Final = 1 << 1
KEY_OW: Final = 1 << 2
KEY_RM: Final = 1 << 3
KEY_ACCESS: Final = 1 << 4
KEY_UPDATE: Final = 1 << 5
KEY_INSERT: Final = 1 << 6
KEY_DELETE: Final = 1 << 7
KEY_NOT_KEY: Final = 1 << 8
KEY_INCOMPLETE: Final = 1 << 9
KEY_VARIABLE_FLAGS: Final = 1 << 10
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
_KEY_FLAGS: Final = {name.decode(): flag for flag, name in KEY_FLAG_NAMES.items()}


class KeyRef(NamedTuple):
    """The position of a key among the arguments, and how the command accesses it (KEY_* flags)."""

    position: int
    flags: int


GetKeys = Callable[[Argv], list[KeyRef]]

_SPEC: Final = re.compile(
    r"(?:(?P<unknown>\?)|(?P<keyword>[A-Z]+)@(?P<start>-?\d+)|(?P<index>\d+))"
    r"(?:(?P<number>#)|\.\.(?P<last>-?\d+)(?:/(?P<step>\d+))?(?:%(?P<limit>\d+))?)?(?: |$)"
)


class KeySpec:
    """The positions of a command's keys among its arguments."""

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
        """Whether the positions depend only on the number of arguments."""
        return not (self.unknown or self.keyword or self.by_number)

    def positions(self, argv: Argv) -> list[int] | None:
        """Return the positions of the keys; None if they are unknown or the arguments do not match."""
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
        """Return the positions of counted keys with a number that `positions` rejects but C's `atoi` accepts."""
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
    """Parse a number of keys in its canonical form; None for anything else."""
    if not text.isdigit() or len(text) > 18 or (text[0] == 0x30 and len(text) > 1):
        return None
    return as_int(int(text))


_DIGITS: Final = re.compile(rb"[ \t\n\v\f\r]*([-+]?)0*(\d{1,20})")


def _loose_count(text: bytes) -> int:
    """Parse a number as C's `atoi` does: anything after the digits is ignored."""
    digits = _DIGITS.match(text)
    return as_int(min(max(int(digits[1] + digits[2]), -(1 << 63)), (1 << 63) - 1)) if digits else 0


_ATTRIBUTES: Final = (
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
    "only_key",
    "parent",
    "routed",
    "since",
    "special",
    "subcommands",
    "table",
    "tips",
    "usage",
)


class Command:
    """A command or subcommand: its properties, and the function that executes it."""

    __slots__ = _ATTRIBUTES

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
        table: "CommandTable",
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
        self.table = table
        self.subcommands: dict[bytes, Command] | None = None
        self.special = is_container or bool(flags & (PROTECTED | NO_AUTH))
        """Whether it always needs checks: it has subcommands, may be disabled, or needs no authentication."""
        self.first_key, self.last_key, self.key_step, movable = _legacy_range(self.key_specs)
        self.flags = flags | (MOVABLEKEYS if movable else 0)
        self.routed = bool(self.key_specs) or movable
        """Whether it has keys, which decide in a cluster where it runs."""
        self.only_key = 0
        """The position of its only key, if it always has just one; 0 if that cannot be told so simply."""
        if len(self.key_specs) == 1:
            only = self.key_specs[0]
            if only.plain and not only.last and not only.flags & KEY_INCOMPLETE:
                self.only_key = only.index
        self.is_container = is_container
        self.has_keys = get_keys is not None or any(not spec.flags & KEY_NOT_KEY for spec in self.key_specs)
        self.key_ref: KeyRef | None = None
        """The only key of a command whose single key is always present and always accessed in the same way."""
        if len(self.key_specs) == 1 and get_keys is None:
            spec = self.key_specs[0]
            if spec.plain and not spec.last and not spec.flags & (KEY_NOT_KEY | KEY_INCOMPLETE | KEY_VARIABLE_FLAGS):
                self.key_ref = KeyRef(spec.index, spec.flags)
        self.acl = self._categories(acl)

    def takes(self, count: int) -> bool:
        """Return whether a request with this many words, including the name, matches the arity."""
        return count == self.arity or count >= -self.arity > 0

    def _categories(self, extra: tuple[str, ...]) -> int:
        flags = self.flags
        names = [name.encode() for name in extra if name[0] != "-"]
        # A container itself does not belong to its group's category; only its subcommands do.
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

    def for_table(self, table: "CommandTable", parent: "Command | None", handler: Handler | None) -> "Command":
        """Return a copy for another table."""
        other = Command.__new__(Command)  # `copy` would return the one in the table
        for name in _ATTRIBUTES:
            setattr(other, name, getattr(self, name))
        other.table, other.parent, other.handler = table, parent, handler or self.handler
        return other

    @property
    def declared_name(self) -> str:
        """The name as users type it: `CONFIG GET`."""
        return self.name.decode().upper().replace("|", " ")

    @property
    def categories(self) -> list[bytes]:
        """The names of its ACL categories in Redis's order."""
        return [name for i, name in enumerate(ACL_CATEGORIES) if self.acl >> i & 1]

    def __reduce__(self) -> tuple[Callable[[str, bytes], "Command"], tuple[str, bytes]]:
        # Commands belong to the program, not to the state of a node: a pickle stores only their names.
        return _find, (self.table.role, self.name)

    def __repr__(self) -> str:
        return f"<command {self.declared_name}>"


class CommandTable(Mapping[bytes, Command]):
    """The commands of one kind of process (a server), by lowercase name; containers hold their subcommands."""

    def __init__(self, role: str) -> None:
        self.role = role
        self._commands: dict[bytes, Command] = {}

    def __getitem__(self, name: bytes) -> Command:
        return self._commands[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    def __reduce__(self) -> tuple[Callable[[str], "CommandTable"], tuple[str]]:
        return _table, (self.role,)

    def add(self, command: Command) -> None:
        """Add a command, or a subcommand to its container. Raises ValueError if it exists already."""
        parent = command.parent
        held, name = self._commands, command.name
        if parent is not None:
            assert parent.subcommands is not None
            held, name = parent.subcommands, name.partition(b"|")[2]
        if name in held:
            raise ValueError(f"{command.declared_name} is declared twice")
        held[name] = command

    def share(self, command: Command, handler: Handler | None = None, without: tuple[bytes, ...] = ()) -> None:
        """Take over a command of another role's table: as it is, with another handler, or without subcommands."""
        copy = command.for_table(self, None, handler)
        self.add(copy)
        if command.subcommands is not None:
            copy.subcommands = {}
            for subcommand in command.subcommands.values():
                if subcommand.name not in without:
                    self.add(subcommand.for_table(self, copy, None))

    def answers(self, command: Command) -> F:
        """Declare the function below as this role's handler of a command that is otherwise another role's."""

        def declare(handler: Handler) -> Handler:
            self.share(command, handler)
            return handler

        return declare

    def find(self, name: bytes) -> Command:
        """Return a command by its full name (`config|get`, in any case). Raises KeyError if there is none."""
        head, separator, tail = name.lower().partition(b"|")
        command = self._commands[head]
        if not separator:
            return command
        if command.subcommands is None:
            raise KeyError(name)
        return command.subcommands[tail]

    def lookup(self, name: bytes) -> Command | None:
        """Return a command by its full name (in any case); None if there is none."""
        try:
            return self.find(name)
        except KeyError:
            return None

    def every(self) -> Iterator[Command]:
        """Iterate over all commands and subcommands."""
        for command in self._commands.values():
            yield command
            yield from (command.subcommands or {}).values()


SERVER: Final = CommandTable("server")
SENTINEL: Final = CommandTable("sentinel")  # filled by engine.sentinel.commands
TABLES: Final = {table.role: table for table in (SERVER, SENTINEL)}


def _table(role: str) -> CommandTable:
    return TABLES[role]


def _find(role: str, name: bytes) -> Command:
    return TABLES[role].find(name)


def _group_of(module: str) -> str:
    """Return the group of a module, which is named after it; a group of several modules sets GROUP in each."""
    return str(getattr(sys.modules[module], "GROUP", "") or module.rsplit(".", 1)[-1])


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
    table: CommandTable = SERVER,
) -> F:
    """Declare the function below as the command that `usage` describes.

    `acl` adds categories that are not derived from group and flags; "-name" removes the group's category. `usage` is
    the command's syntax: lowercase words are values, uppercase words literals, `[…]` is optional, `<a | b>` a choice,
    `…` repetition. Two leading uppercase words declare a subcommand of a `container`. `channels` gives the positions
    of the channels that the command publishes or subscribes to ("1..-1"), and whether they are patterns ("1..-1
    pattern").
    """
    head = usage.split()[0].lower().encode()
    parent = table.get(head)
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
            group=chosen or _group_of(handler.__module__),
            since=since,
            complexity=complexity,
            tips=tips,
            get_keys=get_keys,
            channels=channels,
            parent=parent if name != head else None,
            table=table,
        )
        table.add(declared)
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
    table: CommandTable = SERVER,
) -> None:
    """Declare a command that only contains subcommands (`handler` runs it without one, as for COMMAND)."""
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
        table=table,
    )
    held.subcommands = {}
    table.add(held)


def _needs_subcommand(ctx: object, argv: Argv) -> Any:
    raise AssertionError("a container is refused by its arity")


_OPEN, _CLOSE = "[<", "]>"


def arity_of(usage: str) -> int:
    """Return the arity of a usage line: the number of words if it is fixed, else minus the minimum number."""
    tokens = usage.replace("[", " [ ").replace("]", " ] ").replace("<", " < ").replace(">", " > ").split()
    least, open_end, end = _least(tokens, 0)
    assert end == len(tokens), usage
    return -least if open_end else least


def _least(tokens: list[str], i: int) -> tuple[int, bool, int]:
    """Return the minimum number of words in a sequence, whether more may follow, and the end of the sequence."""
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
    """Return first key, last key and step as COMMAND shows them, and whether they are incomplete."""
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
        # A negative end counts from the last argument and is therefore after any positive one.
        last = end if end < 0 or last < 0 else max(last, end)
        previous = last
    if not first:
        return 0, 0, 0, True
    return first, last, 1, movable


INVALID_KEYS: Final = b"ERR Invalid arguments specified for command"


def keys_of(command: Command, argv: Argv, *, include_not_keys: bool = False) -> list[KeyRef]:
    """Return the keys of a request; raises ReplyError if they cannot be determined.

    Specifications are used first. If they are incomplete, do not match, or leave the access open, the command's own
    `get_keys` is used, or, for counted keys, lenient parsing of their number. `include_not_keys` adds arguments that
    are only hashed like keys (the channels of SPUBLISH), which matter for slots but not for permissions.
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
    """Return counted keys whose number only C's `atoi` would accept, then the command's destination.

    In Redis this is done by functions older than key specifications, so the access flags are empty. The
    command itself will reject such a number.
    """
    for spec in specs:
        if spec.by_number:
            counted = spec.loose_positions(argv)
            others = [other.index for other in specs if other is not spec] if counted else []
            return [KeyRef(position, 0) for position in counted + others]
    return []
