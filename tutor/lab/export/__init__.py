"""Export a history: FILE.txt, FILE.svg (a picture of the present moment), FILE.html, FILE.cast.

recorded   what is exported: events with their bytes and reasons, and how the nodes were after each
page       an HTML page that replays it in a browser, without a server
picture    the cluster and its last messages as SVG
cast       a recording for asciinema

The text is what `--play` prints. An export is of the present branch, up to the present place.
"""

from pathlib import Path

from tutor.lab.export.cast import recording
from tutor.lab.export.page import page
from tutor.lab.export.picture import picture
from tutor.lab.export.recorded import EVENTS_MAX, record
from tutor.lab.keeping import CannotKeepError, write_whole
from tutor.lab.play import retold
from tutor.lab.session import LabSession

KINDS = (".txt", ".svg", ".html", ".cast")


def kind_of(name: str) -> str:
    """Return what a file's name asks for. Raises CannotKeepError."""
    suffix = Path(name).suffix.lower()
    if suffix not in KINDS or Path(name).stem.startswith("."):
        raise CannotKeepError(
            "export FILE.txt writes text, FILE.svg a picture, FILE.html a page that replays it, and FILE.cast a "
            "recording for asciinema"
        )
    return suffix


def export(session: LabSession, name: str) -> str:
    """Write a file; returns what to say about it. Raises CannotKeepError or HistoryError."""
    kind, path = kind_of(name), Path(name).expanduser()
    told = ""
    if kind == ".txt":
        text = "\n".join(retold(session)) + "\n"
    elif kind == ".svg":
        text = picture(session)
    else:
        recorded = record(session)
        text = page(recorded) if kind == ".html" else recording(recorded)
        if recorded.before:
            told = f" It has the last {EVENTS_MAX:,} events that are shown; {recorded.before:,} are left out."
    write_whole(path, text.encode("utf-8", "replace"))
    return f"{path}: {len(text.encode('utf-8', 'replace')):,} B.{told}"
