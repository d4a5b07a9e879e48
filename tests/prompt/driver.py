"""Run our client and the real one the same way: arguments and standard input in; output, errors, status out."""

import contextlib
import os
import re
import select
import subprocess
import time
from dataclasses import dataclass

from tests.real import Program, RealServer
from tests.waiting import PATIENCE_S
from tutor.client import Connection
from tutor.lesson_server.forkserver import ForkServer

clients = ForkServer("tests.prompt.forked")


@dataclass(frozen=True)
class Result:
    """What a client left behind."""

    out: bytes
    err: bytes
    status: int


def _environment(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "TERM": "xterm", "REDISCLI_HISTFILE": "/dev/null", "REDISCLI_RCFILE": "/dev/null", **extra}


def run_real(program: Program, argv: list[str], stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    """Run the real client."""
    done = subprocess.run(
        [program.path, *argv], input=stdin, capture_output=True, env=_environment(env or {}), timeout=PATIENCE_S
    )
    return Result(done.stdout, done.stderr, done.returncode)


def run_ours(argv: list[str], stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    """Run our client, forked from a process that has imported it."""
    (their_in, to_them), (from_out, their_out), (from_err, their_err) = [os.pipe() for _ in range(3)]
    child = clients.start(argv, [their_in, their_out, their_err], os.getcwd(), _environment(env or {}))
    for end in (their_in, their_out, their_err):
        os.close(end)
    collected = {from_out: b"", from_err: b""}
    deadline = time.monotonic() + PATIENCE_S
    try:
        with contextlib.suppress(BrokenPipeError):  # it may end without reading
            os.write(to_them, stdin)
        os.close(to_them)
        open_ends = [from_out, from_err]
        while open_ends:
            ready, _, _ = select.select(open_ends, [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{argv} did not end: {collected}"
            for end in ready:
                data = os.read(end, 65536)
                collected[end] += data
                if not data:
                    open_ends.remove(end)
    except BaseException:
        child.kill()
        raise
    finally:
        os.close(from_out)
        os.close(from_err)
    return Result(collected[from_out], collected[from_err], child.wait(PATIENCE_S))


def prepare(server: RealServer, *commands: str) -> None:
    """Empty the server and run commands on it."""
    connection = Connection.tcp(server.host, server.port)
    try:
        for command in ("FLUSHALL", "FUNCTION FLUSH", "SCRIPT FLUSH", "CONFIG RESETSTAT", *commands):
            connection.call(*command.split(" "))
        # A real server grows its tables a step a command; while it does, scans may come in another order each time.
        for _ in range(64):
            connection.call("EXISTS", "no-such-key")
        connection.call("CONFIG", "RESETSTAT")
    finally:
        connection.close()


_VOLATILE = re.compile(
    rb"(id|addr|laddr|fd|age|idle|db_?cycle|cmd|tot-\w+|qbuf\S*|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|events|used_\w+|"
    rb"uptime\w*|tcp_port|run_id|process_id|server_time_usec|lru_clock|redir|resp|lib-\w+)([=:])[^ \r\n]*"
)


def blank(data: bytes) -> bytes:
    """Take out what differs from one moment to the next: ids, ports, times."""
    data = _VOLATILE.sub(rb"\1\2*", data)
    data = data.replace(b"Connection reset by peer", b"Server closed the connection")  # timing decides
    data = re.sub(rb"^\(\d\.\d\ds\)$", b"(ELAPSED)", data, flags=re.MULTILINE)
    data = re.sub(rb"\d{10}\.\d{6}", b"TIME", data)
    data = re.sub(rb'\bid"?( => |\n *\d+\) |\n| )(\(integer\) )?\d+', b"id *", data)
    return re.sub(rb"127\.0\.0\.1:\d+\]", b"PEER]", data)
