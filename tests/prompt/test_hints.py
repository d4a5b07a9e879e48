"""Hints beside the real client's: on every command, over random walks through its grammar."""

import random
import re
from pathlib import Path

import pytest

from tests.prompt.driver import run_real
from tests.real import RealServer, client_program
from tutor.client import Connection
from tutor.prompt import CommandDocs, hint, inline_hint, quote, syntax, to_bytes
from tutor.prompt.grammar import expected, match

_VALUES = {"integer": ["3", "-1", "x", "2.5"], "double": ["2.5", "inf", "3", "x"], "unix-time": ["17"]}


def docs_of(server: RealServer) -> CommandDocs:
    connection = Connection.tcp(server.host, server.port)
    table = CommandDocs.from_docs(connection.call("COMMAND", "DOCS"))
    connection.close()
    return table


@pytest.fixture(scope="module")
def table(real_server: RealServer) -> CommandDocs:
    return docs_of(real_server)


def walk(choose: random.Random, table: CommandDocs) -> str:
    """Return a line that mostly follows the grammar of some command."""
    command = choose.choice(list(table))
    words: list[str] = []
    for _ in range(choose.randrange(9)):
        nodes, whole = match(command.arguments, words)
        wanted = expected(nodes) if whole else []
        if not wanted or choose.random() < 0.05:
            words.append(choose.choice(["x", "5", "LEFT", "COUNT"]))
            continue
        one = choose.choice(wanted)
        if one.token is not None:
            words.append(one.token or '""')
        else:
            words.append(choose.choice(_VALUES.get(one.argument.type, ["v"])))
    line = " ".join([command.name, *words])
    return choose.choice([line, line.lower()]) + choose.choice([" ", " ", " ", ""])


@pytest.mark.parametrize("seed", range(3))
def test_random_lines_as_the_real_client_hints(
    seed: int, table: CommandDocs, real_server: RealServer, tmp_path: Path
) -> None:
    program = client_program()
    if program.version < (7, 2):
        pytest.skip(f"{program} has no --test_hint_file (differences.md)")
    choose = random.Random(seed)
    cases = []
    for _ in range(1500):
        line = walk(choose, table)
        ours = hint(line, table)
        if ours is None:
            continue
        case = quote(to_bytes(line)) + b" " + quote(to_bytes(ours)) + b"\n"
        if len(case) < 250:  # the longest line that the real client reads
            cases.append(case)
    assert len(cases) > 500
    path = tmp_path / "cases"
    path.write_bytes(b"".join(cases))
    done = run_real(program, ["-p", str(real_server.port), "--test_hint_file", str(path)])
    # redis-cli puts two spaces where a repeated argument has been begun behind another one
    failed = [line for line in done.err.decode().splitlines() if not _but_for_spaces(line)]
    assert failed == []
    assert re.match(r"(SUCCESS|FAILURE): \d+/\d+ passed", done.out.decode())


def _but_for_spaces(line: str) -> bool:
    found = re.search(r"FAILED: expected '(.*)', got '(.*)'$", line)
    return found is not None and found[1].split() == found[2].split()


def test_hint_of_our_own_table() -> None:
    assert hint("GET ") == "key"
    assert hint("set k v ") == (
        "[NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]"
    )
    assert hint("nonsense ") is None


def test_last_word_counts_after_a_space(table: CommandDocs) -> None:
    assert hint("GET abc", table) == "key"
    assert hint("GET abc ", table) == ""
    assert inline_hint("GET", table) == ""
    assert inline_hint("GET ", table) == "key"
    assert inline_hint("GET abc", table) == " key"
    assert hint('GET "abc', table) is None


def test_hints_for_an_older_server() -> None:
    table = CommandDocs.load().for_version((6, 0, 16))
    assert hint("set k v ", table) == "[NX|XX] [EX seconds|PX milliseconds|KEEPTTL]"
    assert hint("getdel ", table) is None
    assert hint("get ", table) == "key"
    assert hint("client kill ", CommandDocs.load().for_version((7, 0, 15))) == hint("client kill ")
    assert CommandDocs.load().for_version((7, 2, 4)).find(["getdel"]) is not None


def test_bottom_line(table: CommandDocs) -> None:
    assert syntax("get", table) == "GET key"
    assert syntax("config", table).startswith("CONFIG GET|HELP")
    assert syntax("config get", table) == "CONFIG GET parameter [parameter ...]"
    assert syntax('get "unfinished', table) == "GET key"
    assert syntax("nonsense", table) == ""
    assert syntax("", table) == ""
