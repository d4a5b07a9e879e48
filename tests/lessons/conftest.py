"""What tests of lessons share: a server for each lesson, kept for a whole module."""

import pytest

from tutor.lesson.server import EngineServer


@pytest.fixture(scope="module")
def servers():
    """A function that returns the server of a lesson, started at the first call."""
    kept = {}
    yield lambda lesson: kept.setdefault(lesson.id, EngineServer(lesson.terminals, lesson.arguments, seed=1))
    for server in kept.values():
        server.close()
