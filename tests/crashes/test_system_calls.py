"""Under `appendfsync always` fsync has returned before a reply is sent: seen in a trace of the system calls."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.run import ROOT, Link
from tests.real import free_port
from tests.waiting import PATIENCE_S, wait_until

CALL = re.compile(r"(?:\d+ +)?(\w+)\((\d+)<([^>]*)>(.*)")
RESUMED = re.compile(r"(?:\d+ +)?<\.\.\. (\w+) resumed>(.*)")


@contextlib.contextmanager
def traced(tmp_path: Path) -> Iterator[tuple[Link, Path]]:
    """Run our server under strace; give a connection to it, and where the trace is."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace, port = tmp_path / "trace", free_port()
    watch = ["-f", "-y", "-s", "9999", "-e", "trace=write,fdatasync,fsync,sendto", "-o", str(trace)]
    try:
        subprocess.run([strace, *watch, "true"], check=True, capture_output=True, timeout=PATIENCE_S)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"strace may not trace here: {error}")
    serve = [sys.executable, "-m", "tutor", "serve", "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen(
        [strace, *watch, *serve, "--appendonly", "yes", "--appendfsync", "always"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    link = None
    try:

        def connected() -> Link:
            assert process.poll() is None
            return Link(port)

        link = wait_until(connected, "a connection", OSError)
        yield link, trace
    finally:
        if link is not None:
            with contextlib.suppress(OSError):
                link(b"SHUTDOWN", b"NOSAVE")
        else:
            process.terminate()
        process.wait(PATIENCE_S)


def events(trace: Path) -> list[tuple[str, str]]:
    """Return what the server did, in order: ("append", bytes), ("synced", ""), ("reply", bytes)."""
    found = []
    unfinished: dict[str, tuple[str, str]] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if (call := CALL.match(line)) is not None:
            name, _, file, rest = call.groups()
            if rest.endswith("<unfinished ...>"):
                unfinished[name] = (file, rest)
                continue
        elif (resumed := RESUMED.match(line)) is not None:
            name, end = resumed.groups()
            if name not in unfinished:
                continue
            file, rest = unfinished.pop(name)
            rest += end
        else:
            continue
        if file.endswith(".incr.aof"):
            if name == "write":
                found.append(("append", rest))
            elif name in ("fsync", "fdatasync"):
                assert rest.endswith("= 0")
                found.append(("synced", ""))
        elif name == "sendto":
            found.append(("reply", rest))
    return found


def test_fsync_returns_before_the_reply(tmp_path):
    with traced(tmp_path) as (link, trace):
        for number in range(20):  # single commands
            assert link(b"SET", b"single", b"value-%d" % number) == b"OK"
        link.send([[b"INCR", b"piped"] for _ in range(50)])  # a pipeline
        assert [link.reply() for _ in range(50)] == list(range(1, 51))
        link.send([[b"MULTI"], [b"INCR", b"a"], [b"RPUSH", b"b", b"x"], [b"EXEC"]])  # a transaction
        assert [link.reply() for _ in range(4)][3] == [1, 1]
        assert link(b"EVAL", b"redis.call('SET', KEYS[1], 'y') return 1", b"1", b"script") == 1
        other = Link(link.sock.getpeername()[1])
        other.send([[b"BLPOP", b"queue", b"0"]])  # a client that waited is served by another's command
        wait_until(lambda: b"blocked_clients:1" in link(b"INFO", b"clients"), "a blocked client")
        assert link(b"RPUSH", b"queue", b"served") == 1
        assert other.reply() == [b"queue", b"served"]
        other.sock.close()
    seen = events(trace)
    text = ""
    appended = synced = replies = 0
    for kind, rest in seen:
        if kind == "append":
            appended += 1
            text += rest
        elif kind == "synced":
            synced = appended
        else:
            replies += 1
            assert synced == appended, f"a reply left before the fsync: {rest}"
    assert replies >= 24 and 24 <= appended <= 24 + 50
    for number in range(20):
        said = [i for i, (kind, rest) in enumerate(seen) if kind == "append" and f"value-{number}\\r" in rest]
        assert len(said) == 1 and [kind for kind, _ in seen[said[0] : said[0] + 3]] == ["append", "synced", "reply"]
    assert text.count("INCR") == 51 and "MULTI" in text and "EXEC" in text and "LPOP" in text
