"""A few kills of the hub under load; `python -m tests.classroom.kills` does it two hundred times."""

import asyncio
import random

import pytest

from tests.classroom.conftest import ServedClass
from tests.classroom.kills import run
from tests.share import EVERYTHING

pytestmark = pytest.mark.long


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1 or python -m tests.classroom.kills")
def test_nothing_confirmed_is_lost_or_doubled(own_class: ServedClass) -> None:
    own_class.begin()
    assert asyncio.run(run(own_class, 20, 3, random.Random(5))) > 0
