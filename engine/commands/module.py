"""MODULE: this server loads none, and says so.

https://redis.io/docs/latest/commands/module-list/
"""

from engine.client import Client
from engine.errors import ReplyError
from engine.help import help_reply
from engine.resp import Argv, Reply
from engine.table import ADMIN, LOADING, NO_ASYNC_LOADING, NOSCRIPT, PROTECTED, STALE, command, container

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
def module_list(ctx: Client, argv: Argv) -> Reply:
    return []


@command(
    "MODULE LOAD path [arg [arg ...]]", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, PROTECTED, since="4.0.0", complexity="O(1)"
)
def module_load(ctx: Client, argv: Argv) -> Reply:
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
def module_loadex(ctx: Client, argv: Argv) -> Reply:
    raise ReplyError(b"ERR Error loading the extension. Please check the server logs.")


@command("MODULE UNLOAD name", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, PROTECTED, since="4.0.0", complexity="O(1)")
def module_unload(ctx: Client, argv: Argv) -> Reply:
    raise ReplyError(b"ERR Error unloading module: no such module with that name")


@command("MODULE HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def module_help(ctx: Client, argv: Argv) -> Reply:
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
