"""A page that replays a history in a browser: one file, which loads nothing else."""

import json
from html import escape
from pathlib import Path

from tutor.lab.export.recorded import DETAIL_LINES, RecordedHistory, as_json

BYTES_MAX = 5_000_000
TEMPLATE = Path(__file__).with_name("page.html")


def page(recorded: RecordedHistory) -> str:
    """Return the page. Where it would be too large, the details of events are cut to fewer lines."""
    template = TEMPLATE.read_text(encoding="utf-8")
    details = DETAIL_LINES
    while True:
        data = json.dumps(as_json(recorded, details), ensure_ascii=False, separators=(",", ":"))
        data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        text = template.replace("TITLE", escape(recorded.title)).replace("DATA", data)
        if len(text.encode("utf-8", "replace")) <= BYTES_MAX or not details:
            return text
        details //= 2
