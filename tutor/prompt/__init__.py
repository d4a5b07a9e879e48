"""The shared logic of the two prompts, without a user interface.

`redis-tutor cli` (prompt-toolkit, or a pipe) and the lesson's terminal (Textual) are two front ends of this package.
It imports neither, does no I/O but the history file's, and holds what both must agree on:

    replies      the wire as a client reads it: `ReplyParser` gives the values of `engine.protocol.resp`
    formatting   reply → bytes as redis-cli prints them (`format_reply`), or → styled spans (`reply_spans`)
    words        a line → arguments (`split_args`), and → words with their places (`tokenize`)
    grammar      argument trees: what is matched, what may follow, what is missing
    commands     the table of commands that grammar, completion and HELP read (`CommandDocs`)
    hints        the rest of the syntax behind the cursor (`hint`), all of it for the bottom line (`syntax`)
    completion   `complete(text, cursor, context)`
    highlight    the line as styled spans
    help         the answers to HELP
    history      the history file, and what must not enter it
    state        what the prompt shows (`PromptState`)

Lines are `str` as typed; arguments and replies are `bytes`. Text that is not UTF-8 survives the round trip between
the two (`surrogateescape`). Styles are plain words (`"command"`, `"error"` …, see `STYLES`); a front end gives them
looks.

https://redis.io/docs/latest/develop/tools/cli/
"""

from tutor.prompt.commands import CommandDoc, CommandDocs
from tutor.prompt.completion import Completion, CompletionContext, complete
from tutor.prompt.formatting import (
    OutputMode,
    format_invalidate,
    format_reply,
    is_invalidate,
    prints_raw,
    reply_spans,
)
from tutor.prompt.help import generic_help, help_command, help_in_lesson, help_text, plain
from tutor.prompt.highlight import STYLES, highlight
from tutor.prompt.hints import hint, inline_hint, syntax
from tutor.prompt.history import LineHistory, is_sensitive
from tutor.prompt.replies import Double, ReplyParser
from tutor.prompt.state import PromptState
from tutor.prompt.words import Word, quote, split_args, to_bytes, to_text, tokenize, unquote

__all__ = [
    "STYLES",
    "CommandDoc",
    "CommandDocs",
    "Completion",
    "CompletionContext",
    "Double",
    "LineHistory",
    "OutputMode",
    "PromptState",
    "ReplyParser",
    "Word",
    "complete",
    "format_invalidate",
    "format_reply",
    "generic_help",
    "help_command",
    "help_in_lesson",
    "help_text",
    "highlight",
    "hint",
    "inline_hint",
    "is_invalidate",
    "is_sensitive",
    "plain",
    "prints_raw",
    "quote",
    "reply_spans",
    "split_args",
    "syntax",
    "to_bytes",
    "to_text",
    "tokenize",
    "unquote",
]
