"""Dependencies point one way, and nothing under `engine/` but `engine/live/` touches the machine."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
TUTOR = sorted((ROOT / "tutor").rglob("*.py"))

# What reads a clock, draws lots, or reaches files, sockets and threads. A file's path is no file: os.path is text.
IMPURE = {"time", "random", "secrets", "uuid", "os", "socket", "select", "selectors", "threading", "subprocess"}
IMPURE |= {"asyncio", "signal", "tempfile", "shutil", "multiprocessing", "locale", "glob"}

# Lower layers do not know the higher ones. A module that is not named may be imported by all but the lowest.
LAYERS = [
    {"engine.errors", "engine.rng", "engine.effects", "engine.events", "engine.version", "engine.numbers"},
    {"engine.values"},
    {"engine.keyspace"},
    {"engine.commands"},
    {"engine.node"},
    {"engine.live"},
]

LONGEST = {"engine.node": 1100}  # lines; the table of contents of a server, and its inputs


@functools.cache
def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Return (module, line, whether it is for the type checker only) of each import in a file."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in for_types) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            found += [(f"{node.module}.{alias.name}", node.lineno, id(node) in for_types) for alias in node.names]
    return found


def layer(module: str) -> int | None:
    for number, members in enumerate(LAYERS):
        if any(module == member or module.startswith(member + ".") for member in members):
            return number
    return None


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def problems(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        own = name_of(path)
        live = own.startswith("engine.live") or own == "engine.__main__"
        for module, line, for_types in imports(path):
            where = f"{path.relative_to(ROOT)}:{line}"
            if module.split(".")[0] in ("tutor", "lessons", "tests", "textual", "rich", "click", "prompt_toolkit"):
                yield f"{where}: engine/ imports {module}"
            if not live and module.split(".")[0] in IMPURE:
                yield f"{where}: {module} is the machine's; only engine/live/ may know it"
            if not live and module.startswith("engine.live"):
                yield f"{where}: engine.live is a world; the node does not know it"
            mine, other = layer(own), layer(module)
            if not for_types and mine is not None and other is not None and other > mine:
                yield f"{where}: {own} imports {module}, which stands above it"


def test_engine() -> None:
    assert list(problems(ENGINE)) == []


def test_tutor_reaches_no_node_directly() -> None:
    """The tutor reaches a server as any client would; hosting one is for tutor/hosted.py and tutor/host.py."""
    hosts = {"tutor.hosted", "tutor.host", "tutor.__main__"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in TUTOR
        for module, line, _ in imports(path)
        if module.startswith(("engine.node.", "engine.dispatch", "engine.keyspace")) and name_of(path) not in hosts
    ]
    assert found == []


@pytest.mark.parametrize("path", [*ENGINE, *TUTOR], ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says what it is for"
    assert text.count("\n") < LONGEST.get(name_of(path), 900), "a module that outgrows 800 lines becomes a package"
    assert "datetime.now" not in text or name_of(path).startswith(("engine.live", "tutor"))
