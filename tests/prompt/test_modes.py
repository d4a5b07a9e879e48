"""The special modes, and connections of special kinds: TLS, redirections, passwords asked for."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.prompt.driver import prepare, run_ours, run_real
from tests.prompt.screen import client
from tests.real import Program, RealServer, client_program, start_server
from tests.waiting import PATIENCE_S
from tutor.client import Connection

HERE = {"PYTHONPATH": os.getcwd(), "REDISCLI_HISTFILE": "/dev/null"}


def redis_cli() -> Program:
    """Return the real client; valkey-cli words these modes otherwise."""
    program = client_program()
    if program.kind != "redis":
        pytest.skip(f"{program} words this otherwise (differences.md)")
    return program


@contextlib.contextmanager
def fake_server(answer: Callable[[bytes], bytes], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve connections, answering each packet; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw:
            sock = context.wrap_socket(raw, server_side=True) if context else raw
            with sock:
                while data := sock.recv(65536):
                    sock.sendall(answer(data))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(raw,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# --- watching -----------------------------------------------------------------------------------------------------


def test_latency_in_a_pipe(real_server: RealServer) -> None:
    for option, form in [
        ("--raw", rb"\d+ \d+ \d+\.\d\d \d+\n"),
        ("--csv", rb"\d+,\d+,\d+\.\d\d,\d+\n"),
        ("--json", rb'\{"min": \d+, "max": \d+, "avg": \d+\.\d\d, "count": \d+\}\n'),
    ]:
        ours = run_ours(["-p", str(real_server.port), "--latency", "-i", "0.05", option])
        assert re.fullmatch(form, ours.out), ours
        assert ours.status == 0


def test_latency_on_a_terminal(real_server: RealServer) -> None:
    with client("-p", str(real_server.port), "--latency", env=HERE) as terminal:
        terminal.until(
            lambda text: re.search(r"min: \d+, max: \d+, avg: \d+\.\d\d \(\d+ samples\)", text) is not None
        )


def test_latency_history(real_server: RealServer) -> None:
    with client("-p", str(real_server.port), "--latency-history", "-i", "0.1", env=HERE) as terminal:
        terminal.show("seconds range", times=2)


def test_stat(real_server: RealServer) -> None:
    prepare(real_server, "SET a 1", "SET b 1")
    with client("-p", str(real_server.port), "--stat", "-i", "0.05", env=HERE) as terminal:
        screen = terminal.until(lambda text: len(re.findall(r"\(\+\d+\)", text)) >= 3)
    header, columns, first, *_ = screen.splitlines()
    assert header.startswith("------- data ------ ---")
    assert columns.startswith("keys       mem      clients blocked requests")
    assert re.match(r"2 {10}\d+\.\d\d[KM] +\d+ +0 +\d+ \(\+0\) +\d+", first), first


def test_intrinsic_latency() -> None:
    ours = run_ours(["--intrinsic-latency", "1"])
    text = ours.out.decode()
    assert text.startswith("Max latency so far: ")
    assert re.search(r"\n\d+ total runs \(avg latency: [\d.]+ microseconds / [\d.]+ nanoseconds per run\)\.\n", text)
    assert re.search(r"Worst run took \d+x longer than the average latency\.\n$", text)


def test_hot_keys() -> None:
    with start_server("--maxmemory-policy", "allkeys-lfu") as server:
        connection = Connection.tcp(server.host, server.port)
        connection.call("SET", "cold", "1")
        for _ in range(300):
            connection.call("SET", "hot", "1")
        connection.close()
        argv = ["-p", str(server.port), "--hotkeys"]
        ours, real = run_ours(argv), run_real(redis_cli(), argv)
        assert ours == real
        assert b"hot key found with counter: " in ours.out


def test_scan_many(real_server: RealServer) -> None:
    prepare(real_server, "DEBUG POPULATE 3000 key 10")
    argv = ["-p", str(real_server.port), "--scan"]
    assert run_ours(argv) == run_real(redis_cli(), argv)
    argv += ["--pattern", "key:1*"]
    assert run_ours(argv) == run_real(redis_cli(), argv)


def test_bigkeys_many(real_server: RealServer) -> None:
    prepare(real_server, "DEBUG POPULATE 3000 key 10", "RPUSH list a b c", "SADD set a")
    for option in ("--bigkeys", "--memkeys"):
        argv = ["-p", str(real_server.port), option]
        assert run_ours(argv) == run_real(redis_cli(), argv)


# --- moving data --------------------------------------------------------------------------------------------------


def test_pipe_much(real_server: RealServer) -> None:
    prepare(real_server)
    command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + b"x" * 20000 + b"\r\n"
    data = command * 100 + b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * 1000
    done = subprocess.run(
        [sys.executable, "-m", "tutor", "cli", "-p", str(real_server.port), "--pipe"],
        input=data,
        capture_output=True,
        env={**os.environ, **HERE},
        timeout=PATIENCE_S,
    )
    assert done.stdout.splitlines() == [
        b"All data transferred. Waiting for the last reply...",
        b"Last reply received from server.",
        b"errors: 0, replies: 1100",
    ]
    assert done.returncode == 0


def test_pipe_times_out() -> None:
    with fake_server(lambda data: b"") as port:
        ours = run_ours(["-p", str(port), "--pipe", "--pipe-timeout", "1"], b"PING\r\n")
        assert ours.err == b"No replies for 1 seconds: exiting.\n"
        assert ours.out.endswith(b"errors: 1, replies: 0\n")
        assert ours.status == 1


def test_snapshot_to_a_file_and_to_output(real_server: RealServer, tmp_path: Path) -> None:
    prepare(real_server, "SET a 1", "CONFIG SET repl-diskless-sync-delay 0")
    path = tmp_path / "dump.rdb"
    port = ["-p", str(real_server.port)]
    ours = run_ours([*port, "--rdb", str(path)])
    assert ours.status == 0, ours
    data = path.read_bytes()
    assert data.startswith(b"REDIS00")
    assert data[-9] == 0xFF  # the end, then the checksum
    real = run_real(redis_cli(), [*port, "--rdb", str(path)])
    number = re.compile(rb"\d+")
    assert number.sub(b"N", ours.err) == number.sub(b"N", real.err)
    ours = run_ours([*port, "--rdb", "-"])
    assert ours.out.startswith(b"REDIS00")
    assert ours.out[-9] == 0xFF
    bad = str(tmp_path / "no" / "file")
    ours, real = (run([*port, "--rdb", bad]) for run in (run_ours, lambda argv: run_real(redis_cli(), argv)))
    assert number.sub(b"N", ours.err) == number.sub(b"N", real.err)
    assert ours.status == real.status == 1


def test_replica_shows_the_stream(real_server: RealServer) -> None:
    prepare(real_server, "CONFIG SET repl-diskless-sync-delay 0")
    with client("-p", str(real_server.port), "--replica", env=HERE, columns=120) as terminal:
        terminal.show("Logging commands from master.")
        connection = Connection.tcp(real_server.host, real_server.port)
        connection.call("SET", "key", "a b")
        terminal.show('"SET","key","a b"')
        connection.call("CLIENT", "KILL", "TYPE", "replica")
        connection.close()
        terminal.show("Error: Server closed the connection")
        assert terminal.ended() == 1


# --- connections --------------------------------------------------------------------------------------------------


def test_redirections(real_server: RealServer) -> None:
    prepare(real_server)

    def moved(data: bytes) -> bytes:
        return b"-MOVED 866 127.0.0.1:%d\r\n" % real_server.port

    with fake_server(moved) as port:
        for argv, stdin in [
            (["-p", str(port), "-c", "SET", "k", "v"], b""),
            (["-p", str(port), "SET", "k", "v"], b""),
            (["-p", str(port), "-c"], b"SET k v\nGET k\n"),
        ]:
            assert run_ours(argv, stdin) == run_real(redis_cli(), argv, stdin)


def test_what_does_not_speak_resp() -> None:
    with fake_server(lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        for argv, stdin in [(["-p", str(port), "PING"], b""), (["-p", str(port)], b"PING\nPING\n")]:
            assert run_ours(argv, stdin) == run_real(redis_cli(), argv, stdin)


def test_password_asked_for() -> None:
    with (
        start_server("--requirepass", "secret") as server,
        client("-p", str(server.port), "--askpass", "ping", env=HERE) as terminal,
    ):
        terminal.show("Please input password:")
        terminal.type("secret\r")
        terminal.show("PONG")
        assert "secret" not in terminal.text()
        assert terminal.ended() == 0


def test_password_asked_for_where_there_is_no_input() -> None:
    with fake_server(lambda data: b"-ERR no password is set\r\n" if b"AUTH" in data else b"+PONG\r\n") as port:
        ended = subprocess.run(
            [sys.executable, "-m", "tutor", "cli", "-p", str(port), "--askpass", "PING"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,  # without a terminal to ask on
            check=False,
        )
    assert ended.stdout == b"PONG\n"
    assert b"Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl not found: no certificate to try TLS with")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def test_tls(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with fake_server(lambda data: b"+PONG\r\n" if b"PING" in data else b"+OK\r\n", context) as port:
        base = ["-p", str(port), "--tls"]
        assert run_ours([*base, "--cacert", str(certificate / "cert.pem"), "PING"]).out == b"PONG\n"
        assert run_ours([*base, "--insecure", "--sni", "localhost", "PING"]).out == b"PONG\n"
        assert run_ours(["-u", f"rediss://:pw@127.0.0.1:{port}", "--insecure", "PING"]).out == b"PONG\n"
        refused = run_ours([*base, "PING"])
        assert refused.status == 1
        reason = "SSL_connect failed: certificate verify failed"
        assert refused.err.decode() == f"Could not connect to Redis at 127.0.0.1:{port}: {reason}\n"
        wrong = run_ours([*base, "--cacert", "/nonexistent", "PING"])
        assert wrong.err == b"Could not negotiate a TLS connection: Invalid CA Certificate File/Directory\n"
        assert wrong.status == 1
        files = {"cert": "cert.pem", "key": "key.pem"}
        for name, reason in {"cert": "Invalid client certificate", "key": "Invalid private key"}.items():
            given = {**files, name: "nonexistent"}
            options = [word for each, file in given.items() for word in (f"--{each}", str(certificate / file))]
            wrong = run_ours([*base, "--insecure", *options, "PING"])
            assert wrong.err.decode() == f"Could not negotiate a TLS connection: {reason}\n"
        alone = run_ours([*base, "--insecure", "--cert", str(certificate / "cert.pem"), "PING"])
        assert alone.out == b"PONG\n", "a certificate without its key is not used"


# --- what is said of ourselves ------------------------------------------------------------------------------------


def test_help_and_version() -> None:
    assert run_ours(["--help"]).out.startswith(b"redis-tutor cli")
    assert run_ours(["-h"]).status == 0
    assert run_ours(["--version"]).out == run_ours(["-v"]).out == b"redis-cli 7.2.4\n"


def test_help_lists_every_option() -> None:
    from tutor.cli import options

    text = run_ours(["--help"]).out.decode()
    hidden = {"--test_hint", "--test_hint_file", "--tls-ciphersuites", "--slave", "--verbose", "--pass"}
    known = {*options._WITH_VALUE, *options._FLAGS} - hidden
    assert [
        option for option in sorted(known) if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)
    ] == []


def test_absent_options_say_so() -> None:
    ours = run_ours(["--lru-test", "10"])
    assert ours.err == b"--lru-test: the LRU test is not part of redis-tutor; use redis-cli for it.\n"
    assert ours.status == 1


def test_preferences_file(real_server: RealServer, tmp_path: Path) -> None:
    path = tmp_path / "rc"
    path.write_text(":set nohints\n:set nonsense\n")
    with client("-p", str(real_server.port), env={**HERE, "REDISCLI_RCFILE": str(path)}) as terminal:
        terminal.show(".redisclirc: unknown redis-cli preference 'nonsense'")
        terminal.type("get ")
        terminal.until(lambda text: text.endswith("> get"))


def test_reader_that_leaves(real_server: RealServer) -> None:
    prepare(real_server, "DEBUG POPULATE 20000 key 10")
    command = f"{sys.executable} -m tutor cli -p {real_server.port} --scan | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, env={**os.environ, **HERE}, timeout=PATIENCE_S)
    assert done.stdout.startswith(b"key:")
    assert done.stderr == b""
