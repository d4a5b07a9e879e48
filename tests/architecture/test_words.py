"""Words that have no place in what is published: leftovers of work."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"\b(?:XXX|FIXME|TODO)\b|import pdb|(?<!redis\.)breakpoint\(\)")
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
        if path.is_file() and path.suffix in TEXT and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []
