"""Messages that real nodes send each other on the cluster bus, kept as files.

    python -m tests.cluster.capture [--server PATH]

Runs four real nodes whose bus ports are announced as those of relays in between, has them do what there is a message
for, and keeps the last message of each type as `captured/<type>.bin`, and a nodes.conf as `captured/nodes.conf`.
"""

import argparse
import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import redis

from engine.cluster import messages as ms
from tests.real import Program, examine, find_servers, free_port, start_server
from tests.waiting import wait_until

CAPTURED = Path(__file__).parent / "captured"


class Relay:
    """Passes on what comes to a port, and keeps it."""

    def __init__(self, kept: dict[int, bytes]) -> None:
        self.kept = kept
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = 0
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            if not self.open:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        framing = ms.Framing()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for message in framing.feed(data):
                    self.kept[int.from_bytes(message[12:14], "big")] = message
                target.sendall(data)
        source.close()
        target.close()


class CapturedNode:
    """A real node behind a relay."""

    def __init__(self, port: int, bus_port: int, process: "subprocess.Popen[str]", directory: Path) -> None:
        self.port = port
        self.bus_port = bus_port  # the relay's
        self.process = process
        self.directory = directory
        self.client = redis.Redis(port=port, decode_responses=True)
        self.name: str = self.ask("MYID")

    def ask(self, *argv: object) -> str:
        """Give a CLUSTER command."""
        return self.client.execute_command("CLUSTER", *argv)  # type: ignore[no-any-return, no-untyped-call]

    def is_up(self) -> bool:
        """Tell whether the cluster is up, as far as this node can tell."""
        info: dict[str, str] = self.client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return info["cluster_state"] == "ok"


@contextlib.contextmanager
def node(program: Program, kept: dict[int, bytes], number: int) -> Iterator[CapturedNode]:
    """Run a node."""
    relay = Relay(kept)
    relay.target = free_port()
    arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", str(relay.target)]
    arguments += ["--cluster-announce-bus-port", str(relay.port), "--repl-diskless-sync-delay", "0"]
    arguments += ["--cluster-announce-human-nodename", f"node-{number}"]
    arguments += ["--cluster-announce-hostname", f"host-{number}.example.com"]
    with start_server(*arguments, program=program) as server:
        yield CapturedNode(server.port, relay.port, server.process, Path(server.directory))


def capture(program: Program) -> tuple[dict[int, bytes], bytes]:
    """Return the last message of each type, and a nodes.conf."""
    kept: dict[int, bytes] = {}
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(node(program, kept, number)) for number in range(4)]
        first, second, third, fourth = nodes
        for master, slots in ((first, (0, 5460)), (second, (5461, 10922)), (third, (10923, 16383))):
            master.ask("ADDSLOTSRANGE", *slots)
        for other in nodes[1:]:
            first.ask("MEET", "127.0.0.1", other.port, other.bus_port)
        wait_until(lambda: all(len(each.ask("NODES")) >= 4 for each in nodes), "all know all")
        wait_until(lambda: fourth.ask("REPLICATE", third.name), "a replica", redis.ResponseError)
        wait_until(lambda: all(each.is_up() for each in nodes), "the cluster is up")
        conf = (first.directory / "nodes.conf").read_bytes()
        first.client.publish("channel", "a message")
        wait_until(lambda: "online" in str(third.client.info("replication")), "in step")
        third.client.execute_command("SPUBLISH", "x", "to the shard")  # type: ignore[no-untyped-call]
        wait_until(lambda: fourth.ask("FAILOVER"), "asked to fail over", redis.ResponseError)
        wait_until(lambda: fourth.client.info("replication")["role"] == "master", "failed over")
        wait_until(lambda: third.client.info("replication").get("master_link_status") == "up", "in step again")
        fourth.process.kill()
        wait_until(lambda: third.client.info("replication")["role"] == "master", "took over")
        # A node that claims what another has claimed later gets an UPDATE.
        first.ask("BUMPEPOCH")
        second.ask("BUMPEPOCH")
        second.ask("SETSLOT", 0, "NODE", second.name)
        second.ask("BUMPEPOCH")
        wait_until(lambda: ms.UPDATE in kept, "an update")
    return kept, conf


def main() -> None:
    """Capture, and write the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.capture")
    parser.add_argument("--server", metavar="PATH", help="the real server to run")
    options = parser.parse_args()
    program = examine(options.server) if options.server else find_servers()[0]
    assert program is not None
    kept, conf = capture(program)
    CAPTURED.mkdir(exist_ok=True)
    for kind, message in sorted(kept.items()):
        (CAPTURED / f"{ms.type_name(kind)}.bin").write_bytes(message)
        print(ms.type_name(kind), len(message))
    (CAPTURED / "nodes.conf").write_bytes(conf)


if __name__ == "__main__":
    main()
