"""CONFIG GET and SET beside a real server: every directive with good, borderline and bad values.

Values are set in our table of directives and on the real server; both must answer the same and show the same value
afterwards. Left out are directives whose change the machine must take part in.
"""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest

from engine.config import MULTI_ARG, Config, FatalConfigError
from engine.live.server import configure
from engine.protocol.errors import ReplyError
from engine.protocol.glob import glob_match
from tests.real import RealServer, server_program, start_server
from tests.waiting import PATIENCE_S

NEEDS_THE_MACHINE = {
    b"appendonly",
    b"bind",
    b"dir",
    b"jemalloc-bg-thread",
    b"locale-collate",
    b"maxclients",
    b"oom-score-adj",
    b"oom-score-adj-values",
    b"port",
    b"timeout",
    b"watchdog-period",
}
CHANGED_WHEN_APPLIED = {b"hz", b"repl-backlog-size"}

# How other versions than the reference, Redis 7.2, differ. Names that are in one of two versions only need no entry.
DIFFERENCES: dict[tuple[str, int, int], set[bytes]] = {
    ("redis", 7, 0): {b"loglevel"},  # `nothing` came with 7.2
}

VALUES = (
    b"|0|1|-1|2|10|11|99|100|101|1000|1001|65535|65536|2147483647|2147483648|-2147483648|-2147483649|4294967295"
    b"|4294967296|9223372036854775807|9223372036854775808|18446744073709551615|18446744073709551616| 1|+1|01|1 |1k"
    b"|1Kb|1m|2gb|1b|1t|b|gb|5%|101%|-5%|%|1.5|777|yes|NO|true|1\0x|10000000000gb|1023|1024|1048575|1048576|-100|default"
    b"|SAVE|save nosave|now force|everysec|clients|swapdb|relative|allkeys-lru|debug|local|resetchannels|hostname"
    b"|900 1|900  1|900 |0 1|1 0|900 4294967296|x y|normal 0 0 0|slave 1mb 2 3|replica 1 2 3 pubsub 5gb 1 1"
    b"|master 0 0 0|normal 1 1|normal 1 1 -1|foo 1 1 1|0 200 800|AKE|Kg$|KEm|q|A\0q|a/b|a\\b|foo.rdb|host_1|a!b"
    b'|{title}|{port}x|{foo}|{title|{{x|50 99.90|100.1|-0.1|nan|inf|0x10|1e1|1e-999|quote"d \\ \n\xff'
).split(b"|")


class Link:
    """A connection that shows replies as bytes."""

    def __init__(self, server: RealServer) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader(replyError=lambda text: b"-" + text.encode("utf-8", "surrogateescape"))

    def __call__(self, *argv: bytes):
        self.sock.sendall(b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in argv))
        while (reply := self.reader.gets()) is False:
            data = self.sock.recv(1 << 16)
            assert data, f"the connection was closed after {argv}"
            self.reader.feed(data)
        return reply


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[RealServer, Link]]:
    with start_server("--enable-protected-configs", "yes") as server:
        link = Link(server)
        yield server, link
        link(b"CONFIG", b"SET", b"shutdown-on-sigterm", b"default")
        link.sock.close()


def differences(server: RealServer) -> set[bytes]:
    version = server.program.kind, *server.program.version[:2]
    if version[0] != "redis" or version[1] != 7:
        pytest.skip(f"compared with Redis 7.x, not with {server.program}")
    return DIFFERENCES.get(version, set())


def test_defaults(real):
    server, link = real
    skipped = differences(server)
    reply = link(b"CONFIG", b"GET", b"*")
    theirs = dict(zip(reply[::2], reply[1::2], strict=True))
    ours = Config().get([b"*"], glob_match)
    given = {b"port", b"dir", b"bind", b"unixsocket", b"save", b"enable-debug-command", b"enable-protected-configs"}
    common = theirs.keys() & ours.keys() - given - skipped
    assert {name: ours[name] for name in common} == {name: theirs[name] for name in common}
    if server.program.version[:2] == (7, 2):
        assert theirs.keys() == ours.keys()


@pytest.mark.parametrize("part", range(4))
def test_config_set_answers(real, part):
    server, link = real
    skipped = differences(server) | NEEDS_THE_MACHINE
    names = [name for name in sorted(Config.NAMES) if name not in skipped and not name.startswith(b"tls-")]
    config = Config()
    config.port, config.bind, config.unixsocket = server.port, ("127.0.0.1",), server.socket
    for name in names[part::4]:
        reply = link(b"CONFIG", b"GET", name)
        if not reply:
            continue  # this version does not have it
        before = reply[1]
        directive = Config.NAMES[name]
        if before != config.show(directive):
            args = before.split(b" ") if directive.flags & MULTI_ARG else [before]
            setattr(config, directive.attribute, directive.read(args, config))
        for value in VALUES:
            try:
                config.set([(name, value)], allow_protected=True)
                answer = b"OK"
            except ReplyError as error:
                answer = b"-" + error.text.replace(b"\n", b" ")
            assert link(b"CONFIG", b"SET", name, value) == answer, (name, value)
            if name not in CHANGED_WHEN_APPLIED:
                assert link(b"CONFIG", b"GET", name) == [name, config.show(directive)], (name, value)
        link(b"CONFIG", b"SET", name, before)


BAD_FILES = (
    b"maxclients x # comment",
    b"# c\n\n  maxclients   12 13",
    b"port 0\nfoo bar",
    b"PORT abc",
    b'"port" "a\\x62"',
    b"port 'x",
    b'port "x"y',
    b"save 1",
    b"save 1 1\nsave x 1",
    b"include included.conf",
    b"include *.nomatch\nport z",
    b"include a b",
    b"rename-command nope x",
    b"rename-command get set",
    b"rename-command get x\nrename-command GET y",
    b"user",
    b"user a )",
    b"loadmodule",
    b"sentinel monitor a",
    b"a.b",
    b"a.b c\nport z",
    b"list-max-ziplist-entries 1\nport z",
    b"list-max-ziplist-entries 1 2",
    b"dir /nonexistent",
    b"logfile /nonexistent/x",
    b"replicaof a",
    b"replicaof a b",
    b"slaveof no one\nport z",
    b"bind " + b"1.1.1.1 " * 17,
    b"unixsocketperm 888",
    b"unixsocketperm 1777",
    b"client-output-buffer-limit normal 0 0",
    b'client-output-buffer-limit "normal 0 0 x"',
    b'shutdown-on-sigterm "save nosave"',
    b"appendfilename a/b",
    b"notify-keyspace-events K E",
    b"\tport\t99999\t\r",
    b"requirepass a b",
    b"maxmemory-clients 101%",
)
BAD_ARGUMENTS = (
    ["--foo"],
    ["--port", "0", "--maxclients", "x"],
    ["--port", "1", "2"],
    ["--port"],
    ["--port 1 2"],
    ["--port", "--hz"],
    ["--hz", "--port", "x"],
    ["--save", "--port", "x"],
    ["--port", "x", "--save"],
    ["--proc-title-template", "--x", "--port", "z"],
    ["-x"],
    ["--", "x"],
    ["--port", 'a"b\\\n'],
)


def test_what_is_said_of_bad_files_and_arguments(tmp_path, monkeypatch):
    program = server_program()
    version = f"(Redis {'.'.join(map(str, program.version))})".encode()
    if program.kind != "redis":
        pytest.skip("other servers name themselves otherwise")
    monkeypatch.chdir(tmp_path)
    Path("included.conf").write_bytes(b"maxclients 77\nhz x\n")
    cases = list(BAD_ARGUMENTS)
    for number, text in enumerate(BAD_FILES):
        Path(f"{number}.conf").write_bytes(text)
        cases.append([f"{number}.conf"])
    for case in cases:
        real = subprocess.run(
            [program.path, *case], capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S
        )
        with pytest.raises(FatalConfigError) as caught:
            configure(case)
        monkeypatch.chdir(tmp_path)
        assert (case, caught.value.text.replace(b"(Redis 7.2.4)", version)) == (case, real.stderr)
        assert real.returncode == 1
