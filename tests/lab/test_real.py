"""A share of `python -m tests.lab.real`: the scenarios whose time is short, on the first real server found."""

import pytest

from tests.lab.machines import can_host
from tests.lab.real import play_all
from tests.real import server_program
from tutor.lab.loader import find, names, read_scenario

pytestmark = pytest.mark.long

LONGEST_S = 4.5  # what the steps of a scenario wait in all


def is_short(name):
    return sum(step.run for step in read_scenario(find(name)).steps) <= LONGEST_S


def test_real_servers_come_to_the_same():
    program = server_program()
    if not can_host():
        pytest.skip("every node needs an address of its own in 127.0.0.0/8")
    # Clusters before 7.2 differ in what these scenarios show.
    clusters = program.version >= (7, 2)
    share = [name for name in names() if is_short(name) and (clusters or not name.startswith("cluster-"))]
    assert len(share) >= 6
    for outcome in play_all(share, program, jobs=4):
        assert outcome.wrong == [], outcome.name
