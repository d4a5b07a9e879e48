"""What was typed at a node (or as a client) and what it answered, as redis-cli shows it.

All of it is read from the history, so it goes back and branches with everything else.
"""

from engine.simulation.actions import Command
from engine.simulation.happenings import Acted, Delivered, Hungup
from engine.simulation.history import History
from tutor.lab.drawing import Text
from tutor.lab.words import PROMPT
from tutor.prompt.formatting import format_reply, prints_raw
from tutor.prompt.replies import INCOMPLETE, ProtocolError, ReplyReader

LINES_MAX = 200


def transcript(history: History, name: str, shown_as: str) -> list[Text]:
    """Return what was said at the prompt of a node, or by a client, up to the present place."""
    client = PROMPT + name if name in history.world.hosts else name
    reader = ReplyReader()
    asked: list[list[bytes]] = []
    rows: list[Text] = []
    for happening in history.happenings[: history.place]:
        match happening:
            case Acted(action=Command(client=who, argv=argv)) if who == client:
                asked.append(list(argv))
                typed = b" ".join(argv).decode("utf-8", "replace")
                rows.append([(f"{shown_as}> ", "accent"), (typed, "strong")])
            case Delivered(target=target, data=data) if target == client:
                reader.feed(data)
                rows += _answers(reader, asked)
            case Hungup(target=target) if target == client:
                reader, asked = ReplyReader(), []
                rows.append([("the connection has ended", "bad")])
    return rows[-LINES_MAX:]


def _answers(reader: ReplyReader, asked: list[list[bytes]]) -> list[Text]:
    rows: list[Text] = []
    while True:
        try:
            reply = reader.next()
        except ProtocolError as error:
            return [*rows, [(str(error), "bad")]]
        if reply is INCOMPLETE:
            return rows
        argv = asked.pop(0) if asked else []
        text = format_reply(reply, verbatim=prints_raw(argv)).decode("utf-8", "replace")
        text = text.replace("\r", "").rstrip("\n")
        rows += [[(line, "")] for line in text.split("\n")]
