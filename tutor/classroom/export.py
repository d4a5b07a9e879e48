"""Results as files: CSV for spreadsheets, JSON for programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any


def export_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as JSON."""
    return json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n"


def export_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def harmless(value: object) -> object:
    """Return a cell that no spreadsheet executes."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
