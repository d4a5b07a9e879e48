"""The table of commands as a prompt needs it: names, summaries, groups and argument trees.

Filled from the server's own declarations (`CommandDocs.load`), so that nothing is kept by hand; or from the reply to
COMMAND DOCS of whatever server is at the other end (`from_docs`), which HELP prefers.

A prompt should be there at once, so the table reads as little as it can: argument trees are built for the commands
that are typed, and the declarations (groups, versions) are asked only for HELP, since asking imports the server.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.prompt.grammar import Argument, ArgumentMatch, remaining
from tutor.prompt.replies import elements
from tutor.prompt.words import WORD, distance, to_text

Facts = Mapping[str, Any]
Version = tuple[int, ...]
_ENGLISH = (  # words that may begin an answer, although they are near to commands
    "back", "call", "clients", "commands", "count", "counter", "execabort", "exist", "existed", "expired", "expires",
    "fraction", "functions", "gets", "group", "happened", "happens", "have", "index", "into", "match", "members",
    "mode", "more", "moved", "moves", "port", "publisher", "rank", "read", "renamed", "replica", "replicas",
    "rest", "restart", "roles", "rule", "same", "saved", "saves", "score", "scripts", "sent", "sets", "short",
    "slave", "stop", "subscriber", "subscribers", "times", "types", "union", "waits", "want",
)  # fmt: skip


def parse_version(text: str) -> Version:
    """Read `7.2.4`; nothing is the oldest version of all."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _prune(arguments: Iterable[Argument], version: Version) -> tuple[Argument, ...]:
    return tuple(
        dataclasses.replace(argument, arguments=_prune(argument.arguments, version))
        for argument in arguments
        if parse_version(argument.since or "") <= version
    )


class CommandDoc:
    """A command or subcommand. `name` is in capitals: `SET`, `CONFIG GET`; `subcommands` by their last word.

    `facts` are those of COMMAND DOCS: summary, since, group, complexity, arguments.
    """

    def __init__(self, name: str, facts: Facts, declared: Callable[[str], Facts] | None = None) -> None:
        self.name = name
        self.subcommands: dict[str, CommandDoc] = {}
        self._facts = facts
        self._declared = declared

    def for_version(self, version: Version) -> "CommandDoc":
        """Return the command as a server of this version knows it."""
        older = CommandDoc(self.name, self._facts, self._declared)
        older.arguments = _prune(self.arguments, version)
        older.subcommands = {
            name: command.for_version(version)
            for name, command in self.subcommands.items()
            if parse_version(command.since) <= version
        }
        return older

    def __repr__(self) -> str:
        return f"<Command {self.name}>"

    @property
    def summary(self) -> str:
        """One sentence."""
        return str(self._facts.get("summary", ""))

    @property
    def group(self) -> str:
        """The group's name, such as `sorted-set`."""
        return self._declaration("group")

    @property
    def since(self) -> str:
        """The version of Redis that brought it."""
        return self._declaration("since")

    @property
    def complexity(self) -> str:
        """Redis's words for its time complexity."""
        return self._declaration("complexity")

    def _declaration(self, fact: str) -> str:
        if fact not in self._facts and self._declared is not None:
            self._facts = {**self._declared(self.name), **self._facts}
        return str(self._facts.get(fact, ""))

    @functools.cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """The argument tree."""
        return tuple(Argument.from_docs(item) for item in self._facts.get("arguments", ()))

    @property
    def syntax(self) -> str:
        """The whole syntax behind the name, as hints spell it."""
        return remaining([ArgumentMatch(argument) for argument in self.arguments])

    @property
    def is_container(self) -> bool:
        """Whether it only holds subcommands."""
        return bool(self.subcommands) and not self._facts.get("arguments")


class CommandDocs:
    """Docs of all commands. Look up with `find`; iterate for every command and subcommand by name."""

    def __init__(self, commands: Iterable[CommandDoc] = ()) -> None:
        self._commands = {command.name: command for command in commands}

    @classmethod
    @functools.cache
    def load(cls) -> "CommandDocs":
        """Return the table of this project's own server."""
        return cls._of("reference")

    @classmethod
    @functools.cache
    def of_sentinel(cls) -> "CommandDocs":
        """Return the command that only Sentinels have: SENTINEL, with its subcommands."""
        return cls._of("sentinel")

    @classmethod
    def _of(cls, file: str) -> "CommandDocs":
        from engine.table import reference

        commands: dict[str, CommandDoc] = {}
        for full, facts in sorted(reference.load(file).items()):  # a container sorts before what it holds
            name, _, last = full.upper().partition("|")
            if not last:
                commands[name] = CommandDoc(name, facts, _declared)
            else:
                container = commands.setdefault(name, CommandDoc(name, {}, _declared))
                container.subcommands[last] = CommandDoc(f"{name} {last}", facts, _declared)
        return cls(commands.values())

    @classmethod
    def from_docs(cls, reply: Any) -> "CommandDocs":
        """Read the reply to COMMAND DOCS, of either protocol. ValueError if it is not one."""
        docs = _plain(reply)
        if not isinstance(docs, dict):
            raise ValueError("not a reply to COMMAND DOCS")
        return cls(_command(name.upper(), facts) for name, facts in docs.items())

    def __bool__(self) -> bool:
        return bool(self._commands)

    def __iter__(self) -> Iterator[CommandDoc]:
        yield from sorted(self._all(), key=lambda command: command.name)

    def _all(self) -> Iterator[CommandDoc]:
        for command in self._commands.values():
            yield command
            yield from command.subcommands.values()

    def top(self) -> list[CommandDoc]:
        """Return the commands without their subcommands, by name."""
        return [self._commands[name] for name in sorted(self._commands)]

    def for_version(self, version: Version) -> "CommandDocs":
        """Return the commands and arguments that a server of this version knows."""
        return CommandDocs(
            command.for_version(version)
            for command in self._commands.values()
            if parse_version(command.since) <= version
        )

    def become(self, other: "CommandDocs") -> None:
        """Take over another table's commands."""
        self._commands = dict(other._commands)

    def add(self, command: CommandDoc) -> None:
        """Put in a command, in place of one of the same name."""
        self._commands[command.name] = command

    def groups(self) -> list[str]:
        """Return the names of the groups, sorted."""
        return sorted({command.group for command in self._commands.values() if command.group})

    def find(self, words: Sequence[bytes | str]) -> tuple[CommandDoc, int] | None:
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

    def means_command(self, line: str) -> bool:
        """Return whether a line begins like a command, perhaps a mistyped one, and continues."""
        words = line.split()
        if len(words) < 2 or not len(words[0]) <= WORD:
            return False
        first = words[0].upper()
        if first in self._commands or first == "SENTINEL":  # which only Sentinels have
            return True
        if first.startswith("REDIS-"):  # a program
            return True
        if first.lower() in _ENGLISH:
            return False
        if words[0] == first and any(len(name) > 2 and first.startswith(name) for name in self._commands):
            return True  # DELETE, GETALL
        if len(first) <= 3:  # so short a word is near to many
            return any(sorted(first) == sorted(name) for name in self._commands)
        slips = 1 if len(first) < 7 else 2
        return any(
            distance(first, name, slips) <= slips or (name.startswith(first) and len(name) <= len(first) + 2)
            for name in self._commands
        )


def _declared(name: str) -> Facts:
    """Return what stands above the handler of one of our own commands; empty if we have none of that name."""
    from engine import commands
    from engine.table import declarations as table

    commands.load_all()
    command = table.SERVER.get(name.split(" ")[0].lower().encode())
    if command is not None and " " in name:
        command = (command.subcommands or {}).get(name.split(" ")[1].lower().encode())
    if command is None:
        return {}
    return {
        "group": command.group.replace("_", "-"),
        "since": command.since,
        "complexity": command.complexity,
    }


def _command(name: str, facts: Facts) -> CommandDoc:
    command = CommandDoc(name, facts)
    for full, inner in facts.get("subcommands", {}).items():
        last = full.rpartition("|")[2].upper()
        command.subcommands[last] = _command(f"{name} {last}", inner)
    return command


def _plain(reply: Any, key: str = "") -> Any:
    """Turn a COMMAND DOCS reply into dicts, lists and str; RESP2 sends maps as flat lists."""
    if isinstance(reply, ReplyError):
        raise ValueError(to_text(reply.text))
    items = elements(reply)
    if items is None:
        return to_text(reply) if isinstance(reply, bytes) else reply
    if key == "arguments":
        return [_plain(item) for item in items]
    if key in ("flags", "doc_flags", "history"):
        return [to_text(item) for item in items if isinstance(item, bytes)]
    names = [to_text(item) for item in items[::2]]
    return {name: _plain(item, name) for name, item in zip(names, items[1::2], strict=True)}
