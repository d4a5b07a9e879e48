"""CONFIG: reading, changing and saving the configuration while the server runs.

https://redis.io/docs/latest/commands/config/
"""

from engine.commands.reconfigure import config_set, reset_statistics, rewrite_config
from engine.config import SENSITIVE
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.glob import glob_match
from engine.protocol.resp import OK, Argv, Reply
from engine.server.context import Context
from engine.table.declarations import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from engine.table.help import help_reply

container("CONFIG", since="2.0.0", group="server")


@command(
    "CONFIG GET parameter [parameter ...]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    group="server",
)
def config_get(ctx: Context, argv: Argv) -> Reply:
    return dict[bytes, Reply](ctx.node.config.get(argv[2:], glob_match))


@command(
    "CONFIG SET parameter value [parameter value ...]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    group="server",
)
def config_set_(ctx: Context, argv: Argv) -> Reply:
    if len(argv) % 2:
        raise ReplyError(SYNTAX)
    config = ctx.node.config
    pairs = list(zip(argv[2::2], argv[3::2], strict=True))
    # Secrets stay secret even when the command fails.
    directives = [config.NAMES.get(name.lower()) for name, _ in pairs]
    secret = [3 + 2 * i for i, found in enumerate(directives) if found is not None and found.flags & SENSITIVE]
    if secret:
        ctx.redact(*secret)
    who = config.enable_protected_configs
    config_set(ctx.node, pairs, who == "yes" or (who == "local" and _is_local(ctx)))
    return OK


def _is_local(ctx: Context) -> bool:
    return ctx.kind == "unix" or ctx.peer.startswith(("127.", "[::1]"))


@command(
    "CONFIG RESETSTAT",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.0.0",
    complexity="O(1)",
    group="server",
)
def config_resetstat(ctx: Context, argv: Argv) -> Reply:
    reset_statistics(ctx.node)
    return OK


@command(
    "CONFIG REWRITE",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.8.0",
    complexity="O(1)",
    group="server",
)
def config_rewrite(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if not node.config.config_file:
        raise ReplyError(b"ERR The server is running without a config file")
    try:
        rewrite_config(node)
    except OSError as error:
        reason = error.strerror or str(error)
        node.output.log("#", f"CONFIG REWRITE failed: {reason}")
        raise ReplyError(b"ERR Rewriting config file: %b" % reason.encode()) from None
    node.output.log("*", "CONFIG REWRITE executed with success.")
    return OK


@command("CONFIG HELP", LOADING, STALE, since="5.0.0", complexity="O(1)", group="server")
def config_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, HELP)


HELP = """\
GET <pattern>
    Return parameters matching the glob-like <pattern> and their values.
SET <directive> <value>
    Set the configuration <directive> to <value>.
RESETSTAT
    Reset statistics reported by the INFO command.
REWRITE
    Rewrite the configuration file."""
