"""Every cache of the engine that grows is cleared when a server becomes idle.

Without a limit (`functools.cache`) are only those for what is read once.
"""

import ast

import pytest

from engine.live import memory
from engine.protocol import caches
from tests.architecture.test_imports import ENGINE, ROOT
from tests.architecture.trees import tree_of
from tests.inprocess import InProcess

pytestmark = pytest.mark.long


def name_of(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_with_a_limited_cache_is_registered(path) -> None:
    for function in ast.walk(tree_of(path)):
        if isinstance(function, ast.FunctionDef):
            decorators = list(map(name_of, function.decorator_list))
            assert "lru_cache" not in decorators or decorators[0] == "cleared_when_idle", f"{path}:{function.lineno}"


def test_all_of_them_are_cleared() -> None:
    node = InProcess()
    node.run(1, b"KEYS", b"a*")
    node.run(1, b"EVAL", b"return redis.call('PING')", b"0")
    node.run(1, b"GEOADD", b"g", b"1", b"1", b"place")
    node.run(1, b"GEOPOS", b"g", b"place")
    node.run(1, b"PFADD", b"p", b"a", b"b")
    node.run(1, b"ZADD", b"z", b"0.3", b"a")
    node.run(1, b"ZSCORE", b"z", b"a")
    cached = [clear.__self__ for clear in caches._clear if hasattr(clear, "__self__")]
    assert sum(one.cache_info().currsize > 0 for one in cached) >= 4
    memory.tidy(node.node)
    assert [one.cache_info().currsize for one in cached] == [0] * len(cached)
