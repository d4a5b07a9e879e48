"""Dependencies point one way, and nothing under `engine/` but `engine/live/` touches the machine."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import tree_of
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
TUTOR = sorted((ROOT / "tutor").rglob("*.py"))

# What reads a clock, draws lots, or reaches files, sockets and threads. A file's path is no file: os.path is text.
IMPURE = {"time", "random", "secrets", "uuid", "os", "socket", "select", "selectors", "threading", "subprocess"}
IMPURE |= {"asyncio", "signal", "tempfile", "shutil", "multiprocessing", "locale", "glob"}

# The layers from the lowest to the highest: a module imports only from its own layer and those before it, for
# annotations and within functions, too.
ROOMS = [
    "protocol",
    "effects",
    "links",
    "timers",
    "values",
    "observe",
    "keyspace",
    "config",
    "table",
    "core",
    "clients",
    "execution",
    "persistence",
    "scripting",
    "replication",
    "cluster",
    "server",
    "report",
    "commands",
    "node",
    "boot",
    "sentinel",
    "journal",
    "inspection",
    "simulation",
    "live",
    "__main__",
]

# The same for the tutor. What is below the widgets runs without a screen, and imports no library for one.
TUTOR_ROOMS = [
    "paths",
    "symbols",
    "about",
    "ending",
    "answers",
    "convert",
    "processes",
    "prompt",
    "client",
    "cluster",
    "explain",
    "pictures",
    "lesson_server",
    "lesson",
    "lab",
    "cli",
    "standard_streams",
    "plain",
    "verify",
    "watching",
    "templates",
    "classroom",
    "theme",
    "widgets",
    "screens",
    "app",
    "plain_learner",
    "learner",
    "commandline",
    "__main__",
]
WITHOUT_A_SCREEN = TUTOR_ROOMS[: TUTOR_ROOMS.index("theme")]

CIRCLE_MAX = 8  # modules that know each other


@functools.cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Return (module, line) of each import in a file, for annotations and within functions, too."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def room(module: str) -> str:
    return module.split(".")[1] if module.startswith("engine.") else ""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def problems(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        own = name_of(path)
        live = own.startswith("engine.live") or own == "engine.__main__"
        for module, line in imports(path):
            where = f"{path.relative_to(ROOT)}:{line}"
            if module.split(".")[0] in ("tutor", "lessons", "tests", "textual", "rich", "click", "prompt_toolkit"):
                yield f"{where}: engine/ imports {module}"
            if not live and module.split(".")[0] in IMPURE:
                yield f"{where}: {module} is the machine's; only engine/live/ may know it"
            if not live and module.startswith("engine.live"):
                yield f"{where}: engine.live is a world; the node does not know it"
            mine, other = room(own), room(module)
            if mine and other in ROOMS and ROOMS.index(other) > ROOMS.index(mine):
                yield f"{where}: {own} imports {module}, whose layer is above its own"


def test_every_module_is_in_a_room() -> None:
    assert {room(name_of(path)) for path in ENGINE} - {""} == set(ROOMS)


def documented() -> Iterator[tuple[str, set[str]]]:
    """Yield each layer in CONTRIBUTING.md's table of the engine, and the layers that it may import."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("| may import |\n|---|---|---|\n")[2].partition("\n\n")[0]
    above: set[str] = set()
    for line in table.splitlines():
        layer, _, allowed = line.strip("| ").split(" | ")
        own = layer.strip("`").removesuffix("/").removesuffix(".py")
        named = {name.removesuffix(".py") for name in re.findall(r"`(\w+(?:\.py)?)/?`", allowed)}
        yield own, above - named if allowed.startswith("all above") else named
        above = above | {own}


def test_the_documentation_names_every_layer() -> None:
    assert [layer for layer, _ in documented()] == [layer for layer in ROOMS if layer != "__main__"]


def test_layers_import_what_the_documentation_says() -> None:
    allowed = dict(documented())
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in ENGINE
        for module, line in imports(path)
        if (own := room(name_of(path))) in allowed
        and (other := room(module)) in ROOMS
        and other not in allowed[own] | {own}
    ]
    assert wrong == []


def test_engine() -> None:
    assert list(problems(ENGINE)) == []


def test_circles_are_small() -> None:
    """Few modules know each other, and by the order of the layers only within one."""
    names = {name_of(path): path for path in ENGINE}
    known = {
        name: {
            found for module, _ in imports(path) for found in (module, module.rpartition(".")[0]) if found in names
        }
        for name, path in names.items()
    }
    reached = {name: reachable(known, name) for name in names}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in names}
    assert max(map(len, circles)) <= CIRCLE_MAX, max(circles, key=len)


def reachable(known: dict[str, set[str]], start: str) -> set[str]:
    """Return what a module knows, directly or through others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in known[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def tutor_room(module: str) -> str:
    return module.split(".")[1] if module.startswith("tutor.") else ""


def test_every_module_of_the_tutor_is_in_a_room() -> None:
    assert {tutor_room(name_of(path)) for path in TUTOR} - {""} == set(TUTOR_ROOMS)


def test_tutor_imports_downwards() -> None:
    found = []
    for path in TUTOR:
        mine = tutor_room(name_of(path))
        for module, line in imports(path):
            where, other = f"{path.relative_to(ROOT)}:{line}", tutor_room(module)
            if other and mine and TUTOR_ROOMS.index(other) > TUTOR_ROOMS.index(mine):
                found.append(f"{where}: {module} is in a room above")
            if mine in WITHOUT_A_SCREEN and module.split(".")[0] in ("textual", "rich"):
                found.append(f"{where}: {module} is for rooms with a screen")
    assert found == []


def test_what_runs_a_lesson_needs_no_screen() -> None:
    """Not even by way of another module: everything below the widgets is imported in a process of its own."""
    names = [name_of(path) for path in TUTOR if tutor_room(name_of(path)) in WITHOUT_A_SCREEN]
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'textual', 'rich'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_tutor_reaches_no_node_directly() -> None:
    """The tutor reaches a server as any client would; hosting one is for tutor/lesson_server/."""
    hosts = {"tutor.lesson_server.child", "tutor.__main__"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in TUTOR
        for module, line in imports(path)
        if module.startswith(("engine.node.", "engine.execution.dispatch", "engine.keyspace.databases"))
        and name_of(path) not in hosts
    ]
    assert found == []


@pytest.mark.parametrize("path", [*ENGINE, *TUTOR], ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says what it is for"
    assert text.count("\n") < 900, "a module that outgrows 800 lines becomes a package"
    assert "datetime.now" not in text or name_of(path).startswith(("engine.live", "tutor"))
