"""`Server` and `Node`, which assemble a server and pass inputs to it, stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import tree_of

pytestmark = pytest.mark.long

ENGINE = Path(__file__).parents[2] / "engine"
ATTRIBUTES_MAX = 45
METHODS_MAX = 50


@pytest.fixture
def parts() -> list[ast.ClassDef]:
    """The two classes of which a node consists."""
    places = (("server/__init__.py", "Server"), ("node.py", "Node"))
    return [
        statement
        for path, name in places
        for statement in tree_of(ENGINE / path).body
        if isinstance(statement, ast.ClassDef) and statement.name == name
    ]


def set_by(part: ast.ClassDef) -> Iterator[str]:
    """Yield the attributes that a class sets: `self.name = …`, also as one of several targets."""
    for node in ast.walk(part):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def test_a_node_has_few_attributes(parts: list[ast.ClassDef]) -> None:
    attributes = {name for part in parts for name in set_by(part)}
    assert len(parts) == 2
    assert len(attributes) <= ATTRIBUTES_MAX, sorted(attributes)


def test_a_node_has_few_methods(parts: list[ast.ClassDef]) -> None:
    methods = [part.body for part in parts]
    assert sum(isinstance(each, ast.FunctionDef) for body in methods for each in body) <= METHODS_MAX
