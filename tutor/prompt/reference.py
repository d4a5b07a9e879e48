"""Our own server's commands, read from its declarations for the prompt's table."""

from collections.abc import Iterable

from tutor.prompt.commands import Command


def load_commands() -> Iterable[Command]:
    """Return every command of our server, with its subcommands."""
    return ()
