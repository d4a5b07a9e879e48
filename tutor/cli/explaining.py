"""`:picture KEY` and `:why` at the prompt: a key or a part of the server drawn, and what the last error means.

Both only read, over the prompt's own connection: `:picture` a bounded part of a key, `:why` what the error is about.
The server counts these commands like any other.
"""

from collections.abc import Sequence
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv
from tutor.cli.session import CliSession
from tutor.client import LinkError
from tutor.lesson.diagnosis import explain_error
from tutor.lesson.real_server import may_run
from tutor.lesson.watcher import Watcher
from tutor.pictures.subjects import SUBJECTS
from tutor.prompt import to_text

WIDTH = 78
NO_ERROR = "No command has failed so far."
USAGE = f":picture KEY, or one of: {', '.join(SUBJECTS)}"


def picture(session: CliSession, words: Sequence[bytes]) -> None:
    """Draw a key, or a part of the server."""
    if len(words) != 1:
        session.say(USAGE)
        return
    if not _can_look(session):
        return
    watcher = Watcher(lambda requests: [_look(session, argv) for argv, _ in requests], dict)
    name = to_text(words[0])
    try:
        view = watcher.show(name if name in SUBJECTS else words[0], session.state.db, 0)
    except LinkError as error:
        session.say(f"Error: {error}")
        session.close()
        return
    for line in view.draw(WIDTH, 0).lines if view is not None else ():
        session.say("".join(text for text, _ in line).rstrip())


def why(session: CliSession, failed: tuple[Argv, ReplyError] | None) -> None:
    """Explain the error of a command."""
    if failed is None:
        session.say(NO_ERROR)
        return
    argv, error = failed
    inspect = (lambda looks, db: _look(session, looks)) if _can_look(session, quiet=True) else None
    for line in explain_error(argv, error.text, inspect).splitlines():
        session.say(line.replace("`", ""))


def _can_look(session: CliSession, quiet: bool = False) -> bool:
    if session.state.in_multi or session.state.subscribed:
        if not quiet:
            session.say("End the transaction or subscription first.")
        return False
    return session.connection is not None or session.connect()


def _look(session: CliSession, argv: Sequence[bytes]) -> Any:
    if argv[0].upper() == b"INSPECT" or not may_run(argv):  # the tutor's own servers know it
        return ReplyError(b"ERR unknown")
    assert session.connection is not None
    return session.connection.call(*argv)
