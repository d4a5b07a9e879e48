"""How the server starts and ends as a process: what it says, what it leaves, which signals it minds."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.live.snapshots import SnapshotError, write_file
from tests.clients.ours import ROOT, serve
from tests.real import free_port
from tests.waiting import PATIENCE_S, wait_until
from tutor.client import Connection

_STAMP = re.compile(r"^\d+:[CMS] \d+ \w+ \d{4} [\d:.]+ ")


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start our server in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "tutor", "serve", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def lines(text: str) -> list[str]:
    return [_STAMP.sub("", line) for line in text.splitlines()]


def told(folder: Path, *arguments: str) -> tuple[list[str], int]:
    """What a server says that cannot start, and its exit status."""
    process = start(folder, *arguments)
    text, _ = process.communicate(timeout=PATIENCE_S)
    return lines(text), process.returncode


def until_ready(process: "subprocess.Popen[str]") -> list[str]:
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if "Ready to accept connections unix" in line:
            return lines("".join(said))
    raise AssertionError("it did not start: " + "".join(said))


def test_what_is_said_from_start_to_end(tmp_path):
    port = str(free_port())
    process = start(
        tmp_path,
        *("--port", port, "--save", "", "--pidfile", "server.pid", "--unixsocket", "s.sock"),
        *("--bind", "-192.0.2.1", "127.0.0.1", "--tcp-backlog", "1000000", "--user", "x"),
    )
    said = until_ready(process)
    assert (tmp_path / "server.pid").read_text() == f"{process.pid}\n"
    assert (tmp_path / "s.sock").exists()
    assert any("listening socket 192.0.2.1:" in line for line in said)
    assert any("The user 'x' is disabled (there is no 'on' modifier" in line for line in said)
    if Path("/proc/sys/net/core/somaxconn").exists():
        assert any("WARNING: The TCP backlog setting of 1000000 cannot be enforced" in line for line in said)
    process.send_signal(signal.SIGALRM)  # no watchdog is on: nothing to do
    process.send_signal(signal.SIGHUP)
    process.terminate()
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert [line for line in lines(rest) if line.startswith(("*", "#"))] == [
        "* User requested shutdown...",
        "* Removing the pid file.",
        "* Removing the unix socket file.",
        "# Redis is now ready to exit, bye bye...",
    ]
    assert os.listdir(tmp_path) == []


def test_a_path_too_long_for_a_unix_socket(tmp_path):
    said, status = told(tmp_path, "--port", "0", "--unixsocket", "x" * 200)
    assert status == 1
    assert re.fullmatch(
        r"# Failed opening Unix socket: unix socket path too long \(200\), must be under 10[48]", said[-1]
    )


def test_a_name_that_nobody_knows(tmp_path):
    port = str(free_port())
    said, status = told(tmp_path, "--port", port, "--bind", "nobody.invalid")
    assert status == 1
    assert said[-2].startswith(f"# Warning: Could not create server TCP listening socket nobody.invalid:{port}: ")
    assert "bind:" not in said[-2]
    assert said[-1] == f"# Failed listening on port {port} (tcp), aborting."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "not in PEM format"),
        ("-----BEGIN CERTIFICATE-----\n", "not in PEM format"),
        (None, "No such file or directory"),
    ],
)
def test_a_certificate_that_is_none(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "crt").write_text(text)
    (tmp_path / "key").write_text("nothing")
    names = ("--tls-cert-file", "crt", "--tls-key-file", "key", "--tls-auth-clients", "no")
    said, status = told(tmp_path, "--port", "0", "--tls-port", str(free_port()), *names)
    assert status == 1
    assert said[-2] == f"# Failed to load certificate: crt: {reason}"
    assert said[-1] == "# Failed to configure TLS. Check logs for more info."


def test_lines_of_included_files_are_counted_on(tmp_path):
    (tmp_path / "a.conf").write_text("maxmemory 1mb\n")
    (tmp_path / "b.conf").write_text("bogus 1\n")
    (tmp_path / "all.conf").write_text("include [ab].conf\n")
    said, status = told(tmp_path, "all.conf")
    assert status == 1
    assert said[2:] == [
        "Reading the configuration file, at line 2",
        ">>> 'bogus 1'",
        "Bad directive or wrong number of arguments",
    ]


def test_what_the_log_says_of_a_snapshot_that_cannot_be_written(tmp_path):
    (tmp_path / "dump.rdb").mkdir()  # nothing can be renamed over a folder
    (tmp_path / "dump.rdb" / "x").touch()
    with pytest.raises(SnapshotError) as error:
        write_file(str(tmp_path / "dump.rdb"), "rdb", iter([b"x"]))
    temporary = tmp_path / f"temp-{os.getpid()}.rdb"
    assert error.value.told.startswith(f"Error moving temp DB file {temporary} on the final destination {tmp_path}")
    assert not temporary.exists()
    with pytest.raises(SnapshotError) as error:
        write_file(str(tmp_path / "absent" / "dump.rdb"), "rdb", iter([b"x"]))
    assert error.value.told.startswith(f"Failed opening the temp RDB file {tmp_path}")
    assert error.value.told.endswith(") for saving: No such file or directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_the_log_says_of_a_full_disk(tmp_path):
    (tmp_path / f"temp-{os.getpid()}.rdb").symlink_to("/dev/full")
    with pytest.raises(SnapshotError) as error:
        write_file(str(tmp_path / "dump.rdb"), "rdb", iter([b"x"]))
    assert error.value.told == "Write error while saving DB to the disk(rdbSaveRio): No space left on device"
    assert os.listdir(tmp_path) == []


def test_a_verbose_log_names_clients_that_come_and_go() -> None:
    with serve("--loglevel", "verbose") as served:
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n"
            address = "{}:{}".format(*client.getsockname())
        wait_until(lambda: any("Client closed connection" in line for line in served.log), "the end of the client")
        assert any(line.endswith(f" - Accepted {address}\n") for line in served.log)
        (end,) = (line for line in served.log if "Client closed connection" in line)
        assert re.search(rf" - Client closed connection id=\d+ addr={address} laddr=.* cmd=ping ", end)
        info = Connection.tcp("127.0.0.1", served.port, timeout=PATIENCE_S).call("INFO", "stats")
        assert b"total_reads_processed:2" in info and b"total_writes_processed:1" in info
