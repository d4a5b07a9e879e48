"""A sample of `python -m tests.differential.stored`."""

from random import Random

import pytest

from tests.differential.stored import Beside, make
from tests.real import find_servers, missing


def test_stored_values_are_taken_and_refused_as_a_real_server_does():
    program = next((program for program in find_servers() if program.version >= (7, 2)), None)
    if program is None:
        missing("a real server from 7.2 on")
        pytest.skip("no real server from 7.2 on")
    beside = Beside(program)
    try:
        for seed in range(150):
            (kind, body), is_damaged = make(Random(seed))
            sanitize = b"no" if seed % 2 and not is_damaged else b"yes"
            assert not beside.compare(kind, body, sanitize, is_damaged), (seed, kind)
    finally:
        beside.close()
