"""A sample of `python -m tests.differential.started`."""

from random import Random

import pytest

from tests.differential.started import cases, compare, cuts
from tests.real import Program, find_servers, missing

CUT = (
    b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n#TS:17\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
    b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n"
)


@pytest.fixture(scope="module")
def program() -> Program:
    found = [program for program in find_servers() if program.kind == "redis" and program.version >= (7, 0)]
    if not found:
        missing("a real Redis from 7.0 on")
    return max(found, key=lambda program: program.version)


def test_a_cut_append_only_file_is_loaded_and_cut_back_as_by_a_real_server(program: Program) -> None:
    for at, case in enumerate(cuts(CUT)):
        if at % 3 == 0:
            assert not compare(program, *case), at


def test_files_are_loaded_and_refused_as_by_a_real_server(program: Program) -> None:
    if program.version < (7, 2):
        pytest.skip(f"{program} reads older layouts only")
    for seed in range(40):
        assert not compare(program, *cases(Random(seed))), seed
