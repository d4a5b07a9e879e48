"""TLS in a lesson: real handshakes with the certificates on a simulated machine's disk, of the shell and others."""

import contextlib
import os
import signal
import ssl

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.protocol.errors import ReplyError
from engine.simulation.history import History
from engine.simulation.trace import Delivered
from tests.certificates import issue, issued
from tests.waiting import PATIENCE_S, wait_until
from tutor.client import TLS, Connection, LinkError
from tutor.lesson.machines import free_port, has_tls
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import find_real_servers, version_of
from tutor.lesson.shell import Shell
from tutor.lesson_server.parent import MachineSpec, WorldServer

TEXT = """---
id: secured
title: TLS
chapter: 4
order: 99
minutes: 5
wrong_idea: None.
servers:
  redis: {address: 172.16.6.18, config: {protected-mode: "no"}}
  web: {address: 172.16.6.57, started: false}
terminals:
  redis: {server: redis}
  shell: {server: redis, shell: true}
  web: {server: web, shell: true}
---

# TLS

## One

Text.
"""
LINES = ("tls-cert-file redis.crt", "tls-key-file redis.key", "tls-ca-cert-file ca.crt")
ALONE = ("port 0", "tls-port 6379", *LINES)
BOTH = ("tls-port 6380", *LINES)


@pytest.fixture
def server():
    made = MachinesServer(parse_lesson(TEXT, "tls.md"))
    yield made
    made.close()


@pytest.fixture
def files(tmp_path):
    """The certificates as files of this computer."""
    for name, data in issued().items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def run(server, machine, line):
    return Shell(server.machines, machine).run(line)


def secure(server, lines):
    for machine, names in {"redis": issued(), "web": ["ca.crt", "web.crt", "web.key", "stranger.crt"]}.items():
        for name in names:
            server.machines.find(machine).write(name, issued()[name])
    for line in lines:
        assert run(server, "redis", f"echo {line} >> redis.conf") == ""
    assert run(server, "redis", "systemctl restart redis-server") == ""


AS_WEB = "redis-cli -h 172.16.6.18 --tls --cacert ca.crt --cert web.crt --key web.key"
REFUSED = ("Error: Server closed the connection\n", "Error: Connection reset by peer\n", "Error: Broken pipe\n")


def test_the_shells_redis_cli_over_tls(server):
    secure(server, ALONE)
    assert run(server, "web", f"{AS_WEB} SET k v") == "OK\n"
    assert run(server, "redis", "redis-cli --tls --cacert ca.crt --cert redis.crt --key redis.key GET k") == '"v"\n'
    assert run(server, "web", "redis-cli -h 172.16.6.18 PING") == "Error: Connection reset by peer\n"
    [reply] = server.execute("redis", [b"PING"])
    assert isinstance(reply, ReplyError) and reply.text == b"Error: Connection reset by peer"
    assert run(server, "web", "redis-cli -h 172.16.6.18 --tls --cacert ca.crt PING") in REFUSED
    untrusted = "Could not connect to Redis at 172.16.6.18:6379: SSL_connect failed: certificate verify failed\n"
    assert run(server, "web", AS_WEB.replace("ca.crt", "stranger.crt") + " PING") == untrusted
    assert run(server, "web", "redis-cli -h 172.16.6.18 --tls PING") == untrusted
    assert run(server, "web", f"{AS_WEB} CONFIG SET tls-auth-clients no") == "OK\n"
    assert run(server, "web", "redis-cli -h 172.16.6.18 --tls --cacert ca.crt GET k") == '"v"\n'
    assert run(server, "web", "redis-cli -h 172.16.6.18 --tls --insecure GET k") == '"v"\n'
    log = run(server, "redis", "grep 'Error accepting' redis-server.log")
    for reason in ("wrong version number", "peer did not return a certificate", "alert unknown ca"):
        assert f"SSL routines::{reason} (addr=127.0.0.1:" in log.replace("tlsv1 ", "")


def test_a_file_that_redis_cli_cannot_use_is_named(server):
    secure(server, ALONE)
    said = "Could not negotiate a TLS connection: Invalid "
    assert run(server, "web", AS_WEB.replace("ca.crt", "none") + " PING") == f"{said}CA Certificate File/Directory\n"
    assert run(server, "web", AS_WEB.replace("web.crt", "none") + " PING") == f"{said}client certificate\n"
    assert run(server, "web", AS_WEB.replace("web.crt", "stranger.crt") + " PING") == f"{said}private key\n"
    assert run(server, "web", AS_WEB.replace(" --key web.key", "") + " PING") in REFUSED  # then it has none
    outside = run(server, "web", AS_WEB.replace("ca.crt", "/etc/passwd") + " PING")
    assert outside == "redis-cli: /etc/passwd: this machine has the server's files only\n"


def test_the_port_beside_the_plain_one(server):
    secure(server, BOTH)
    assert run(server, "web", "redis-cli -h 172.16.6.18 SET k v") == "OK\n"
    assert run(server, "web", f"{AS_WEB} -p 6380 GET k") == '"v"\n'
    assert server.execute("redis", [b"CONFIG", b"SET", b"tls-port", b"0"]) == [b"OK"]
    refused = "Could not connect to Redis at 172.16.6.18:6380: Connection refused\n"
    assert run(server, "web", f"{AS_WEB} -p 6380 GET k") == refused
    assert server.execute("redis", [b"CONFIG", b"SET", b"tls-port", b"6390"]) == [b"OK"]
    assert run(server, "web", f"{AS_WEB} -p 6390 GET k") == '"v"\n'


def test_undo_takes_back_what_came_over_tls(server):
    secure(server, BOTH)
    run(server, "web", f"{AS_WEB} -p 6380 SET k before")
    place = server.mark()
    run(server, "web", f"{AS_WEB} -p 6380 SET k after")
    run(server, "redis", "rm redis.crt; systemctl restart redis-server")
    assert not server.machines.find("redis").running
    server.undo(place)
    assert server.inspect([b"GET", b"k"]) == b"before"
    assert run(server, "web", f"{AS_WEB} -p 6380 GET k") == '"before"\n'
    assert server.execute("redis", [b"GET", b"k"]) == [b"before"]


def test_a_terminal_stays_without_tls_when_undo_connects_it_again(server):
    secure(server, BOTH)
    place = server.mark()
    server.execute("redis", [b"CONFIG", b"SET", b"port", b"0"])
    server.execute("redis", [b"CONFIG", b"SET", b"tls-port", b"6379"])
    assert server.execute("redis", [b"PING"]) == [b"PONG"]  # its connection is older than the port with TLS
    later = server.mark()
    assert run(server, "web", f"{AS_WEB} PING") == "PONG\n"
    server.undo(later)
    assert server.execute("redis", [b"PING"]) == [b"PONG"]
    server.undo(place)
    assert server.execute("redis", [b"CONFIG", b"GET", b"tls-port"]) == [[b"tls-port", b"6380"]]


@pytest.mark.parametrize("lines", [ALONE, BOTH])
@pytest.mark.parametrize("program", find_real_servers(), ids=version_of)
def test_real_servers_listen_with_tls_if_they_can(program, lines):
    server = MachinesServer(parse_lesson(TEXT, "tls.md"), program)
    port = 6379 if lines is ALONE else 6380
    try:
        if not has_tls(program):
            with pytest.raises(AssertionError, match=r"redis-server\.service failed"):
                secure(server, lines)
            return
        secure(server, lines)
        assert run(server, "web", f"{AS_WEB} -p {port} SET k v") == "OK\n"
        assert server.inspect([b"GET", b"k"]) == b"v"
        assert server.inspect([b"CONFIG", b"GET", b"tls-port"]) == [b"tls-port", b"%d" % port]
        plain = "Error: Connection reset by peer\n" if lines is ALONE else "PONG\n"
        assert run(server, "web", "redis-cli -h 172.16.6.18 PING") == plain
    finally:
        server.close()


# --- other clients ------------------------------------------------------------------------------------------------


@pytest.fixture
def world():
    port = free_port()
    machine = MachineSpec("172.16.6.18:6379", ("protected-mode no", *ALONE), False, False, False, port)
    made = WorldServer({"a": machine}, lambda event: None, seed=5)
    for name, data in issued().items():
        made.write("a", name, data)
    made.start_server("a")
    yield made, port
    made.stop()


def client(files, port, **more):
    named = {"ssl_certfile": str(files / "web.crt"), "ssl_keyfile": str(files / "web.key"), **more}
    return redis.Redis(
        port=port,
        ssl=True,
        ssl_ca_certs=str(files / "ca.crt"),
        ssl_check_hostname=False,
        ssl_include_verify_flags=[],
        ssl_exclude_verify_flags=[ssl.VerifyFlags.VERIFY_X509_STRICT],
        socket_timeout=PATIENCE_S,
        retry=Retry(NoBackoff(), 0),
        **named,
    )


def test_redis_py_over_tls_with_much_data(files, world):
    _, port = world
    over = client(files, port)
    big = bytes(range(256)) * 8000
    assert over.set("big", big)
    assert over.get("big") == big
    pipeline = over.pipeline(transaction=False)
    for number in range(3000):
        pipeline.rpush("list", number)
    assert pipeline.execute()[-1] == 3000
    assert over.lrange("list", 0, -1) == [b"%d" % number for number in range(3000)]


def test_what_the_world_keeps_is_without_encryption_and_runs_again(files, world):
    made, port = world
    client(files, port).set("k", "readable")
    again = History.decode(made.history())
    assert any(b"readable" in event.data for event in again.trace if isinstance(event, Delivered))
    assert len(again.world.hosts["a"].node.space.databases[0]) == 1


def test_an_undo_ends_connections_over_tls_and_says_so(files, world):
    made, port = world
    named = TLS(cacert=str(files / "ca.crt"), cert=str(files / "web.crt"), key=str(files / "web.key"))
    over = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S, tls=named)
    assert over.call("SET", "k", 1) == b"OK"
    place = made.mark()
    assert over.call("SET", "k", 2) == b"OK"
    assert made.undo(place) == 1
    reply = over.read()
    assert isinstance(reply, ReplyError) and b"went back in time" in reply.text
    with pytest.raises(LinkError):
        over.read()
    over.close()
    assert client(files, port).get("k") == b"1"


def test_a_world_that_is_killed_comes_back_with_its_certificates(files, world):
    made, port = world
    client(files, port).set("k", 1)
    os.kill(made.pid, signal.SIGKILL)
    assert made.inspect_all("a", [([b"GET", b"k"], 0)]) == [b"1"]
    assert client(files, port).get("k") == b"1"


@pytest.mark.parametrize("data", [b"PING\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00", b"\x15" * 4000, b""])
def test_who_speaks_no_tls_harms_no_one(files, world, data):
    made, port = world
    with contextlib.suppress(LinkError):
        other = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S)
        other.send_raw(data)
        if len(data) > 4:
            with pytest.raises(LinkError):
                other.read()
        other.close()
    assert client(files, port).ping()
    reason = b"wrong version number" if len(data) > 4 else b"unexpected eof while reading"
    reason = b"http request" if data.startswith(b"GET") else reason
    wait_until(lambda: b"SSL routines::" + reason + b" (addr=127.0.0.1:" in made.log("a"), "the reason is in the log")


def test_a_handshake_in_small_pieces(files, world):
    """Bytes that do not complete a step of the handshake wait for the others."""
    _, port = world
    plain = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S).socket
    context = TLS(cacert=str(files / "ca.crt"), cert=str(files / "web.crt"), key=str(files / "web.key")).context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing)

    def pump(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for at in range(0, len(data), 100):
                    plain.sendall(data[at : at + 100])
                incoming.write(plain.recv(65536))

    pump(end.do_handshake)
    end.write(b"PING\r\n")
    assert pump(lambda: end.read(100)) == b"+PONG\r\n"
    plain.close()


def test_a_certificate_that_only_openssl_refuses_is_logged(files, world):
    made, port = world
    weak = issued()
    issue(weak, "weak", "-CA", "ca.crt", "-CAkey", "ca.key", key="rsa:1024")
    for name in ("weak.crt", "weak.key"):
        made.write("a", name, weak[name])
    over = client(files, port)
    assert over.config_set("tls-ciphers", "DEFAULT:@SECLEVEL=2")
    assert over.execute_command("CONFIG SET tls-cert-file weak.crt tls-key-file weak.key") == b"OK"
    with pytest.raises(redis.ConnectionError):
        client(files, port).ping()
    assert b"ee key too small" in made.log("a")
