"""The hint behind the cursor (the rest of the syntax) and the bottom line (all of it)."""

from tutor.prompt import grammar
from tutor.prompt.commands import CommandDocs
from tutor.prompt.words import split_args, to_text

LONG = 4000  # characters: such a line is pasted, not typed, and needs no hints


def hint(text: str, commands: CommandDocs | None = None) -> str | None:
    """Return what redis-cli 7.2 hints after this text; None where no command is known.

    The last word counts once a space follows it. No leading space: see `inline_hint`.
    """
    args = split_args(text) if len(text) <= LONG else None
    if args is None:
        return None
    words = [to_text(arg) for arg in args]
    if not text[-1:].isspace():
        words = words[:-1]
    table = CommandDocs.load() if commands is None else commands
    found = table.find(words)
    if found is None:
        return None
    command, length = found
    nodes, whole = grammar.match(command.arguments, words[length:])
    return grammar.remaining(nodes) if whole else ""


def inline_hint(text: str, commands: CommandDocs | None = None) -> str:
    """Return the hint to show right behind the text, with the space that parts them if it needs one."""
    rest = hint(text, commands)
    if not rest:
        return ""
    return rest if text[-1:].isspace() else " " + rest


def syntax(text: str, commands: CommandDocs | None = None) -> str:
    """Return the whole syntax of the command being typed, for the bottom line; "" if none is known.

    For a command that only holds others (CONFIG), the subcommands.
    """
    table = CommandDocs.load() if commands is None else commands
    args = split_args(text[:LONG])
    if args is None:
        args = [word.encode() for word in text[:LONG].split()[:2]]
    found = table.find(args)
    if found is None:
        return ""
    command = found[0]
    if command.is_container:
        return f"{command.name} {'|'.join(sorted(command.subcommands))}"
    return f"{command.name} {command.syntax}".rstrip()
