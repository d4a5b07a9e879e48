"""A group of simulated machines: a master, replicas, Sentinels, and clients that talk to them."""

from typing import Any, cast

from engine.protocol.replies import ReplyReader
from engine.sentinel.instances import Master
from engine.sentinel.monitor import Monitor
from engine.simulation.actions import AddHost, AddSentinel, OpenClient, SendCommand, Start
from engine.simulation.trace import Delivered, Logged
from engine.simulation.world import World

SECOND = 1_000_000
NAME = "mymaster"
DIRECTIVES = ("down-after-milliseconds mymaster 2000", "failover-timeout mymaster 10000")


class Group:
    """A world with servers `a`, `b` … (the first is the master) and Sentinels `s1`, `s2` …"""

    def __init__(
        self,
        seed: int = 1,
        servers: int = 3,
        sentinels: int = 3,
        quorum: int = 2,
        directives: tuple[str, ...] = DIRECTIVES,
        server_directives: tuple[str, ...] = (),
        observed: bool = True,
    ) -> None:
        self.world = World(seed, observed)
        self.servers = [chr(ord("a") + number) for number in range(servers)]
        self.sentinels = [f"s{number + 1}" for number in range(sentinels)]
        base = ("repl-diskless-sync-delay 0", *server_directives)
        for number, name in enumerate(self.servers):
            follows = () if not number else ("replicaof 172.16.6.10 6379",)
            self.world.do(AddHost(name, f"172.16.6.{10 + number}:6379", (*base, *follows)))
        lines = (f"monitor mymaster 172.16.6.10 6379 {quorum}", *directives)
        for number, name in enumerate(self.sentinels):
            own = tuple(f"sentinel {line}" for line in lines)
            self.world.do(AddSentinel(name, f"172.16.6.{100 + number}:26379", own))
        for name in (*self.servers, *self.sentinels):
            self.world.do(Start(name))

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now_us + int(seconds * SECOND))

    def run_until(self, condition: Any, seconds: float) -> bool:
        """Run until a condition holds, at most so long."""
        end_us = self.world.now_us + int(seconds * SECOND)
        while self.world.now_us < end_us:
            if condition():
                return True
            self.run(0.1)
        return bool(condition())

    def monitor(self, sentinel: str) -> Monitor:
        node = self.world.hosts[sentinel].node
        assert node is not None, f"{sentinel} is down"
        return cast(Any, node).monitor

    def master(self, sentinel: str) -> Master:
        return self.monitor(sentinel).watched.masters[NAME]

    def masters(self) -> list[str]:
        """Return where each Sentinel that runs takes the master to be: the last part of its address."""
        return [
            self.master(name).current_address.ip.rpartition(".")[2]
            for name in self.sentinels
            if self.world.hosts[name].node is not None
        ]

    def role(self, server: str) -> str:
        node = self.world.hosts[server].node
        assert node is not None, f"{server} is down"
        return "slave" if node.config.is_replica else "master"

    def log(self, *hosts: str) -> list[str]:
        """Return what hosts (all Sentinels) have logged."""
        chosen = hosts or tuple(self.sentinels)
        return [f"{e.host} {e.text}" for e in self.world.trace if isinstance(e, Logged) and e.host in chosen]

    def events(self, *hosts: str) -> list[str]:
        """Return the types of events that hosts have logged, in order."""
        return [line.split(" ")[1] for line in self.log(*hosts) if line.split(" ")[1][0] in "+-"]

    def ask(self, host: str, *words: str, seconds: float = 0.5, client: str = "client") -> Any:
        """Give a host a command; return the reply."""
        client = f"{host}-{client}"
        if client not in self.world.clients:
            self.world.do(OpenClient(client, host))
            self.run(0.1)
        before = len(self.world.trace)
        self.world.do(SendCommand(client, tuple(word.encode() for word in words)))
        self.run(seconds)
        data = b"".join(e.data for e in self.world.trace[before:] if isinstance(e, Delivered) and e.target == client)
        return ReplyReader()(bytearray(data))

    def check_settled(self) -> None:
        """Assert that all Sentinels agree, and all servers follow the one master."""
        assert len(set(self.masters())) == 1, self.masters()
        where = self.masters()[0]
        for server in self.servers:
            host = self.world.hosts[server]
            if host.node is not None:
                mine = host.ip.rpartition(".")[2] == where
                assert self.role(server) == ("master" if mine else "slave"), server
                if not mine:
                    assert host.node.config.replicaof.host.rpartition(".")[2] == where
