"""The typed line as styled spans: which words are the command, its keywords, keys, numbers, and what cannot be right.

Colors only repeat what the words say; no meaning is carried by them alone.
"""

from tutor.prompt.commands import CommandDocs
from tutor.prompt.grammar import Argument, expected, match
from tutor.prompt.hints import LONG
from tutor.prompt.words import Word, to_text, tokenize

# Every style that spans of lines and replies may carry, with what it is for.
STYLES = {
    "": "spaces, plain text",
    "command": "a command or subcommand that exists",
    "unknown": "a first word that is no command",
    "client": "a command of the prompt itself: help, quit, :set",
    "repeat": "a number before a command: how often to run it",
    "token": "a keyword of the command's syntax",
    "key": "the name of a key",
    "number": "a number",
    "string": "a quoted argument",
    "argument": "any other argument",
    "error": "an error reply; a quote that is not closed",
    "status": "a status reply",
    "integer": "an integer reply",
    "double": "a double reply",
    "boolean": "a boolean reply",
    "nil": "a null reply",
    "empty": "an aggregate reply without elements",
    "index": "the numbers before a reply's elements",
    "verbatim": "a reply that is text",
    "hint": "the rest of the syntax, behind the cursor",
}

CLIENT_COMMANDS = frozenset(["help", "?", "quit", "exit", "connect", "clear", "restart"])


def highlight(text: str, commands: CommandDocs | None = None) -> list[tuple[str, str]]:
    """Return the line as (style, text) pairs that joined give the line again."""
    if len(text) > LONG:
        return [("", text)]
    table = CommandDocs.load() if commands is None else commands
    spans: list[tuple[str, str]] = []
    at = 0
    for word, style in _styles(tokenize(text), table):
        if word.start > at:
            spans.append(("", text[at : word.start]))
        spans.append((style, text[word.start : word.end]))
        at = word.end
    if at < len(text):
        spans.append(("", text[at:]))
    return spans


def _styles(words: list[Word], table: CommandDocs) -> list[tuple[Word, str]]:
    styled: list[tuple[Word, str]] = []
    rest = words
    if len(rest) > 1 and rest[0].value.isdigit():
        styled.append((rest[0], "repeat"))
        rest = rest[1:]
    if not rest:
        return styled
    first = to_text(rest[0].value).lower()
    if first in CLIENT_COMMANDS or first.startswith(":"):
        return styled + [(rest[0], "client")] + [(word, "argument") for word in rest[1:]]
    found = table.find([word.value for word in rest])
    if found is None:
        return styled + [(rest[0], "unknown")] + [(word, _value(word)) for word in rest[1:]]
    command, length = found
    styled += [(word, "command") for word in rest[:length]]
    kinds = _kinds(command.arguments, [to_text(word.value) for word in rest[length:]])
    for i, word in enumerate(rest[length:]):
        kind = kinds[i] if i < len(kinds) else ""
        styled.append((word, kind if kind and word.closed and word.valid else _value(word)))
    return styled


def _value(word: Word) -> str:
    if not word.closed or not word.valid:
        return "error"
    if word.quote:
        return "string"
    try:
        float(word.value)
    except ValueError:
        return "argument"
    return "number"


def _kinds(arguments: tuple[Argument, ...], words: list[str]) -> list[str]:
    """Return "token" or "key" for each word that is one by the syntax, else ""."""
    kinds = []
    for i, word in enumerate(words):
        nodes, whole = match(arguments, words[:i])
        if not whole or i > 40:  # a long line of members or pairs: what comes is like what came
            break
        wanted = expected(nodes)
        if any(one.token is not None and one.token.lower() == word.lower() for one in wanted):
            kinds.append("token")
        elif any(one.token is None and one.argument.type == "key" for one in wanted):
            kinds.append("key")
        else:
            kinds.append("")
    return kinds
