"""Debugging a script with the command line client, beside the real one and on a terminal."""

import os
from pathlib import Path

import pytest

from tests.prompt.driver import Result, prepare, run_ours, run_real
from tests.prompt.screen import client
from tests.real import RealServer, client_program, missing

SCRIPT = b"""local a = redis.call('incr', KEYS[1])
redis.debug("a is", a)
return a + tonumber(ARGV[1])
"""

# What is typed, in which mode; EVAL's reply comes in the form for people even where output is a pipe.
STEPS = b's\nprint a\nhelp\ne a ..  " two  spaces"\nfoo\n2 p\nb 3\n'
TYPED = {
    "to the end": ("--ldb", STEPS + b"restart\nlist\ns\nc\nget c\nquit\n"),
    "synchronously": ("--ldb-sync-mode", STEPS + b"c\nget c\nrestart\nabort\nget c\n"),
    "until the input ends": ("--ldb", STEPS),
    "nothing": ("--ldb", b""),
    "typed": (
        "",
        b'script debug yes\neval "return {1,2}" 0\ns\nget c\nscript debug no\neval "return 1" 0\nrestart\n',
    ),
    "an error, typed": ("", b'script debug yes\neval "return return" 0\nget c\n'),
}


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.lua"
    path.write_bytes(SCRIPT)
    return str(path)


def both(server: RealServer, argv: list[str], stdin: bytes, term: str) -> tuple[Result, Result]:
    program = client_program()
    if program.kind != "redis" or server.program.kind != "redis":
        missing("redis-cli and redis-server")
    results = []
    for run in (lambda *args: run_real(program, *args), run_ours):
        prepare(server)
        results.append(run(["-p", str(server.port), *argv], stdin, {"TERM": term}))
    return results[0], results[1]


@pytest.mark.parametrize("term", ["xterm", "vt100"])
@pytest.mark.parametrize("name", TYPED)
def test_same_as_the_real_client(real_server: RealServer, script: str, name: str, term: str) -> None:
    option, typed = TYPED[name]
    argv = [option, "--eval", script, "c", ",", "10"] if option else []
    theirs, ours = both(real_server, argv, typed, term)
    assert ours == theirs


def test_a_script_that_cannot_be_compiled(real_server: RealServer, script: str) -> None:
    Path(script).write_bytes(b"return return")
    theirs, ours = both(real_server, ["--ldb", "--eval", script], b"s\n", "xterm")
    assert ours == theirs
    assert b"Eval debugging session can't start:" in ours.out


def test_only_with_eval(real_server: RealServer) -> None:
    ours = run_ours(["--ldb"])
    assert ours.status == 1
    assert ours.err.startswith(b"Options --ldb and --ldb-sync-mode require --eval.\n")


def test_a_server_that_cannot_debug(real_server: RealServer, script: str) -> None:
    prepare(real_server, "ACL SETUSER default -script|debug")
    try:
        ours = run_ours(["-p", str(real_server.port), "--ldb", "--eval", script, "c"], b"s\n")
    finally:
        prepare(real_server, "ACL SETUSER default +@all")
    assert ours.status == 1
    assert ours.err.startswith(b"NOPERM")


def test_on_a_terminal(real_server: RealServer, script: str) -> None:
    prepare(real_server)
    env = {"REDISCLI_HISTFILE": "/dev/null", "PYTHONPATH": os.getcwd()}
    argv = ["-p", str(real_server.port), "--ldb", "--eval", script, "c", ",", "10"]
    with client(*argv, env=env) as screen:
        screen.show("lua debugger>")
        screen.show("step   next   continue   list")  # the bottom line
        screen.type("ste\t")
        screen.show("lua debugger> step")
        screen.type("\r")
        screen.show("-> 2   redis.debug")
        screen.type("c\r")
        screen.show("(integer) 11")
        screen.show("dataset changes rolled back")
        screen.show(f"127.0.0.1:{real_server.port}>")
        screen.type("restart\r")
        stopped = "* Stopped at 1, stop reason = step over"
        screen.until(lambda shown: stopped in shown.rpartition("> restart")[2], "stopped again after the restart")
