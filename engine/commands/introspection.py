"""COMMAND: the server's description of its own commands.

https://redis.io/docs/latest/commands/command/
"""

from collections.abc import Callable

from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.glob import glob_match
from engine.protocol.resp import Argv, MapReply, Reply, SetReply, Status
from engine.server.context import Context
from engine.table.declarations import (
    ACL_CATEGORIES,
    FLAG_NAMES,
    HIDDEN_FLAGS,
    INVALID_KEYS,
    KEY_FLAG_NAMES,
    LOADING,
    NO_MANDATORY_KEYS,
    STALE,
    Command,
    CommandTable,
    KeyRef,
    KeySpec,
    command,
    container,
    keys_of,
)
from engine.table.help import help_reply
from engine.table.reference import Facts, facts


def command_(ctx: Context, argv: Argv) -> Reply:
    return [_info(command) for command in ctx.node.table.values()]


container(
    "COMMAND",
    LOADING,
    STALE,
    since="2.8.13",
    group="server",
    complexity="O(N) where N is the total number of Redis commands",
    acl=("connection",),
    arity=-1,
    tips=("nondeterministic_output_order",),
    handler=command_,
)


@command("COMMAND COUNT", LOADING, STALE, acl=("connection",), since="2.8.13", complexity="O(1)")
def command_count(ctx: Context, argv: Argv) -> Reply:
    return len(ctx.node.table)


@command(
    "COMMAND INFO [command-name [command-name ...]]",
    LOADING,
    STALE,
    acl=("connection",),
    tips=("nondeterministic_output_order",),
    since="2.8.13",
    complexity="O(N) where N is the number of commands to look up",
)
def command_info(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 2:
        return command_(ctx, argv)
    return [None if (found := ctx.node.table.lookup(name)) is None else _info(found) for name in argv[2:]]


@command(
    "COMMAND DOCS [command-name [command-name ...]]",
    LOADING,
    STALE,
    acl=("connection",),
    tips=("nondeterministic_output_order",),
    since="7.0.0",
    complexity="O(N) where N is the number of commands to look up",
)
def command_docs(ctx: Context, argv: Argv) -> Reply:
    asked = ctx.node.table.values() if len(argv) == 2 else (ctx.node.table.lookup(name) for name in argv[2:])
    reply = MapReply()  # not a dict: a name that is requested twice appears twice
    for found in asked:
        if found is not None:
            reply += [found.name, _docs(found)]
    return reply


@command(
    "COMMAND LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    LOADING,
    STALE,
    acl=("connection",),
    tips=("nondeterministic_output_order",),
    since="7.0.0",
    complexity="O(N) where N is the total number of Redis commands",
)
def command_list(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 2:
        return [command.name for command in ctx.node.table.every()]
    if len(argv) != 5 or argv[2].lower() != b"filterby":
        raise ReplyError(SYNTAX)
    by = _FILTERS.get(argv[3].lower())
    if by is None:
        raise ReplyError(SYNTAX)
    return [command.name for command in ctx.node.table.every() if by(command, argv[4])]


def _in_category(command: Command, category: bytes) -> bool:
    category = category.lower()
    return category in ACL_CATEGORIES and bool(command.acl >> ACL_CATEGORIES.index(category) & 1)


_FILTERS: dict[bytes, Callable[[Command, bytes], bool]] = {
    b"module": lambda command, module: False,  # there are no modules
    b"aclcat": _in_category,
    b"pattern": lambda command, pattern: glob_match(pattern, command.name, nocase=True),
}


@command(
    "COMMAND GETKEYS command [arg [arg ...]]",
    LOADING,
    STALE,
    acl=("connection",),
    since="2.8.13",
    complexity="O(N) where N is the number of arguments to the command",
)
def command_getkeys(ctx: Context, argv: Argv) -> Reply:
    return [argv[2 + ref.position] for ref in _keys(ctx.node.table, argv[2:])]


@command(
    "COMMAND GETKEYSANDFLAGS command [arg [arg ...]]",
    LOADING,
    STALE,
    acl=("connection",),
    since="7.0.0",
    complexity="O(N) where N is the number of arguments to the command",
)
def command_getkeysandflags(ctx: Context, argv: Argv) -> Reply:
    return [[argv[2 + ref.position], _names(ref.flags, KEY_FLAG_NAMES)] for ref in _keys(ctx.node.table, argv[2:])]


@command("COMMAND HELP", LOADING, STALE, acl=("connection",), since="5.0.0", complexity="O(1)")
def command_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        (no subcommand)
            Return details about all Redis commands.
        COUNT
            Return the total number of commands in this Redis server.
        LIST
            Return a list of all commands in this Redis server.
        INFO [<command-name> ...]
            Return details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        DOCS [<command-name> ...]
            Return documentation details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        GETKEYS <full-command>
            Return the keys from a full Redis command.
        GETKEYSANDFLAGS <full-command>
            Return the keys and the access flags from a full Redis command.
        """,
    )


def _keys(table: CommandTable, request: Argv) -> list[KeyRef]:
    """Return the keys of a request that is not executed, with the errors of COMMAND GETKEYS."""
    command = table.get(request[0].lower())
    if command is not None and command.subcommands is not None and len(request) > 1:
        command = command.subcommands.get(request[1].lower())
    if command is None:
        raise ReplyError(b"ERR Invalid command specified")
    if not command.has_keys:
        raise ReplyError(b"ERR The command has no key arguments")
    if not command.takes(len(request)):
        raise ReplyError(b"ERR Invalid number of arguments specified for command")
    refs = keys_of(command, request)
    if not refs and not command.flags & NO_MANDATORY_KEYS:
        raise ReplyError(INVALID_KEYS)
    return refs


def _names(flags: int, names: dict[int, bytes]) -> Reply:
    return SetReply(Status(name) for flag, name in names.items() if flags & flag)


def _info(command: Command) -> Reply:
    return [
        command.name,
        command.arity,
        _names(command.flags & ~HIDDEN_FLAGS, FLAG_NAMES),
        command.first_key,
        command.last_key,
        command.key_step,
        SetReply(Status(b"@" + name) for name in command.categories),
        SetReply(command.tips),
        SetReply(_key_spec(spec) for spec in command.key_specs),
        [_info(subcommand) for subcommand in command.subcommands.values()] if command.subcommands else SetReply(),
    ]


def _key_spec(spec: KeySpec) -> Reply:
    begin: Reply
    if spec.unknown:
        begin = {b"type": b"unknown", b"spec": {}}
        keys = begin
    else:
        if spec.keyword:
            begin = {b"type": b"keyword", b"spec": {b"keyword": spec.keyword, b"startfrom": spec.start}}
        else:
            begin = {b"type": b"index", b"spec": {b"index": spec.index}}
        if spec.by_number:
            keys = {b"type": b"keynum", b"spec": {b"keynumidx": 0, b"firstkey": 1, b"keystep": spec.step}}
        else:
            limits = {b"lastkey": spec.last, b"keystep": spec.step, b"limit": spec.limit}
            keys = {b"type": b"range", b"spec": limits}
    reply: dict[bytes, Reply] = {b"notes": spec.notes.encode()} if spec.notes else {}
    reply[b"flags"] = _names(spec.flags, KEY_FLAG_NAMES)
    reply[b"begin_search"] = begin
    reply[b"find_keys"] = keys
    return reply


def _docs(command: Command) -> Reply:
    known = facts(command.name)
    reply: dict[bytes, Reply] = {}
    if "summary" in known:
        reply[b"summary"] = known["summary"].encode()
    reply[b"since"] = command.since.encode()
    reply[b"group"] = command.group.replace("_", "-").encode()
    if command.complexity:
        reply[b"complexity"] = command.complexity.encode()
    if "doc_flags" in known:
        reply[b"doc_flags"] = SetReply(Status(flag.encode()) for flag in known["doc_flags"])
    for key in ("deprecated_since", "replaced_by"):
        if key in known:
            reply[key.encode()] = known[key].encode()
    if "history" in known:
        reply[b"history"] = SetReply([since.encode(), change.encode()] for since, change in known["history"])
    if "arguments" in known:
        reply[b"arguments"] = [_argument(argument) for argument in known["arguments"]]
    if command.subcommands:
        reply[b"subcommands"] = {sub.name: _docs(sub) for sub in command.subcommands.values()}
    return reply


def _argument(argument: Facts) -> Reply:
    reply: dict[bytes, Reply] = {b"name": argument["name"].encode(), b"type": argument["type"].encode()}
    if "arguments" not in argument:
        reply[b"display_text"] = str(argument.get("display_text", argument["name"])).encode()
    if "key_spec_index" in argument:
        reply[b"key_spec_index"] = argument["key_spec_index"]
    for key in ("token", "summary", "since", "deprecated_since"):
        if key in argument:
            reply[key.encode()] = argument[key].encode()
    if "flags" in argument:
        reply[b"flags"] = SetReply(Status(flag.encode()) for flag in argument["flags"])
    if "arguments" in argument:
        reply[b"arguments"] = [_argument(inner) for inner in argument["arguments"]]
    return reply
