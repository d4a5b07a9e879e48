"""TLS: clients, the prompt and replication over it, and what is refused."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import warnings

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.config import Config
from engine.live.tls import Contexts, TlsError, TlsSocket
from engine.protocol.resp import encode_command
from tests.clients.ours import ROOT, serve
from tests.prompt.driver import run_ours, run_real
from tests.real import client_program, find_servers, free_port
from tests.replication.servers import OURS, Server, settle, wait_for
from tests.sentinel.live import NAME, LiveSentinel
from tests.waiting import PATIENCE_S


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
    # Python verifies strictly from 3.13 on: an authority says what its key is for, and a certificate who signed it.
    new += ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
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
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
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
    run(*signed, "-extfile", "extensions", "-out", "server.crt")
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
        socket_timeout=PATIENCE_S,
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
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain:
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
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
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


def test_who_sends_without_end_is_not_read_without_end(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    theirs = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    server = TlsSocket(ends[0], context, server=True)
    with theirs.wrap_socket(ends[1], server_hostname="127.0.0.1", do_handshake_on_connect=False) as client:
        handshakes = [client.do_handshake, server.sock.do_handshake] * 3
        for go_on in handshakes:
            with contextlib.suppress(ssl.SSLWantReadError):
                go_on()
        sent = 0
        with contextlib.suppress(ssl.SSLWantWriteError):
            while sent < 1 << 20:
                sent += client.send(b"x" * (16 << 10))
        assert sent > 100_000
        assert 50_000 <= len(server.recv(50_000)) < 70_000
        rest = 0
        with contextlib.suppress(BlockingIOError):
            while rest < sent:
                rest += len(server.recv(50_000))
        assert sent - 70_000 < rest <= sent - 50_000
    server.close()


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cert-file": "cut.crt"}, "Failed to load certificate: {}/cut.crt: "),
        ({"cert-file": "none.crt"}, "Failed to load certificate: {}/none.crt: No such file or directory"),
        ({"key-file": "none.key"}, "Failed to load private key: {}/none.key: No such file or directory"),
        ({"key-file": "cut.crt"}, "Failed to load private key: {}/cut.crt: "),
        ({"key-file": "ca.key"}, "Failed to load private key: {}/ca.key: "),
        (
            {"key-file": "locked.key"},
            "Failed to load private key: {}/locked.key: it is encrypted, and no password is set",
        ),
        (
            {"key-file": "locked.key", "key-file-pass": "wrong"},
            "Failed to load private key: {}/locked.key: its password is wrong",
        ),
        ({"ca-cert-file": "none.crt"}, "Failed to configure TLS: No such file or directory"),
        ({"dh-params-file": "none"}, "Failed to configure TLS: No such file or directory"),
        ({"ciphers": "NOSUCH"}, "Failed to configure ciphers: NOSUCH"),
        ({"ciphersuites": "NOSUCH"}, "Failed to configure ciphersuites: NOSUCH"),
        ({"protocols": "SSLv9"}, "Failed to configure TLS: Invalid tls-protocols specified: sslv9"),
    ],
)
def test_what_is_wrong_with_a_tls_configuration_is_named(certificates, settings, said):
    whole = (certificates / "server.crt").read_text()
    (certificates / "cut.crt").write_text(whole[:300])
    config = configured(certificates, **settings)
    with pytest.raises(TlsError) as caught:
        Contexts().get(config, server=True)
    assert str(caught.value).startswith(said.format(certificates))
    assert "(" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"key-file": "locked.key", "key-file-pass": "secret"},
        {"ciphersuites": "TLS_AES_128_GCM_SHA256:NOSUCH"},
        {"ciphers": "ECDHE-RSA-AES128-GCM-SHA256"},
    ],
)
def test_a_tls_configuration_that_can_be_is_accepted(certificates, settings):
    Contexts().get(configured(certificates, **settings), server=True)


VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def shake_hands(client, server):
    """Return the version that two contexts agree on, or None."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
    return ends[0].version()


@pytest.mark.filterwarnings("error:ssl")
@pytest.mark.parametrize(
    "protocols",
    [
        "",
        "TLSv1.2",
        "TLSv1.3",
        "TLSv1 TLSv1.1",
        "TLSv1.1 tlsv1.2",
        "TLSv1.3 TLSv1.2",
        "TLSv1.3 TLSv1.1",
        " ".join(VERSIONS),
    ],
)
@pytest.mark.parametrize("is_server", [True, False])
def test_the_protocols_of_the_configuration_are_spoken_and_no_others(certificates, protocols, is_server):
    config = configured(certificates, ciphers="DEFAULT:@SECLEVEL=0", protocols=protocols)
    config.tls_auth_clients = "no"
    ours = Contexts().get(config, server=is_server)
    spoken = []
    for name, version in VERSIONS.items():
        other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if is_server else ssl.PROTOCOL_TLS_SERVER)
        other.load_verify_locations(certificates / "ca.crt")
        other.load_cert_chain(certificates / "server.crt", certificates / "server.key")
        other.check_hostname = False
        other.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            other.minimum_version = other.maximum_version = version
        if shake_hands(*((other, ours) if is_server else (ours, other))) == name:
            spoken.append(name)
    wanted = (protocols or "TLSv1.2 TLSv1.3").lower().split()
    if protocols == "TLSv1.3 TLSv1.1" and not is_server:
        wanted = ["tlsv1.1"]  # OpenSSL's clients offer nothing above a gap
    assert spoken == [name for name in VERSIONS if name.lower() in wanted]


def configured(certificates, **settings):
    """Return a configuration with the certificates, and settings besides; encrypts the key if that is named."""
    if settings.get("key-file") == "locked.key" and not (certificates / "locked.key").exists():
        locked = ("pkey", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
        subprocess.run([shutil.which("openssl"), *locked], cwd=certificates, check=True, capture_output=True)
    config = Config()
    given = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "ca.crt", **settings}
    for name, value in given.items():
        path = str(certificates / value) if name.endswith("-file") else value
        setattr(config, f"tls_{name}".replace("-", "_"), path)
    return config


def test_our_prompt_over_tls(certificates):
    port = free_port()
    with serve(*options(certificates, port)):
        files = ["--cacert", "ca.crt", "--cert", "server.crt", "--key", "server.key"]
        command = [sys.executable, "-m", "tutor", "cli", "-p", str(port), "--tls", *files, "ECHO", "over TLS"]
        done = subprocess.run(
            command,
            cwd=certificates,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert (done.stdout, done.stderr) == ("over TLS\n", "")


CERTIFICATES = {
    "no extensions": "",
    "an authority without key usage": "basicConstraints=critical,CA:TRUE",
    "not an authority": "basicConstraints=critical,CA:FALSE",
    "for clients alone": "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth",
    "a key usage without signatures": "basicConstraints=critical,CA:TRUE\nkeyUsage=keyEncipherment",
    "a name that is not ours": "subjectAltName=DNS:elsewhere.example",
}


@pytest.mark.parametrize("extensions", CERTIFICATES.values(), ids=CERTIFICATES)
@pytest.mark.parametrize("ciphers", ["DEFAULT", "AES256-SHA256"])
def test_our_prompt_trusts_whom_redis_cli_trusts(certificates, tmp_path, extensions, ciphers):
    """A certificate that signed itself, given as the authority; Python's own defaults refuse some of these."""
    program = client_program()
    if "--tls" not in subprocess.run([program.path, "--help"], capture_output=True, text=True).stdout:
        pytest.skip(f"{program} was built without TLS")
    (tmp_path / "extensions").write_text(f"[req]\ndistinguished_name=name\n[name]\n[all]\n{extensions}\n")
    new = ["req", "-x509", "-new", "-key", certificates / "server.key", "-days", "2", "-subj", "/CN=someone"]
    new += ["-config", tmp_path / "extensions", "-extensions", "all", "-out", tmp_path / "crt"]
    subprocess.run(["openssl", *new], check=True, capture_output=True)
    settings = ["--tls-cert-file", str(tmp_path / "crt"), "--tls-key-file", str(certificates / "server.key")]
    settings += ["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.2", "--tls-ciphers", ciphers]
    port = free_port()
    with serve("--tls-port", str(port), *settings):
        words = ["-p", str(port), "--tls", "--cacert", str(tmp_path / "crt"), "PING"]
        assert run_ours(words).out == run_real(program, words).out


def with_tls(certificates, program=None):
    """Run a Sentinel that connects by TLS; None if a real one was built without it."""
    words = iter([*options(certificates, free_port()), "--tls-replication", "yes"])
    return LiveSentinel(program, *(f"{name.removeprefix('--')} {value}" for name, value in zip(words, words)))


def test_sentinels_over_tls(certificates):
    with contextlib.ExitStack() as stack:
        ports = [free_port(), free_port()]
        master, replica = (Server(OURS, *options(certificates, port), "--tls-replication", "yes") for port in ports)
        stack.callback(master.close)
        stack.callback(replica.close)
        replica.follow(ports[0])
        settle(master, replica)
        watching = [with_tls(certificates), with_tls(certificates)]
        for program in find_servers():
            with contextlib.suppress(AssertionError):  # built without TLS
                watching.append(with_tls(certificates, program))
                break
        for sentinel in watching:
            stack.callback(sentinel.close)
            assert sentinel.ask("SENTINEL", "MONITOR", NAME, "127.0.0.1", ports[0], len(watching)) == "OK"
            assert sentinel.ask("SENTINEL", "SET", NAME, "down-after-milliseconds", 1000) == "OK"
            assert sentinel.ask("SENTINEL", "SET", NAME, "failover-timeout", 6000) == "OK"
        others = len(watching) - 1
        for sentinel in watching:
            wait_for(lambda one=sentinel: len(one.client.sentinel_sentinels(NAME)) == others, "it knows the others")
            wait_for(lambda one=sentinel: len(one.client.sentinel_slaves(NAME)) == 1, "it has found the replica")
            usable = f"OK {len(watching)} usable"
            wait_for(
                lambda one=sentinel, said=usable: one.ask("SENTINEL", "CKQUORUM", NAME).startswith(said),
                "it reaches them",
            )
        master.kill()
        for sentinel in watching:
            wait_for(lambda one=sentinel: one.master_port() == ports[1], "the replica is the master")


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
