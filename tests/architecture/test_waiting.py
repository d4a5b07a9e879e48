"""Tests wait for conditions: no time limit is shorter than that of `tests/waiting.py`, and none hopes for a pause."""

import ast
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

TESTS = Path(__file__).parents[1]
TAKE_SECONDS = {"wait", "join", "settimeout"}
SIMULATED = {"drive.wait", "server.wait"}  # where time is an argument
TAKE_A_TIMEOUT = {"run", "check_output", "communicate", "get_message", "create_connection", "spawn", "Redis"}
PAUSES = {"time.sleep", "asyncio.sleep", "sleep", "pilot.pause"}
TESTED = list(TESTS.rglob("test_*.py"))
HELPERS = [path for path in TESTS.rglob("*.py") if path.name in ("conftest.py", "ours.py", "real.py", "screen.py")]


def seconds(node: ast.expr | None) -> float | None:
    """Return the number that stands there."""
    return float(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def hasty(source: str) -> list[str]:
    """Return the calls that wait for a time, or not long enough for a condition."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        first = [seconds(argument) for argument in node.args[:1]]
        limits = [seconds(each.value) for each in node.keywords if each.arg in ("timeout", "socket_timeout")]
        if last in TAKE_SECONDS and last != name and name not in SIMULATED:
            limits += first
        elif last not in TAKE_A_TIMEOUT or name in SIMULATED:
            limits = []
        if (
            (name in PAUSES and any(first))
            or any(0 < (limit or 0) < PATIENCE_S for limit in limits)
            or name == "pytest.mark.timeout"
        ):
            found.append(f"line {node.lineno}: {ast.unparse(node)[:60]}")
    return found


@pytest.mark.parametrize("path", TESTED + HELPERS, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_waits_for_a_time(path: Path) -> None:
    assert hasty(path.read_text("utf-8")) == [], "use PATIENCE_S, or wait_until (tests/waiting.py)"


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(0.1)", "await pilot.pause(0.05)", "process.wait(20)", "subprocess.run(command, timeout=60)",
        "redis.Redis(port=1, socket_timeout=10)", "sock.settimeout(10)", "pytest.mark.timeout(90)",
    ],
)  # fmt: skip
def test_what_is_found(line: str) -> None:
    source = f"async def test():\n    {line}\n"
    assert len(hasty(source)) == 1
    assert (
        hasty("async def test():\n    await pilot.pause()\n    process.wait(PATIENCE_S)\n    wait(world, 2.0)") == []
    )
