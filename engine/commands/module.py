"""MODULE: this server cannot load modules, and says so.

https://redis.io/docs/latest/commands/module-list/
"""

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.declarations import ADMIN, LOADING, NO_ASYNC_LOADING, NOSCRIPT, PROTECTED, STALE, command, container
from engine.table.help import help_reply

GROUP = "server"


container("MODULE", since="4.0.0", group="server")


@command(
    "MODULE LIST",
    ADMIN,
    NOSCRIPT,
    tips=("nondeterministic_output_order",),
    since="4.0.0",
    complexity="O(N) where N is the number of loaded modules.",
)
def module_list(ctx: Context, argv: Argv) -> Reply:
    return []


@command(
    "MODULE LOAD path [arg [arg ...]]", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, PROTECTED, since="4.0.0", complexity="O(1)"
)
def module_load(ctx: Context, argv: Argv) -> Reply:
    raise ReplyError(b"ERR Error loading the extension. Please check the server logs.")


@command(
    "MODULE LOADEX path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
    NO_ASYNC_LOADING,
    ADMIN,
    NOSCRIPT,
    PROTECTED,
    since="7.0.0",
    complexity="O(1)",
)
def module_loadex(ctx: Context, argv: Argv) -> Reply:
    raise ReplyError(b"ERR Error loading the extension. Please check the server logs.")


@command("MODULE UNLOAD name", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, PROTECTED, since="4.0.0", complexity="O(1)")
def module_unload(ctx: Context, argv: Argv) -> Reply:
    raise ReplyError(b"ERR Error unloading module: no such module with that name")


@command("MODULE HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def module_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        LIST
            Return a list of loaded modules.
        LOAD <path> [<arg> ...]
            Load a module library from <path>, passing to it any optional arguments.
        LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]
            Load a module library from <path>, while passing it module configurations and optional arguments.
        UNLOAD <name>
            Unload a module.
        """,
    )
