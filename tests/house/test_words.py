"""Words that have no place in what is published: leftovers of work, and names of a developer's own machine."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Put together from halves, so that this file does not find itself.
FORBIDDEN = re.compile("|".join(("XXX", "FIXME", "TODO", "/work/", "import pdb", "breakpoint" r"\(\)")))
TEXT = {".py", ".md", ".toml", ".json", ".txt", ".yml", ".yaml", ".cfg", ""}


def files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines()]
    return [path for folder in ("engine", "tutor", "tests", "lessons") for path in (ROOT / folder).rglob("*")]


def test_no_file_holds_leftovers() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        if path.is_file() and path.suffix in TEXT
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []
