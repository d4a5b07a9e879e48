"""The table of commands as a prompt needs it: names, summaries, groups and argument trees.

Filled from the server's own declarations (`CommandTable.load`), so that nothing is kept by hand; or from the reply to
COMMAND DOCS of whatever server is at the other end (`from_docs`), which HELP prefers.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import ReplyError
from tutor.prompt.grammar import Argument, Node, remaining
from tutor.prompt.replies import elements
from tutor.prompt.words import to_text


@dataclass(slots=True)
class Command:
    """A command or subcommand. `name` is in capitals: `SET`, `CONFIG GET`; `subcommands` by their last word."""

    name: str
    summary: str = ""
    since: str = ""
    group: str = ""
    arguments: tuple[Argument, ...] = ()
    complexity: str = ""
    subcommands: dict[str, "Command"] = field(default_factory=dict)
    container: bool = False  # has subcommands and does nothing alone

    @property
    def syntax(self) -> str:
        """The whole syntax behind the name, as hints spell it."""
        return remaining([Node(argument) for argument in self.arguments])


class CommandTable:
    """All commands. Look up with `find`; iterate for every command and subcommand by name."""

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self._commands: dict[str, Command] = {}
        for command in commands:
            self._commands[command.name] = command

    @classmethod
    @functools.cache
    def load(cls) -> "CommandTable":
        """Return the table of this project's own server."""
        from tutor.prompt.reference import load_commands

        return cls(load_commands())

    @classmethod
    def from_docs(cls, reply: Any) -> "CommandTable":
        """Read the reply to COMMAND DOCS, of either protocol. ValueError if it is not one."""
        docs = _plain(reply)
        if not isinstance(docs, dict):
            raise ValueError("not a reply to COMMAND DOCS")
        return cls(_command(name.upper(), facts) for name, facts in docs.items())

    def __bool__(self) -> bool:
        return bool(self._commands)

    def __iter__(self) -> Iterator[Command]:
        yield from sorted(self._all(), key=lambda command: command.name)

    def _all(self) -> Iterator[Command]:
        for command in self._commands.values():
            yield command
            yield from command.subcommands.values()

    def top(self) -> list[Command]:
        """Return the commands without their subcommands, by name."""
        return [self._commands[name] for name in sorted(self._commands)]

    def groups(self) -> list[str]:
        """Return the names of the groups, sorted."""
        return sorted({command.group for command in self._all() if command.group})

    def find(self, words: Sequence[bytes | str]) -> tuple[Command, int] | None:
        """Return the command that `words` begin with, and how many words name it; None if there is none."""
        if not words:
            return None
        names = [(word if isinstance(word, str) else to_text(word)).upper() for word in words[:2]]
        command = self._commands.get(names[0])
        if command is None:
            return None
        if len(names) > 1 and names[1] in command.subcommands:
            return command.subcommands[names[1]], 2
        return command, 1


def _command(name: str, facts: Mapping[str, Any]) -> Command:
    subcommands = {}
    for full, inner in facts.get("subcommands", {}).items():
        last = full.rpartition("|")[2].upper()
        subcommands[last] = _command(f"{name} {last}", inner)
    return Command(
        name=name,
        summary=facts.get("summary", ""),
        since=facts.get("since", ""),
        group=facts.get("group", ""),
        complexity=facts.get("complexity", ""),
        arguments=tuple(Argument.from_docs(item) for item in facts.get("arguments", ())),
        subcommands=subcommands,
        container=bool(subcommands) and not facts.get("arguments"),
    )


_MAPS = {"subcommands"}


def _plain(reply: Any, key: str = "") -> Any:
    """Turn a COMMAND DOCS reply into dicts, lists and str; RESP2 tells maps as flat lists."""
    if isinstance(reply, ReplyError):
        raise ValueError(to_text(reply.text))
    items = elements(reply)
    if items is None:
        return to_text(reply) if isinstance(reply, bytes) else reply
    if key in ("arguments",):
        return [_plain(item) for item in items]
    if key in ("flags", "doc_flags", "history"):
        return [to_text(item) for item in items if isinstance(item, bytes)]
    names = [to_text(item) for item in items[::2]]
    return {name: _plain(item, name) for name, item in zip(names, items[1::2], strict=True)}
