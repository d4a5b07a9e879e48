"""One class name means one thing: no two classes of the engine and the tutor have the same name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def classes(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names of classes; a nested one is named as it is used: `Timeline.Chosen`."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield statement.name
            yield from (f"{statement.name}.{name}" for name in classes(statement.body))


def test_class_names_are_unique() -> None:
    found = defaultdict(list)
    for package in ("engine", "tutor"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in classes(ast.parse(path.read_text()).body):
                found[name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
