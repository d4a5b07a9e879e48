"""Completion: commands, subcommands, keywords by the grammar, keys of the server, HELP topics, the prompt's commands.

A completion replaces `text[start:cursor]`. What is offered comes from the command table and, for keys and other
values only the server knows, from what the context can ask. Asking may take time: a front end that completes while
typing passes a context without `keys`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tutor.prompt.commands import CommandDoc, CommandDocs
from tutor.prompt.grammar import Argument, expected, match
from tutor.prompt.words import Word, spell, to_text, tokenize

KEYS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Completion:
    """One offer: put `text` in place of the line's part from `start` to the cursor.

    `kind`: "command", "subcommand", "token", "key", "value", "group", "client". `meta`: a few words about it.
    """

    text: str
    start: int
    kind: str
    meta: str = ""
    display: str = ""


@dataclass(slots=True)
class CompletionContext:
    """What completion may draw on.

    `keys(prefix, limit)` returns names of keys that start with `prefix`. `values(command, argument, prefix)` may
    return other values for an argument (a parameter of CONFIG GET). `client_commands` are the prompt's own, with what
    they do; names that start with a colon may hold a space (`:set hints`).
    """

    commands: CommandDocs = field(default_factory=CommandDocs.load)
    keys: Callable[[bytes, int], list[bytes]] | None = None
    values: Callable[[CommandDoc, Argument, str], list[str]] | None = None
    client_commands: Mapping[str, str] = field(default_factory=dict)


CLIENT_COMMANDS = {
    "help": "about commands and groups",
    "quit": "leave",
    "exit": "leave",
    "clear": "clear the screen",
    "connect": "connect HOST PORT",
    ":peek": "what a key is and holds",
    ":picture": "draw a key, or memory, persistence, replication …",
    ":why": "explain the last error",
    ":set hints": "show hints while typing",
    ":set nohints": "show no hints",
}


def complete(text: str, cursor: int | None = None, context: CompletionContext | None = None) -> list[Completion]:
    """Return what the word at the cursor could become, best first; an empty list where nothing is known."""
    context = context or CompletionContext()
    head = text if cursor is None else text[:cursor]
    words = tokenize(head)
    if words and words[-1].end == len(head):
        current, before = words[-1], words[:-1]
    else:
        current, before = Word(len(head), len(head), b""), words
    if any(not word.closed or not word.valid for word in before):
        return []
    if before and before[0].value.isdigit():
        before = before[1:]
    if not before:
        return _first_word(head, current, context)
    first = to_text(before[0].value).lower()
    if first in (":peek", ":picture") and len(before) == 1:
        return _keys(current, context)
    if first.startswith(":"):
        return _client(head[words[0].start :], words[0].start, context)
    if first in ("help", "?"):
        return _help(head[before[0].end :].lstrip(), len(head), context.commands)
    found = context.commands.find([word.value for word in before])
    if found is None:
        return []
    command, length = found
    offers = []
    if length == len(before) and command.subcommands:
        typed = to_text(current.value).upper()
        offers = [
            Completion(_case(name, current), current.start, "subcommand", sub.summary)
            for name, sub in sorted(command.subcommands.items())
            if name.startswith(typed)
        ]
    return offers + _arguments(command, [to_text(word.value) for word in before[length:]], current, context)


def _case(word: str, current: Word) -> str:
    """Spell a keyword the way the user is typing: small letters for small letters."""
    typed = to_text(current.value)
    return word.lower() if typed and typed == typed.lower() and any(map(str.isalpha, typed)) else word


def _first_word(head: str, current: Word, context: CompletionContext) -> list[Completion]:
    typed = to_text(current.value)
    if typed.startswith(":"):
        return _client(head[current.start :], current.start, context)
    upper = typed.upper()
    offers = [
        Completion(_case(command.name, current), current.start, "command", command.summary)
        for command in context.commands.top()
        if command.name.startswith(upper)
    ]
    if typed:
        offers += [
            Completion(name, current.start, "client", about)
            for name, about in context.client_commands.items()
            if name.startswith(typed.lower())
        ]
    return offers


def _client(typed: str, start: int, context: CompletionContext) -> list[Completion]:
    return [
        Completion(name, start, "client", about)
        for name, about in context.client_commands.items()
        if name.startswith(typed.lower())
    ]


def _help(typed: str, end: int, table: CommandDocs) -> list[Completion]:
    start = end - len(typed)
    upper = typed.upper()
    small = bool(typed) and typed == typed.lower()
    names = [(command.name, command.summary, "command") for command in table]
    names += [(f"@{group}", "a group of commands", "group") for group in table.groups()]
    return [
        Completion(name.lower() if small else name, start, kind, about)
        for name, about, kind in names
        if name.upper().startswith(upper)
    ]


def _arguments(command: CommandDoc, words: list[str], current: Word, context: CompletionContext) -> list[Completion]:
    nodes, whole = match(command.arguments, words)
    if not whole:
        return []
    typed = to_text(current.value)
    offers: dict[str, Completion] = {}
    for one in expected(nodes):
        if one.token is not None:
            if one.token.lower().startswith(typed.lower()) and not current.quote:
                about = "" if one.argument.type == "pure-token" else _about(one.argument)
                offers.setdefault(one.token, Completion(_case(one.token, current), current.start, "token", about))
        elif one.argument.type == "key":
            for key in _keys(current, context):
                offers.setdefault(key.text, key)
        elif context.values is not None:
            for value in context.values(command, one.argument, typed):
                offers.setdefault(value, Completion(value, current.start, "value"))
    return list(offers.values())


def _keys(current: Word, context: CompletionContext) -> list[Completion]:
    if context.keys is None:
        return []
    return [Completion(_spell(key, current), current.start, "key") for key in context.keys(current.value, KEYS_SHOWN)]


def _about(argument: Argument) -> str:
    return " ".join([item.display for item in argument.arguments]) or argument.display


def _spell(key: bytes, current: Word) -> str:
    shown = spell(key)
    if current.quote == '"' and not shown.startswith('"'):
        return f'"{shown}"'
    return shown
