"""ACL and its subcommands: users and their permissions.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

from engine.clients.acl import (
    CATEGORY_BITS,
    DEFAULT_USER,
    REASONS,
    Selector,
    denial_text,
    has_spaces,
)
from engine.effects import Log, Rename, Sync, Unlink, Write
from engine.effects import Read as ReadFile
from engine.execution.dispatch import find_command
from engine.protocol.errors import ReplyError, c_text, subcommand_syntax
from engine.protocol.resp import OK, Argv, Reply, SetReply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import ACL_CATEGORIES, ADMIN, LOADING, NOSCRIPT, STALE, command, container
from engine.table.help import help_reply

GROUP = "server"

GENPASS_MAX_BITS = 4096


container("ACL", since="6.0.0", group="server")


@command(
    "ACL SETUSER username [rule [rule ...]]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="6.0.0",
    complexity="O(N). Where N is the number of rules provided.",
)
def acl_setuser(ctx: Context, argv: Argv) -> Reply:
    ctx.redact(*range(2, len(argv)))
    if has_spaces(argv[2]):
        raise ReplyError(b"ERR Usernames can't contain spaces or null characters")
    ctx.node.acl.set_user(argv[2], argv[3:])
    return OK


@command(
    "ACL DELUSER username [username ...]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="6.0.0",
    complexity="O(1) amortized time considering the typical user.",
)
def acl_deluser(ctx: Context, argv: Argv) -> Reply:
    if DEFAULT_USER in argv[2:]:
        raise ReplyError(b"ERR The 'default' user cannot be removed")
    return sum([ctx.node.acl.delete_user(name) for name in argv[2:]])


def _describe(selector: Selector) -> dict[bytes, Reply]:
    return {
        b"commands": selector.describe_commands(),
        b"keys": selector.describe_keys(),
        b"channels": selector.describe_channels(),
    }


@command(
    "ACL GETUSER username",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(N). Where N is the number of password, command and pattern rules that the user has.",
)
def acl_getuser(ctx: Context, argv: Argv) -> Reply:
    user = ctx.node.acl.users.get(argv[2])
    if user is None:
        return None
    return {
        b"flags": SetReply(user.flags),
        b"passwords": list(user.passwords),
        **_describe(user.root),
        b"selectors": [_describe(selector) for selector in user.selectors[1:]],
    }


@command(
    "ACL LIST",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_list(ctx: Context, argv: Argv) -> Reply:
    return ctx.node.acl.describe_all()


@command(
    "ACL USERS",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_users(ctx: Context, argv: Argv) -> Reply:
    return sorted(ctx.node.acl.users)


@command("ACL WHOAMI", NOSCRIPT, LOADING, STALE, since="6.0.0", complexity="O(1)")
def acl_whoami(ctx: Context, argv: Argv) -> Reply:
    return ctx.user


def _aclfile(ctx: Context) -> str:
    path = ctx.node.config.aclfile
    if not path:
        raise ReplyError(
            b"ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "
            b"ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) "
            b"in order to store users in the Redis configuration."
        )
    return path


@command(
    "ACL LOAD",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_load(ctx: Context, argv: Argv) -> Reply:
    path = _aclfile(ctx)
    acl = ctx.node.acl
    name = path.encode(errors="surrogateescape")
    try:
        text = ctx.node.output.run_now(ReadFile(path))
    except OSError as error:
        reason = (error.strerror or str(error)).encode()
        raise ReplyError(b"ERR Error loading ACLs, opening file '%b': %b" % (name, reason)) from None
    try:
        users = acl.parse_file(text, name)
    except ReplyError as error:
        raise ReplyError(b"ERR " + error.text) from None
    acl.replace(users)
    return OK


@command(
    "ACL SAVE",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_save(ctx: Context, argv: Argv) -> Reply:
    path = _aclfile(ctx)
    node = ctx.node
    temporary = f"{path}.tmp-{node.facts()['pid']}-{node.clock.now_ms}"
    text = b"".join([line + b"\n" for line in node.acl.describe_all()])
    step = "Opening temp ACL file"
    try:
        node.output.run_now(Write(temporary, text))
        step = "Syncing ACL file"
        node.output.run_now(Sync(temporary))
        step = "Renaming ACL file"
        node.output.run_now(Rename(temporary, path))
    except OSError as error:
        node.output.effects += [Log("#", f"{step} for ACL SAVE: {error.strerror}"), Unlink(temporary)]
        raise ReplyError(
            b"ERR There was an error trying to save the ACLs. Please check the server logs for more information"
        ) from None
    return OK


@command(
    "ACL CAT [category]",
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(1) since the categories and commands are a fixed set.",
)
def acl_cat(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 2:
        return list(ACL_CATEGORIES)
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    bit = CATEGORY_BITS.get(argv[2].lower())
    if bit is None:
        raise ReplyError(b"ERR Unknown category '%b'" % c_text(argv[2])[:128])
    names: list[bytes] = []
    for held in ctx.node.table.values():
        if held.acl & bit:
            names.append(held.name)
        names += [sub.name for sub in (held.subcommands or {}).values() if sub.acl & bit]
    return names


@command("ACL GENPASS [bits]", NOSCRIPT, LOADING, STALE, since="6.0.0", complexity="O(1)")
def acl_genpass(ctx: Context, argv: Argv) -> Reply:
    bits = integer(argv[2]) if len(argv) > 2 else 256
    if not 0 < bits <= GENPASS_MAX_BITS:
        raise ReplyError(
            b"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d"
            % GENPASS_MAX_BITS
        )
    return ctx.node.acl.secret.hex((bits + 3) // 4)


@command(
    "ACL LOG [count | RESET]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(N) with N being the number of entries shown.",
)
def acl_log(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    acl = ctx.node.acl
    if len(argv) > 2 and argv[2].lower() == b"reset":
        acl.log = []
        return OK
    count = max(0, integer(argv[2])) if len(argv) > 2 else 10
    now_ms = ctx.node.clock.now_ms
    return [
        {
            b"count": entry.count,
            b"reason": REASONS[entry.reason],
            b"context": entry.context,
            b"object": entry.object,
            b"username": entry.user,
            b"age-seconds": (now_ms - entry.now_ms) / 1000,
            b"client-info": entry.client_info,
            b"entry-id": entry.id,
            b"timestamp-created": entry.created_ms,
            b"timestamp-last-updated": entry.now_ms,
        }
        for entry in acl.log[:count]
    ]


@command(
    "ACL DRYRUN username command [arg [arg ...]]", ADMIN, NOSCRIPT, LOADING, STALE, since="7.0.0", complexity="O(1)."
)
def acl_dryrun(ctx: Context, argv: Argv) -> Reply:
    user = ctx.node.acl.users.get(argv[2])
    if user is None:
        raise ReplyError(b"ERR User '%b' not found" % c_text(argv[2]))
    request = argv[3:]
    try:
        found = find_command(ctx.node.dispatch.commands, request)
    except ReplyError:
        raise ReplyError(b"ERR Command '%b' not found" % c_text(argv[3])) from None
    if len(request) != found.arity and (found.arity > 0 or len(request) < -found.arity):
        raise ReplyError(b"ERR wrong number of arguments for '%b' command" % found.name)
    denial = user.check(found, request)
    if denial is None:
        return OK
    return denial_text(denial, user.name, found, request[denial.position])


@command("ACL HELP", LOADING, STALE, since="6.0.0", complexity="O(1)")
def acl_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, ACL_HELP)


ACL_HELP = """\
CAT [<category>]
    List all commands that belong to <category>, or all command categories
    when no category is specified.
DELUSER <username> [<username> ...]
    Delete a list of users.
DRYRUN <username> <command> [<arg> ...]
    Returns whether the user can execute the given command without executing the command.
GETUSER <username>
    Get the user's details.
GENPASS [<bits>]
    Generate a secure 256-bit user password. The optional `bits` argument can
    be used to specify a different size.
LIST
    Show users details in config file format.
LOAD
    Reload users from the ACL file.
LOG [<count> | RESET]
    Show the ACL log entries.
SAVE
    Save the current config to the ACL file.
SETUSER <username> <attribute> [<attribute> ...]
    Create or modify a user with the specified attributes.
USERS
    List all the registered usernames.
WHOAMI
    Return the current connection username.
"""
