"""A recording for asciinema (version 2 of its format): the lines of `--play`, at the pace of the history."""

import json
import textwrap

from engine.simulation.world import BEGINNING_US
from tutor.lab.export.recorded import RecordedHistory
from tutor.lab.format import line_of

COLUMNS, LINES = 100, 30
IDLE_S = 1.5  # at most, between two lines
LINE_S = 0.08  # at least
READ_S_PER_WORD = 0.3


def recording(recorded: RecordedHistory) -> str:
    """Return the recording."""
    header = {"version": 2, "width": COLUMNS, "height": LINES, "title": recorded.title, "idle_time_limit": 8}
    rows, now, before_us = [json.dumps(header)], 0.0, BEGINNING_US
    rows.append(
        _out(now, f"{recorded.title}\n{'=' * len(recorded.title)}\n{textwrap.fill(recorded.summary, COLUMNS)}\n")
    )
    now += READ_S_PER_WORD * len(recorded.summary.split())
    texts = [(began, f"\n{number}. {say}") for number, (began, _, say) in enumerate(recorded.steps, 1)]
    texts += [(place, f"\n✎ {text}") for place, text in recorded.notes]
    texts.sort(key=lambda each: each[0])
    for event in recorded.events:
        while texts and texts[0][0] <= event.number:
            text = texts.pop(0)[1]
            rows.append(_out(now, "\n".join(textwrap.wrap(text, COLUMNS)) + "\n\n"))
            now += READ_S_PER_WORD * len(text.split())
        now += max(LINE_S, min((event.at_us - before_us) / 1_000_000, IDLE_S))
        before_us = event.at_us
        line = line_of((event.number, event.kind, event.source, event.target, event.text), event.at_us)
        rows.append(_out(now, line[:COLUMNS] + "\n"))
    for _, text in texts:
        rows.append(_out(now, "\n".join(textwrap.wrap(text, COLUMNS)) + "\n"))
    if recorded.states:
        now += IDLE_S
        rows.append(_out(now, "\n" + "".join(f"{node[3]}\n" for node in recorded.states[-1].nodes.values())))
    return "\n".join(rows) + "\n"


def _out(now: float, text: str) -> str:
    return json.dumps([round(now, 3), "o", text.replace("\n", "\r\n")], ensure_ascii=False)
