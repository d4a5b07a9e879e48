"""Templates for a teacher's own lessons and scenarios: whole ones that pass `redis-tutor verify`, with comments.

`redis-tutor new lesson|two-servers|scenario NAME` writes one.
"""

import re
import sys
from pathlib import Path

KINDS = {"lesson": "lesson.md", "two-servers": "two-servers.md", "scenario": "scenario.yaml"}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def new(kind: str, name: str) -> int:
    """Write a template; `name` is the file, with or without its ending. Returns the exit status."""
    template = Path(__file__).with_name(KINDS[kind])
    path = Path(name)
    if path.name and path.suffix != template.suffix:
        path = path.with_name(path.name + template.suffix)
    identifier = re.sub(r"^\d+-", "", path.stem)  # the number that orders the files of a folder
    if not _ID.fullmatch(identifier):
        return _fail(f"{identifier!r} is not a name: lower-case words joined by -, such as {kind}-on-queues")
    title = identifier.replace("-", " ").capitalize()
    text = template.read_text("utf-8").replace("NAME", identifier).replace("TITLE", title)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return _fail(f"{path} already exists")
    except OSError as error:
        return _fail(f"{path}: {error.strerror}")
    print(f"{path} is a whole {'scenario' if kind == 'scenario' else 'lesson'} that works. Change it into yours.")
    print(f"Take it:  redis-tutor {'lab' if kind == 'scenario' else 'learn'} {path}")
    print(f"Check it: redis-tutor verify {path}   (--watch: again whenever you save it)")
    return 0


def _fail(problem: str) -> int:
    print(f"redis-tutor: {problem}", file=sys.stderr)
    return 1
