"""Peers that break the protocol, stop half way or lie: they harm themselves and nobody else."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from engine.protocol.resp import encode_command
from tests.replication.servers import OURS, Server, servers, settle, wait_for
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

FULLRESYNC = b"+FULLRESYNC %b 0\r\n" % (b"a" * 40)


def bad_replica(master: Server) -> socket.socket:
    """Attach a connection to a master as its second replica."""
    sock = socket.create_connection(("127.0.0.1", master.port), timeout=PATIENCE_S)
    wait_for(lambda: master.info("connected_slaves") == 1, "the one before is gone")
    sock.sendall(encode_command([b"PSYNC", b"?", b"-1"]))
    wait_for(lambda: (master.info("slave1") or {}).get("state") == "online", "it is attached")
    return sock


@contextlib.contextmanager
def bad_master(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen as a master that gets through the handshake and then does as it likes; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(PATIENCE_S)
                        sock.recv(1 << 16)
                        sock.sendall(b"+PONG\r\n")
                        asked = b""
                        while b"psync2" not in asked:
                            asked += sock.recv(1 << 16)
                        sock.sendall(b"+OK\r\n" * asked.count(b"REPLCONF"))
                        sock.recv(1 << 16)
                        sock.sendall(FULLRESYNC)
                        behave(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE_S)


def test_replicas_that_send_nonsense_or_lie_harm_only_themselves():
    with servers(OURS, OURS) as (master, replica):
        replica.follow(master.port)
        settle(master, replica)
        for nonsense in (
            b"*1\r\n$-7\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",  # a replica may not write
            encode_command([b"REPLCONF", b"ACK", b"no number"]),
            encode_command([b"REPLCONF", b"ACK", b"9" * 18]),
            encode_command([b"PSYNC", b"x" * 5000, b"-9" * 20]),
            b"\x00\xff" * 1000 + b"\r\n",
        ):
            with bad_replica(master) as sock:
                sock.sendall(nonsense)
                master.client.incr("counter")
        wait_for(lambda: master.info("connected_slaves") == 1, "the bad ones are gone")
        settle(master, replica)
        assert master.info("sync_full") == 7
        assert replica.client.get("counter") == b"6"
        assert not master.client.exists("k")
        for host, port in (("h" * 300, 6379), ("a\0b", 6379)):  # addresses that no system call takes
            replica.client.execute_command("REPLICAOF", host, port)
            with pytest.raises(redis.ResponseError):
                replica.client.execute_command("MIGRATE", host, port, "counter", 0, 100, "COPY")
        assert replica.client.get("counter") == b"6"


def test_a_replica_that_stops_reading_is_dropped():
    limits = ("--client-output-buffer-limit", "replica 1mb 0 0", "--repl-backlog-size", "16kb")
    with servers(OURS, OURS, arguments=limits) as (master, replica):
        replica.follow(master.port)
        settle(master, replica)
        with bad_replica(master):
            for number in range(200):
                master.client.set(f"big{number % 3}", b"x" * 100_000)
                if master.info("connected_slaves") == 1:
                    break
            assert master.info("connected_slaves") == 1
        settle(master, replica)


def damaged(sock: socket.socket) -> None:
    """Send what is no snapshot."""
    sock.sendall(b"$30\r\nREDIS0011" + b"\xfa\x09redis-ver" + b"\xff" * 10)
    sock.recv(1)


def half(sock: socket.socket) -> None:
    """Send the beginning of a snapshot, and hang up."""
    sock.sendall(b"$1000\r\nREDIS0011")


def silent(sock: socket.socket) -> None:
    """Send the beginning of a snapshot, and nothing more."""
    sock.sendall(b"$EOF:" + b"e" * 40 + b"\r\nREDIS0011")
    sock.recv(1)


def nonsense(sock: socket.socket) -> None:
    """Send something else."""
    sock.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
    sock.recv(1)


@pytest.mark.parametrize("behave", [damaged, half, silent, nonsense])
def test_a_bad_master_leaves_the_old_data_with_swapdb(behave):
    arguments = ("--repl-diskless-load", "swapdb", "--repl-timeout", "2")
    with servers(OURS, OURS, arguments=arguments) as (master, replica):
        with bad_master(behave) as port:
            replica.client.set("old", "data")
            master.client.set("new", "data")
            replica.follow(port)

            def told() -> int:
                with open(f"{replica.directory.name}/log") as log:
                    return log.read().count("Full resync from master")

            wait_for(lambda: told() >= 2, "the replica has given up and tried again")
        wait_for(lambda: replica.client.get("old") == b"data", "what was received is given up")
        replica.follow(master.port)
        settle(master, replica)
        assert replica.client.keys() == [b"new"]
