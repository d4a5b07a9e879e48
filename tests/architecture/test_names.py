"""One class name means one thing: no two classes of the engine and the tutor have the same name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import tree_of

pytestmark = pytest.mark.long

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
            for name in classes(tree_of(path).body):
                found[name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) for each literal of several words, except for docstrings and annotations."""
    others: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            others.add(id(node.value))
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            others |= {id(each) for each in ast.walk(node.annotation)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in others:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str) and " " in text.strip():
                yield node.lineno, text


def test_texts_name_no_class() -> None:
    """A log line or an error is Redis's own: renaming a class must not change it."""
    trees = {path: tree_of(path) for path in sorted((ROOT / "engine").rglob("*.py"))}
    compound = {
        name
        for tree in trees.values()
        for name in classes(tree.body)
        if sum(map(str.isupper, name)) > 1 and not name.isupper() and "." not in name
    }
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path, tree in trees.items()
        for line, text in texts(tree)
        if not compound.isdisjoint(text.replace(":", " ").split())
    ]
    assert wrong == []
