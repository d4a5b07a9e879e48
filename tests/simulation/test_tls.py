"""TLS in the simulated world: what a server decides when it loads certificates, and who reaches its ports."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s

from engine.config import Config
from engine.config.tls import TlsError
from engine.live.tls import make_context
from engine.simulation import actions
from engine.simulation.certificates import load, refusal
from engine.simulation.history import History
from engine.simulation.trace import Delivered, Exited, Logged
from tests.certificates import issue, issued
from tests.clients.test_tls import shake_hands

FOLDER = "/var/lib/redis"
TLS = ("port 0", "tls-port 6379", "tls-cert-file redis.crt", "tls-key-file redis.key", "tls-ca-cert-file ca.crt")
SECOND_US = 1_000_000


def world(*directives, **more):
    """Return a history with a host A, which has certificates, and others; all are started."""
    history = History(3)
    for name, lines in {"A": directives, **more}.items():
        number = 18 + len(history.world.hosts)
        history.do(actions.AddHost(name, f"172.16.6.{number}:6379", ("protected-mode no", *lines), FOLDER))
        for file, data in issued().items():
            history.do(actions.WriteFile(name, f"{FOLDER}/{file}", data))
        history.do(actions.Start(name))
    history.run(history.world.now_us + SECOND_US)
    return history


def ask(history, *words, port=0):
    """Return the reply to a command from a client whose handshake has succeeded."""
    client = f"client {history.place}"
    opens = (
        actions.OpenClientAt(client, "A", "127.0.0.1", port) if port else actions.OpenClient(client, "A", "127.0.0.1")
    )
    history.do(opens)
    history.do(actions.SendCommand(client, tuple(word.encode() for word in words)))
    before = history.place
    history.run(history.world.now_us + SECOND_US)
    came = [e.data for e in history.trace[before:] if isinstance(e, Delivered) and e.target == client]
    return b"".join(came).decode()


def said(history, host="A"):
    return [event.text for event in history.trace if isinstance(event, Logged) and event.host == host]


def test_a_server_listens_with_tls_alone():
    history = world(*TLS)
    assert said(history)[-1] == "Ready to accept connections tls"
    assert "tcp_port:6379" in ask(history, "INFO", "server")
    assert "laddr=172.16.6.18:6379" in ask(history, "CLIENT", "INFO")


def test_both_ports_of_a_server_are_reached():
    history = world(*TLS[2:], "tls-port 6380")
    assert said(history)[-2:] == ["Ready to accept connections tcp", "Ready to accept connections tls"]
    assert "laddr=172.16.6.18:6379" in ask(history, "CLIENT", "INFO")
    assert "laddr=172.16.6.18:6380" in ask(history, "CLIENT", "INFO", port=6380)
    assert ask(history, "CONFIG", "SET", "tls-port", "0") == "+OK\r\n"
    assert ask(history, "PING", port=6380) == ""


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("port 0",), "Configured to not listen anywhere, exiting."),
        (("tls-port 6380",), "Failed to configure TLS. Check logs for more info."),
        ((*TLS[1:],), "Failed listening on port 6379 (tls), aborting."),
        (("tls-replication yes",), "Failed to configure TLS. Check logs for more info."),
    ],
)
def test_a_server_that_cannot_listen_does_not_start(lines, text):
    history = world(*lines)
    assert said(history)[-1] == text
    assert isinstance(history.trace[-1], Exited)


def test_a_refused_certificate_leaves_the_old_one():
    history = world(*TLS)
    before = history.world.hosts["A"].tls
    refused = ask(history, "CONFIG", "SET", "tls-cert-file", "ca.crt")
    assert "Unable to update TLS configuration. Check server logs." in refused
    assert "Failed to load private key: redis.key: key values mismatch" in said(history)
    assert history.world.hosts["A"].tls == before
    assert ask(history, "CONFIG", "SET", "tls-cert-file", "web.crt", "tls-key-file", "web.key") == "+OK\r\n"
    assert history.world.hosts["A"].tls.files["tls_cert_file"] == issued()["web.crt"]


def test_files_are_read_when_they_are_configured_and_not_later():
    history = world(*TLS)
    history.do(actions.WriteFile("A", f"{FOLDER}/redis.crt", b"garbage"))
    assert history.world.hosts["A"].tls.files["tls_cert_file"] == issued()["redis.crt"]
    assert "Unable to update" in ask(history, "CONFIG", "SET", "tls-auth-clients", "no")


def test_a_configuration_may_name_its_folder_as_debian_does():
    history = world(*TLS[:2], *(line.replace("-file ", "-file /etc/redis/") for line in TLS[2:]))
    assert ask(history, "PING") == "+PONG\r\n"


def test_a_replica_needs_tls_replication():
    follows = "replicaof 172.16.6.18 6379"
    history = world(*TLS, B=[follows], C=[follows, *TLS, "tls-replication yes"])
    history.run(history.world.now_us + 10 * SECOND_US)
    info = ask(history, "INFO", "replication")
    assert "connected_slaves:1" in info and "ip=172.16.6.20" in info
    [reason] = {line.partition(" (")[0] for line in said(history) if "Error accepting" in line}
    assert reason == "Error accepting a client connection: SSL routines::wrong version number"
    assert not any("synchronization: Finished" in line for line in said(history, "B"))


def test_a_replica_of_another_authority_is_refused():
    follows = ["replicaof 172.16.6.18 6379", "tls-port 6380", "tls-replication yes"]
    theirs = ["tls-cert-file stranger.crt", "tls-key-file stranger.key", "tls-ca-cert-file ca.crt"]
    trusting = ["tls-cert-file web.crt", "tls-key-file web.key", "tls-ca-cert-file stranger.crt"]
    history = world(*TLS, B=[*follows, *theirs], C=[*follows, *trusting])
    reasons = {line.partition("::")[2].partition(":")[0] for line in said(history) if "Error accepting" in line}
    assert reasons == {"certificate verify failed (addr=172.16.6.19", "tlsv1 alert unknown ca (addr=172.16.6.20"}
    assert ask(history, "CONFIG", "SET", "tls-auth-clients", "no") == "+OK\r\n"
    history.run(history.world.now_us + 10 * SECOND_US)
    info = ask(history, "INFO", "replication")
    assert "connected_slaves:1" in info and "ip=172.16.6.19" in info


def test_a_failed_handshake_is_part_of_the_history():
    history = world(*TLS)
    history.do(actions.OpenClient("c", "A", "127.0.0.1"))
    history.run(history.world.now_us + SECOND_US)
    history.do(actions.FailHandshake("c", "SSL routines::http request"))
    history.run(history.world.now_us + SECOND_US)
    assert said(history)[-1].startswith(
        "Error accepting a client connection: SSL routines::http request (addr=127.0.0.1:"
    )
    assert not history.world.clients["c"].connection
    assert "connected_clients:1" in ask(history, "INFO", "clients")
    again = History.decode(history.encode())
    assert again.world.digest == history.world.digest


# --- the same decisions as OpenSSL --------------------------------------------------------------------------------


def as_written(key, form, password=b""):
    private = s.load_pem_private_key(key, None)
    hidden = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    return private.private_bytes(s.Encoding.PEM, form, hidden)


def variants():
    files = issued()
    issue(files, "large", key="rsa:3072")
    old = s.PrivateFormat.TraditionalOpenSSL
    return files | {
        "old-ec.key": as_written(files["redis.key"], old),
        "old-rsa.key": as_written(files["web.key"], old),
        "locked.key": as_written(files["redis.key"], s.PrivateFormat.PKCS8, b"secret"),
        "cut.crt": files["redis.crt"][:200],
        "cut.key": files["redis.key"][:80],
        "chain.crt": files["redis.crt"] + files["ca.crt"],
        "commented.crt": b"subject=CN = redis\n" + files["redis.crt"],
        "empty": b"",
        "other.crt": files["stranger.crt"],
    }


@pytest.mark.parametrize("ca", ["ca.crt", "", "empty", "none", "redis.key"])
@pytest.mark.parametrize("auth", ["yes", "no"])
@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("redis.crt", "redis.key"),
        ("redis.crt", "old-ec.key"),
        ("web.crt", "web.key"),
        ("web.crt", "old-rsa.key"),
        ("large.crt", "large.key"),
        ("chain.crt", "redis.key"),
        ("commented.crt", "redis.key"),
        ("redis.crt", "ca.key"),
        ("redis.crt", "web.key"),
        ("web.crt", "large.key"),
        ("web.crt", "redis.key"),
        ("web.crt", "old-ec.key"),
        ("other.crt", "redis.key"),
        ("redis.crt", "locked.key"),
        ("cut.crt", "redis.key"),
        ("redis.crt", "cut.key"),
        ("empty", "redis.key"),
        ("redis.crt", "empty"),
        ("redis.key", "redis.key"),
        ("redis.crt", "redis.crt"),
        ("none", "redis.key"),
        ("redis.crt", "none"),
        ("", "redis.key"),
        ("redis.crt", ""),
    ],
)
def test_what_openssl_refuses_is_refused(tmp_path, certificate, key, auth, ca):
    """The simulated server decides without OpenSSL, which need not be of the same version everywhere."""
    files = variants_once()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def verdict(decide, folder):
        config = Config()
        for name, value in {"cert": certificate, "key": key, "ca_cert": ca}.items():
            setattr(config, f"tls_{name}_file", f"{folder}{value}" if value else "")
        config.tls_auth_clients = auth
        try:
            decide(config)
        except TlsError as error:
            return str(error).replace(str(folder), "")
        return "accepted"

    ours = verdict(lambda config: load(config, lambda name: (tmp_path / name).read_bytes()), "")
    theirs = verdict(lambda config: make_context(config, server=True), f"{tmp_path}/")
    assert (ours == "accepted") == (theirs == "accepted"), (ours, theirs)
    assert ours.split(": ")[:2] == theirs.split(": ")[:2]


def chosen(files, certificate, ca, auth="yes", client=""):
    config = Config()
    named = {"cert": certificate, "key": certificate, "client_cert": client, "client_key": client}
    for name, value in named.items():
        ending = "crt" if name.endswith("cert") else "key"
        setattr(config, f"tls_{name}_file", f"{files}/{value}.{ending}" if value else "")
    config.tls_ca_cert_file = f"{files}/{ca}"
    config.tls_auth_clients = auth
    return config


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Certificates as files, some with names of others."""
    folder = tmp_path_factory.mktemp("many")
    files = issued()
    issue(files, "namesake", subject="/CN=ca")
    issue(files, "forged", "-CA", "namesake.crt", "-CAkey", "namesake.key", subject="/CN=redis")
    issue(files, "deep", "-CA", "redis.crt", "-CAkey", "redis.key")
    files["both.crt"] = files["stranger.crt"] + files["ca.crt"]
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("auth", ["yes", "optional", "no"])
@pytest.mark.parametrize("ca", ["ca.crt", "stranger.crt", "namesake.crt", "both.crt", "redis.crt"])
@pytest.mark.parametrize("certificate", ["redis", "web", "stranger", "forged", "deep", "ca"])
def test_simulated_servers_accept_each_other_as_real_ones_do(many, certificate, ca, auth):
    """Either end of the connection has the certificate, and the other the authority."""

    def ours(client, server):
        return not refusal(load(client, read), load(server, read))

    def theirs(client, server):
        contexts = make_context(client, server=False), make_context(server, server=True)
        return shake_hands(*contexts) is not None

    def read(path):
        return Path(path).read_bytes()

    pairs = [
        (chosen(many, "web", ca), chosen(many, certificate, "ca.crt", auth)),
        (chosen(many, certificate, "ca.crt"), chosen(many, "redis", ca, auth)),
        (chosen(many, "web", "ca.crt", client=certificate), chosen(many, "redis", ca, auth)),
    ]
    for pair in pairs:
        assert ours(*pair) == theirs(*pair)


_VARIANTS = {}


def variants_once():
    if not _VARIANTS:
        _VARIANTS.update(variants())
    return _VARIANTS
