"""The reply of `HELP` subcommands: one format for all containers.

A text in the source, two lines for each subcommand (its usage, then its description, indented by four), becomes the
array of simple strings that Redis sends, between the line that names the container and the one about HELP itself.
"""

from textwrap import dedent

from engine.protocol.resp import Argv, Reply, Status


def help_reply(argv: Argv, text: str) -> Reply:
    """Return the reply of `argv[0] HELP`; `text` may be indented like the code around it."""
    return [
        Status(b"%b <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" % argv[0].upper()),
        *(Status(line.encode()) for line in dedent(text).strip("\n").split("\n")),
        Status(b"HELP"),
        Status(b"    Print this help."),
    ]
