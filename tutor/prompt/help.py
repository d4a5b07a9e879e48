"""The answers to HELP, in redis-cli's words and escapes; `plain` takes the escapes off."""

import re

from tutor.prompt.commands import CommandDoc, CommandDocs
from tutor.prompt.words import to_text

VERSION = "7.2.4"  # of the redis-cli whose behavior this is

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Return help text without colors and carriage returns."""
    return _ESCAPES.sub("", text).replace("\r", "")


PREFERENCES = (
    "\n"
    "To set redis-cli preferences:\n"
    '      ":set hints" enable online hints\n'
    '      ":set nohints" disable online hints\n'
    "Set your preferences in ~/.redisclirc\n"
)
OF_THE_TUTOR = '\nTo get help about the tutor type:\n      ":help"\n'


def generic_help(version: str = VERSION, rest: str = PREFERENCES) -> str:
    """Return what HELP alone answers. `rest` follows what there is to know about commands."""
    return (
        f"redis-cli {version}\n"
        "To get help about Redis commands type:\n"
        '      "help @<group>" to get a list of commands in <group>\n'
        '      "help <command>" for help on <command>\n'
        '      "help <tab>" to get a list of possible help topics\n'
        '      "quit" to exit\n'
        f"{rest}"
    )


def help_command(command: CommandDoc, with_group: bool = True, nothing: str = "") -> str:
    """Return the help on one command; `nothing` stands for the syntax of one without arguments."""
    syntax = command.syntax if command.arguments else nothing
    lines = [
        "",
        f"  \x1b[1m{command.name}\x1b[0m \x1b[90m{syntax}\x1b[0m",
        f"  \x1b[33msummary:\x1b[0m {command.summary}",
        f"  \x1b[33msince:\x1b[0m {command.since}",
    ]
    if with_group:
        lines.append(f"  \x1b[33mgroup:\x1b[0m {command.group}")
    return "\r\n".join(lines) + "\r\n"


def help_in_lesson(words: list[bytes]) -> str:
    """Return what HELP followed by `words` answers at a prompt of the tutor, which has no redis-cli preferences."""
    return plain(help_text(words) if words else generic_help(rest=OF_THE_TUTOR))


def help_text(words: list[bytes], commands: CommandDocs | None = None, nothing: str = "") -> str:
    """Return what HELP followed by `words` answers: nothing → generic, `@group`, or the commands so named.

    redis-cli 7.2 prints "(null)" where a command has no arguments: pass it as `nothing` to do the same.
    """
    if not words:
        return generic_help()
    table = CommandDocs.load() if commands is None else commands
    names = [to_text(word).upper() for word in words]
    if names[0].startswith("@"):
        group = names[0][1:].lower()
        chosen = [help_command(command, False, nothing) for command in table if command.group.lower() == group]
    else:
        chosen = [
            help_command(command, True, nothing)
            for command in table
            if command.name.split(" ")[: len(names)] == names
        ]
    return "".join(chosen) + "\r\n"
