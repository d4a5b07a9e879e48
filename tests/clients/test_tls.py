"""TLS: clients, the prompt and replication over it, and what is refused."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.resp import encode_command
from tests.clients.ours import ROOT, serve
from tests.real import find_servers, free_port
from tests.replication.servers import OURS, Server, settle


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and a certificate that it signed for 127.0.0.1; another certificate that nobody signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program is not found")
    folder = tmp_path_factory.mktemp("tls")

    def run(*arguments):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    run(*new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority")
    run(*new, "-keyout", "stranger.key", "-out", "stranger.crt", "-subj", "/CN=stranger")
    run(
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
        "-subj",
        "/CN=127.0.0.1",
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = (
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
    )
    run(*signed, "-extfile", "names", "-out", "server.crt")
    return folder


def options(certificates, port):
    files = {"cert": "server.crt", "key": "server.key", "ca-cert": "ca.crt"}
    named = [f(name, file) for name, file in files.items() for f in (_option, lambda n, x: str(certificates / x))]
    return ["--tls-port", str(port), *named]


def _option(name, file):
    return f"--tls-{name}-file"


def connect(certificates, port, cert="server", **settings):
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        ssl=True,
        ssl_ca_certs=str(certificates / "ca.crt"),
        ssl_certfile=str(certificates / f"{cert}.crt") if cert else None,
        ssl_keyfile=str(certificates / f"{cert}.key") if cert else None,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
        **settings,
    )


def test_a_client_over_tls_beside_a_plain_one(certificates):
    port = free_port()
    with serve(*options(certificates, port)) as server:
        client = connect(certificates, port)
        big = b"\r\n\0" * 1_000_000
        assert client.set("big", big)
        assert client.get("big") == big
        pipeline = client.pipeline(transaction=False)
        for i in range(5000):
            pipeline.rpush("list", i)
        assert pipeline.execute()[-1] == 5000
        assert client.lrange("list", 0, -1) == [b"%d" % i for i in range(5000)]
        assert redis.Redis(port=server.port).get("big") == big


@pytest.mark.parametrize("mode", ["YES", "SYNC"])
def test_a_script_is_debugged_over_tls(certificates, mode):
    port = free_port()
    with serve(*options(certificates, port)) as server:
        context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        context.load_cert_chain(str(certificates / "server.crt"), str(certificates / "server.key"))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            sock = context.wrap_socket(plain, server_hostname="127.0.0.1")
            for command, reply in [
                (f"SCRIPT DEBUG {mode}", "+OK"),
                ("EVAL return(7) 0", "+-> 1   return(7)"),
                ("continue", "+<endsession>\r\n:7"),
            ]:
                sock.sendall(encode_command(command.encode().split()))
                heard = b""
                while not heard.endswith(reply.encode() + b"\r\n"):
                    data = sock.recv(4096)
                    assert data, heard
                    heard += data
            assert sock.recv(4096) == b""
        assert redis.Redis(port=server.port).ping()


def test_who_shows_no_certificate_is_let_in_only_where_that_is_allowed(certificates):
    port = free_port()
    with serve(*options(certificates, port)) as server:
        with pytest.raises(redis.RedisError):
            connect(certificates, port, cert=None).ping()
        with pytest.raises(redis.RedisError):
            connect(certificates, port, cert="stranger").ping()
        plain = redis.Redis(port=server.port)
        plain.config_set("tls-auth-clients", "optional")
        assert connect(certificates, port, cert=None).ping()
        with pytest.raises(redis.RedisError):
            connect(certificates, port, cert="stranger").ping()
        plain.config_set("tls-auth-clients", "no")
        assert connect(certificates, port, cert=None).ping()


def test_keys_migrate_over_tls(certificates):
    here, there = free_port(), free_port()
    with (
        serve(*options(certificates, here), "--tls-cluster", "yes") as source,
        serve(*options(certificates, there)) as target,
    ):
        plain = redis.Redis(port=source.port)
        plain.mset({"a": "1", "b": "2", "c": "3"})
        for key in ("a", "b"):  # the second goes over the connection of the first
            assert plain.migrate("127.0.0.1", there, key, 0, 10_000) == b"OK"
        plain.config_set("tls-cluster", "no")
        assert plain.migrate("127.0.0.1", target.port, "c", 0, 10_000) == b"OK"
        assert redis.Redis(port=target.port).mget("a", "b", "c") == [b"1", b"2", b"3"]
        assert plain.dbsize() == 0


def chosen_cipher(certificates, port, offered):
    """Return which of the ciphers that a client offers, in that order, are used."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.load_cert_chain(str(certificates / "server.crt"), str(certificates / "server.key"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(offered)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        cipher = sock.cipher()
        assert cipher is not None
        return cipher[0]


def test_the_client_chooses_the_cipher_unless_told_otherwise(certificates):
    port = free_port()
    with serve(*options(certificates, port)) as server:
        # Without forward secrecy: OpenSSL's own choice has them, that of Python's ssl has not.
        assert chosen_cipher(certificates, port, "AES256-SHA256") == "AES256-SHA256"
        plain = redis.Redis(port=server.port)
        plain.config_set("tls-ciphers", "AES128-SHA256:AES256-SHA256")
        assert chosen_cipher(certificates, port, "AES256-SHA256:AES128-SHA256") == "AES256-SHA256"
        plain.config_set("tls-prefer-server-ciphers", "yes")
        assert chosen_cipher(certificates, port, "AES256-SHA256:AES128-SHA256") == "AES128-SHA256"


def test_who_speaks_no_tls_harms_nobody(certificates):
    port = free_port()
    with serve(*options(certificates, port)):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"PING\r\n" * 10)
            with contextlib.suppress(ConnectionResetError), sock.makefile("rb") as file:
                assert b"PONG" not in file.read()
        assert connect(certificates, port).ping()


def test_settings_that_cannot_be_are_refused(certificates):
    port = free_port()
    with serve(*options(certificates, port)) as server:
        plain = redis.Redis(port=server.port)
        with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
            plain.config_set("tls-cert-file", "/nowhere")
        with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
            plain.config_set("tls-protocols", "SSLv9")
        assert plain.config_get("tls-cert-file")["tls-cert-file"].endswith("server.crt")
        plain.config_set("tls-protocols", "TLSv1.2")
        context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
        with socket.create_connection(("127.0.0.1", port)) as sock:
            assert context.wrap_socket(sock, server_hostname="127.0.0.1").version() == "TLSv1.2"
        plain.config_set("tls-port", 0)
        with pytest.raises(redis.ConnectionError):
            connect(certificates, port).ping()


def test_our_prompt_over_tls(certificates):
    port = free_port()
    with serve(*options(certificates, port)):
        files = ["--cacert", "ca.crt", "--cert", "server.crt", "--key", "server.key"]
        command = [sys.executable, "-m", "tutor", "cli", "-p", str(port), "--tls", *files, "ECHO", "over TLS"]
        done = subprocess.run(
            command, cwd=certificates, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=20
        )
        assert (done.stdout, done.stderr) == ("over TLS\n", "")


@pytest.mark.parametrize("ours_is_master", [True, False])
def test_replication_over_tls(certificates, ours_is_master):
    for program in find_servers():
        if program.kind == "redis" and program.version < (7, 2) and ours_is_master:
            continue  # it could not read our snapshot
        ports = [free_port(), free_port()]
        arguments = [[*options(certificates, port), "--tls-replication", "yes"] for port in ports]
        with contextlib.ExitStack() as stack:
            try:
                theirs = Server(program, *arguments[0])
            except AssertionError:
                continue  # built without TLS
            stack.callback(theirs.close)
            ours = Server(OURS, *arguments[1])
            stack.callback(ours.close)
            master, replica = (ours, theirs) if ours_is_master else (theirs, ours)
            master.client.set("key", "v" * 100_000)
            replica.follow(ports[1] if ours_is_master else ports[0])
            master.client.incr("counter")
            settle(master, replica)
