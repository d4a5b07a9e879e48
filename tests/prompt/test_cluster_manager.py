"""`redis-tutor cli --cluster` beside redis-cli: the same output, errors and exit status on equal clusters."""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.keyspace.slots import SLOTS
from tests.prompt.driver import Result, run_ours, run_real
from tests.real import RealServer, client_program, start_server
from tests.share import EVERYTHING, share
from tests.waiting import wait_until

pytestmark = pytest.mark.long

slow = pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1 runs it")

HOSTS = 7  # nodes that run; each has an address of its own, so that replicas are placed without chance
TIMEOUT_MS = 2000


class Nodes:
    """Real servers in cluster mode, which are made single nodes again before each run."""

    def __init__(self, servers: list[RealServer]) -> None:
        self.servers = servers
        self.clients: list[Any] = [redis.Redis(each.host, each.port, protocol=2) for each in servers]

    def __getitem__(self, number: int) -> str:
        server = self.servers[number]
        return f"{server.host}:{server.port}"

    def ask(self, number: int, *words: object) -> Any:
        """Give a command to a node."""
        connection = self.clients[number].connection_pool.get_connection()
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            self.clients[number].connection_pool.release(connection)

    def id(self, number: int) -> str:
        """Return a node's ID."""
        found: bytes = self.ask(number, "CLUSTER", "MYID")
        return found.decode()

    def reset(self) -> None:
        """Make them single nodes without keys."""
        for number in range(len(self.servers)):
            with contextlib.suppress(redis.ResponseError):
                self.ask(number, "FLUSHALL")  # a replica refuses
            self.ask(number, "CLUSTER", "RESET", "SOFT")
            self.ask(number, "FLUSHALL")
            self.ask(number, "FUNCTION", "FLUSH")
            self.ask(number, "CONFIG", "SET", "cluster-node-timeout", TIMEOUT_MS)

    def form(self, *shares: tuple[int, int]) -> None:
        """Make a cluster of the first nodes, with these slots."""
        for number, (first, last) in enumerate(shares):
            if first <= last:
                self.ask(number, "CLUSTER", "ADDSLOTSRANGE", first, last)
            with contextlib.suppress(redis.ResponseError):  # it has one from a run before
                self.ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number in range(1, len(shares)):
            self.ask(number, "CLUSTER", "MEET", self.servers[0].host, self.servers[0].port)
        self.agree(len(shares))
        if sum(last - first + 1 for first, last in shares) == SLOTS:
            up = b"cluster_state:ok"
            wait_until(
                lambda: all(up in self.ask(number, "CLUSTER", "INFO") for number in range(len(shares))), "it is up"
            )

    def agree(self, count: int) -> None:
        """Wait until the first nodes know each other and the cluster is up."""

        def agreed() -> bool:
            told = [self.ask(number, "CLUSTER", "NODES").decode() for number in range(count)]
            slots = {
                tuple(sorted(" ".join([line.split()[0], *line.split()[8:]]) for line in text.splitlines()))
                for text in (
                    "\n".join(re.sub(r" ?\[[^]]*\]", "", line) for line in each.splitlines()) for each in told
                )
            }
            return len(slots) == 1 and all(text.count("connected") == count for text in told)

        wait_until(agreed, "the nodes agree")

    def names(self) -> dict[str, str]:
        """Return what stands for the IDs and addresses of the nodes in what is compared."""
        return {self.id(number): f"ID{number}" for number in range(len(self.servers))}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(HOSTS):
            host = f"127.0.0.{number + 2}"
            config = tmp_path_factory.mktemp("nodes") / "nodes.conf"
            server = stack.enter_context(
                start_server(
                    "--bind", host, "--bind-source-addr", host, "--cluster-enabled", "yes",
                    "--cluster-config-file", str(config), "--cluster-node-timeout", str(TIMEOUT_MS),
                    "--repl-diskless-sync-delay", "0",
                )
            )  # fmt: skip
            servers.append(
                RealServer(server.program, host, server.port, server.socket, server.directory, server.process)
            )
        yield Nodes(servers)


def beside(
    nodes: Nodes, setup: Callable[[], None], argv: Callable[[], list[str]], stdin: bytes = b"", **more: Any
) -> Result:
    """Run both clients on equal clusters; what they say is the same. Returns what ours said, with names for IDs.

    Nodes stand in the order of a hash table, which is another one after each start: the lines are compared sorted.
    """
    env = more.get("env")

    def real(words: list[str]) -> Result:
        return run_real(client_program(), words, stdin, env)

    def ours(words: list[str]) -> Result:
        return run_ours(words, stdin, env)

    said = []
    for run in (real, ours):
        nodes.reset()
        setup()
        words = argv()
        names = nodes.names()
        result = run(words)
        texts = []
        for data in (result.out, result.err):
            text = data.decode("utf-8", "surrogateescape")
            for name, stands_for in names.items():
                text = text.replace(name, stands_for).replace(name[:8], stands_for)
            texts.append(blank(text))
        said.append((texts[0], texts[1], result.status))
    compared = [(_sorted(out), ESCAPE.findall(out), _sorted(err), status) for out, err, status in said]
    assert compared[1] == compared[0], f"{said[0][0]}\n---- ours:\n{said[1][0]}"
    return Result(ESCAPE.sub("", said[1][0]).encode(), said[1][1].encode(), said[1][2])


ESCAPE = re.compile("\033\\[[0-9;]*m")


def _sorted(text: str) -> list[str]:
    return sorted(ESCAPE.sub("", text).splitlines())


def blank(text: str) -> str:
    """Take out what chance or the moment decides: how long the nodes take to join, and which node covers a slot."""
    text = re.sub(r"(?m)^\.+$", "", text)
    text = re.sub(r"(slots are open: )([\d,]+)", lambda found: found[1] + ",".join(sorted(found[2].split(","))), text)
    text = re.sub(r"(>>> Covering slot \d+ with) \S+", r"\1 NODE", text)
    return re.sub(r"'/[^']*/(redis-node-)", r"'\1", text)


def thirds(nodes: Nodes) -> Callable[[], None]:
    return lambda: nodes.form((0, 5460), (5461, 10922), (10923, 16383))


def cluster(*words: str) -> list[str]:
    return ["--cluster", *words]


def test_create(nodes: Nodes) -> None:
    ours = beside(nodes, lambda: None, lambda: cluster("create", *(nodes[n] for n in range(3)), "--cluster-yes"))
    assert ours.status == 0 and b"[OK] All 16384 slots covered." in ours.out
    wait_until(lambda: nodes.ask(0, "CLUSTER", "INFO").startswith(b"cluster_state:ok"), "it is up")


def test_create_with_replicas(nodes: Nodes) -> None:
    words = [nodes[n] for n in range(6)]
    ours = beside(nodes, lambda: None, lambda: cluster("create", *words, "--cluster-replicas", "1", "--cluster-yes"))
    assert ours.out.count(b"replicates ID") == 6  # planned, and then so
    assert ours.status == 0


def test_create_is_confirmed(nodes: Nodes) -> None:
    words = [nodes[n] for n in range(3)]
    assert (
        b"Can I set the above configuration?"
        in beside(nodes, lambda: None, lambda: cluster("create", *words), b"no\n").out
    )
    assert (
        b"Nodes configuration updated" in beside(nodes, lambda: None, lambda: cluster("create", *words), b"yes\n").out
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_create_needs_three_masters(nodes: Nodes, count: int) -> None:
    words = [nodes[n] for n in range(count)]
    ours = beside(nodes, lambda: None, lambda: cluster("create", *words, "--cluster-replicas", str(count // 4)))
    assert ours.status == 1 if count != 4 else 1


def test_create_refuses_nodes_that_are_not_empty(nodes: Nodes) -> None:
    words = [nodes[n] for n in range(3)]
    assert (
        b"is not empty"
        in beside(nodes, lambda: nodes.form((0, 16383), (1, 0)), lambda: cluster("create", *words)).out
    )
    assert (
        b"is not configured as a cluster node"
        in beside(nodes, lambda: None, lambda: cluster("create", nodes[0], plain_address(), nodes[2])).out
    )


@pytest.fixture(scope="module", autouse=True)
def plain(nodes: Nodes) -> Iterator[RealServer]:
    """Run a server that is not a node of a cluster."""
    with start_server() as server:
        PLAIN.append(server)
        yield server
        PLAIN.clear()


PLAIN: list[RealServer] = []


def plain_address() -> str:
    return f"{PLAIN[0].host}:{PLAIN[0].port}"


@pytest.mark.parametrize(
    "words",
    [
        ("help",), ("nonsense",), ("create",), ("create", "127.0.0.1"), ("check",), ("check", "nowhere"),
        ("check", "127.0.0.1:1"), ("check", "127.0.0.1", "1"), ("info", "127.0.0.1:1"), ("fix", "127.0.0.1:1"),
        ("reshard", "127.0.0.1:1"), ("rebalance", "x"), ("add-node", "a:1"), ("add-node", "a", "b"),
        ("del-node", "a:1"), ("del-node", "a", "b"), ("call", "a:1"), ("set-timeout", "127.0.0.1:1", "50"),
        ("import", "127.0.0.1:1"), ("import", "127.0.0.1:1", "--cluster-from", "x"), ("backup", "127.0.0.1:1"),
        ("backup", "127.0.0.1:1", "/tmp"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_arguments(nodes: Nodes, words: tuple[str, ...]) -> None:
    program = client_program()
    for env in ({}, {"TERM": "dumb"}):
        assert run_ours(cluster(*words), b"", env) == run_real(program, cluster(*words), b"", env)


def test_the_weight_is_given_once(nodes: Nodes) -> None:
    words = cluster("rebalance", "a:1", "--cluster-weight", "a=1", "--cluster-weight", "b=1")
    assert run_ours(words) == run_real(client_program(), words)


@pytest.mark.parametrize("command", ["check", "info", "fix"])
def test_looking_at_a_sound_cluster(nodes: Nodes, command: str) -> None:
    def setup() -> None:
        thirds(nodes)()
        for number, key in enumerate(("foo", "hello", "name")):
            for node in range(3):
                with contextlib.suppress(redis.ResponseError):
                    nodes.ask(node, "SET", key, number)

    ours = beside(nodes, setup, lambda: cluster(command, nodes[1]))
    assert ours.status == 0 and b"3 keys in 3 masters" in ours.out
    host, _, port = nodes[0].rpartition(":")
    assert beside(nodes, setup, lambda: cluster(command, host, port)).status == 0


def test_check_finds_what_is_wrong(nodes: Nodes) -> None:
    def setup() -> None:
        nodes.form((0, 5460), (5461, 10922), (10923, 16382))
        nodes.ask(1, "CLUSTER", "SETSLOT", 0, "IMPORTING", nodes.id(0))
        nodes.ask(0, "CLUSTER", "SETSLOT", 0, "MIGRATING", nodes.id(1))
        nodes.ask(0, "CLUSTER", "SETSLOT", 1, "MIGRATING", nodes.id(1))

    ours = beside(nodes, setup, lambda: cluster("check", nodes[0]))
    assert ours.status == 1 and b"slots in migrating state 0,1" in ours.out and b"Not all 16384 slots" in ours.out
    for command in ("reshard", "rebalance", "add-node"):
        more = [nodes[3], nodes[0]] if command == "add-node" else [nodes[0]]
        assert beside(nodes, setup, lambda command=command, more=more: cluster(command, *more)).status == 1  # type: ignore[misc]


def test_check_for_owners(nodes: Nodes) -> None:
    def setup() -> None:
        thirds(nodes)()
        nodes.ask(0, "SET", "hello", 1)

    words = ["--cluster-search-multiple-owners"]
    assert b"No multiple owners" in beside(nodes, setup, lambda: cluster("check", nodes[0], *words)).out


def test_colors(nodes: Nodes) -> None:
    nodes.reset()
    thirds(nodes)()
    assert b"\033[32;1m[OK]" in run_ours(cluster("check", nodes[0]), b"", {"TERM": "xterm-256color"}).out
    assert b"\033" not in run_ours(cluster("check", nodes[0]), b"", {"TERM": "dumb"}).out
    beside(nodes, thirds(nodes), lambda: cluster("check", nodes[0]), env={"TERM": "dumb"})


def half_migrated(nodes: Nodes, keys: int, moved: int, migrating: bool = True, importing: bool = True) -> None:
    """Slot 866 is between nodes 0 and 1, with some of its keys at each."""
    thirds(nodes)()
    for number in range(keys):
        nodes.ask(0, "SET", f"{{hello}}:{number}", number)
    nodes.ask(1, "CLUSTER", "SETSLOT", 866, "IMPORTING", nodes.id(0))
    nodes.ask(0, "CLUSTER", "SETSLOT", 866, "MIGRATING", nodes.id(1))
    host, _, port = nodes[1].rpartition(":")
    for number in range(moved):
        nodes.ask(0, "MIGRATE", host, port, f"{{hello}}:{number}", 0, 1000)
    if not importing:
        nodes.ask(1, "CLUSTER", "SETSLOT", 866, "STABLE")
    if not migrating:
        nodes.ask(0, "CLUSTER", "SETSLOT", 866, "STABLE")


@pytest.mark.parametrize(
    ("moved", "migrating", "importing"),
    share(
        [(2, True, True), (0, True, True), (2, False, True), (2, True, False), (0, True, False), (5, True, True)], 3
    ),
)
def test_fix_closes_open_slots(nodes: Nodes, moved: int, migrating: bool, importing: bool) -> None:
    ours = beside(
        nodes,
        lambda: half_migrated(nodes, 5, moved, migrating, importing),
        lambda: cluster("fix", nodes[2]),
    )
    assert b">>> Fixing open slot 866" in ours.out
    assert ours.status == 0
    held = [nodes.ask(number, "CLUSTER", "COUNTKEYSINSLOT", 866) for number in range(3)]
    assert sorted(held) == [0, 0, 5]


def test_fix_tells_of_keys_that_differ(nodes: Nodes) -> None:
    def setup() -> None:
        half_migrated(nodes, 5, 0)
        nodes.ask(1, "ASKING")
        connection = nodes.clients[1].connection_pool.get_connection()
        for words in (("ASKING",), ("SET", "{hello}:3", "another")):
            connection.send_command(*words)
            connection.read_response()
        nodes.clients[1].connection_pool.release(connection)

    ours = beside(nodes, setup, lambda: cluster("fix", nodes[2]))
    assert b"having different values" in ours.out
    assert beside(nodes, setup, lambda: cluster("fix", nodes[2], "--cluster-replace")).status == 0


def uncovered(nodes: Nodes, *with_keys: int) -> None:
    """Nobody serves slot 866, and these nodes have keys of it."""
    nodes.form((0, 5460), (5461, 10922), (10923, 16383))
    nodes.ask(0, "SET", "{hello}:0", "x")
    for number in with_keys[1:]:
        nodes.ask(number, "CLUSTER", "SETSLOT", 866, "IMPORTING", nodes.id(0))
        connection = nodes.clients[number].connection_pool.get_connection()
        for words in (("ASKING",), ("SET", f"{{hello}}:{number}", "x"), ("CLUSTER", "SETSLOT", 866, "STABLE")):
            connection.send_command(*words)
            connection.read_response()
        nodes.clients[number].connection_pool.release(connection)
    if not with_keys:
        nodes.ask(0, "DEL", "{hello}:0")
    for number in range(3):
        nodes.ask(number, "CLUSTER", "DELSLOTS", 866)


@pytest.mark.parametrize(
    ("answer", "with_keys"),
    share([(answer, held) for answer in (b"yes\n", b"no\n", b"") for held in ((), (0,), (0, 1))], 4),
)
def test_fix_covers_slots(nodes: Nodes, with_keys: tuple[int, ...], answer: bytes) -> None:
    ours = beside(nodes, lambda: uncovered(nodes, *with_keys), lambda: cluster("fix", nodes[0]), answer)
    assert ours.status == (0 if answer == b"yes\n" else 1)
    if answer == b"yes\n":
        assert sum(nodes.ask(number, "CLUSTER", "COUNTKEYSINSLOT", 866) > 0 for number in range(3)) == bool(with_keys)


RESHARD = ["--cluster-slots", "5", "--cluster-yes"]


@pytest.mark.parametrize("origin", share(["two", "all", "one"], 2))
def test_reshard(nodes: Nodes, origin: str) -> None:
    def setup() -> None:
        thirds(nodes)()
        nodes.ask(0, "SET", "{06S}", "in slot 0")

    def words() -> list[str]:
        source = {"all": "all", "one": nodes.id(0), "two": f"{nodes.id(0)},{nodes.id(1)}"}[origin]
        return cluster("reshard", nodes[0], "--cluster-from", source, "--cluster-to", nodes.id(2), *RESHARD)

    ours = beside(nodes, setup, words)
    assert ours.status == 0 and ours.out.count(b"Moving slot") == 10
    assert b"Moving slot 0 from" in ours.out
    assert nodes.ask(2, "GET", "{06S}") == b"in slot 0"


def test_reshard_asks(nodes: Nodes) -> None:
    nodes.reset()
    for last, status in ((b"yes\n", 0), (b"no\n", 1)):
        said = []
        for run in (typed_real, typed_ours):
            nodes.reset()
            thirds(nodes)()
            names = nodes.names()
            out, code = run(cluster("reshard", nodes[0]), [b"2\n", nodes.id(1).encode() + b"\n", b"all\n", last])
            for name, stands_for in names.items():
                out = out.replace(name, stands_for)
            said.append((sorted(out.splitlines()), code))
        assert said[0] == said[1]
        assert said[1][1] == status


def typed_real(words: list[str], answers: list[bytes]) -> tuple[str, int]:
    return _typed([client_program().path, *words], answers)


def typed_ours(words: list[str], answers: list[bytes]) -> tuple[str, int]:
    import sys

    return _typed([sys.executable, "-m", "tutor", "cli", *words], answers)


def _typed(command: list[str], answers: list[bytes]) -> tuple[str, int]:
    """Type answers, each after its question, as a person does: what is read at once is one line."""
    import os
    import subprocess

    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "dumb"},
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None and process.stdout is not None
    out = b""
    for answer in answers:
        while not re.search(rb"(\? |#\d+: )\Z", out):
            data = os.read(process.stdout.fileno(), 65536)
            assert data, out
            out += data
        out += b"\n"
        process.stdin.write(answer)
        process.stdin.flush()
    process.stdin.close()
    out += process.stdout.read()
    return out.decode(), process.wait()


@slow
def test_reshard_refuses_strange_nodes(nodes: Nodes) -> None:
    for source, target in (("a" * 40, "self"), ("self", "a" * 40), ("self", "self"), ("", "self")):
        ours = beside(
            nodes,
            thirds(nodes),
            lambda source=source, target=target: cluster(  # type: ignore[misc]
                "reshard", nodes[0], "--cluster-from", source.replace("self", nodes.id(0)),
                "--cluster-to", target.replace("self", nodes.id(0)), *RESHARD,
            ),
        )  # fmt: skip
        assert ours.status == 1


@slow
def test_rebalance(nodes: Nodes) -> None:
    def uneven() -> None:
        nodes.form((0, 40), (41, 60), (61, 16383), (1, 0))

    even = beside(nodes, thirds(nodes), lambda: cluster("rebalance", nodes[0]))
    assert b"No rebalancing needed" in even.out
    words = ["--cluster-simulate"]
    assert b"balance is" in beside(nodes, uneven, lambda: cluster("rebalance", nodes[0], *words, "--verbose")).out
    beside(nodes, uneven, lambda: cluster("rebalance", nodes[0], *words, "--cluster-use-empty-masters"))
    beside(nodes, uneven, lambda: cluster("rebalance", nodes[0], *words, "--cluster-threshold", "1000000"))
    weights = lambda: ["--cluster-weight", f"{nodes.id(0)[:6]}=2", f"{nodes.id(1)}=0.5"]  # noqa: E731
    assert (
        b"Total weight = 3.50"
        in beside(nodes, uneven, lambda: cluster("rebalance", nodes[0], *weights(), "--cluster-simulate")).out
    )
    assert beside(nodes, uneven, lambda: cluster("rebalance", nodes[0], "--cluster-weight", "zz=1")).status == 1


def test_rebalance_moves(nodes: Nodes) -> None:
    ours = beside(
        nodes,
        lambda: nodes.form((0, 5450), (5451, 10922), (10923, 16383)),
        lambda: cluster("rebalance", nodes[0], "--cluster-threshold", "0.01", "--cluster-pipeline", "3"),
    )
    assert ours.status == 0 and b"#" in ours.out


@slow
@pytest.mark.parametrize(
    "words", share([("--cluster-slave", "--cluster-master-id", "ID"), ("--cluster-slave",), ()], 2)
)
def test_add_node_and_del_node(nodes: Nodes, words: tuple[str, ...]) -> None:
    def setup() -> None:
        thirds(nodes)()
        for number in range(3):
            nodes.ask(
                number, "FUNCTION", "LOAD", "#!lua name=one\nredis.register_function('f', function() return 1 end)"
            )

    def add() -> list[str]:
        given = [nodes.id(1) if word == "ID" else word for word in words]
        return cluster("add-node", nodes[3], nodes[0], *given)

    ours = beside(nodes, setup, add)
    assert ours.status == 0 and b"[OK] New node added correctly." in ours.out

    def added() -> None:
        setup()
        run_real(client_program(), add())
        nodes.agree(4)

    gone = beside(nodes, added, lambda: cluster("del-node", nodes[0], nodes.id(3)))
    assert gone.status == 0 and b"CLUSTER RESET SOFT" in gone.out


def test_del_node_refuses(nodes: Nodes) -> None:
    assert b"is not empty" in beside(nodes, thirds(nodes), lambda: cluster("del-node", nodes[0], nodes.id(1))).out
    assert b"No such node ID" in beside(nodes, thirds(nodes), lambda: cluster("del-node", nodes[0], "a" * 40)).out


def test_add_node_refuses(nodes: Nodes) -> None:
    wrong = ["--cluster-slave", "--cluster-master-id", "a" * 40]
    assert beside(nodes, thirds(nodes), lambda: cluster("add-node", nodes[3], nodes[0], *wrong)).status == 1
    assert beside(nodes, thirds(nodes), lambda: cluster("add-node", "127.0.0.1:1", nodes[0])).status == 1
    assert beside(nodes, thirds(nodes), lambda: cluster("add-node", plain_address(), nodes[0])).status == 1

    def full() -> None:
        thirds(nodes)()
        nodes.ask(3, "FUNCTION", "LOAD", "#!lua name=one\nredis.register_function('f', function() return 1 end)")

    assert b"already contains functions" in beside(nodes, full, lambda: cluster("add-node", nodes[3], nodes[0])).out


def test_call_on_replicas(nodes: Nodes) -> None:
    def with_replica() -> None:
        thirds(nodes)()
        run_real(client_program(), cluster("add-node", nodes[3], nodes[0], "--cluster-slave"))
        nodes.agree(4)

    words = ["PING", "--cluster-only-replicas"]
    assert beside(nodes, with_replica, lambda: cluster("call", nodes[0], *words)).out.count(b"PONG") == 1


@slow
def test_call_and_set_timeout(nodes: Nodes) -> None:
    for words in (
        ["GET", "foo"],
        ["DBSIZE", "--cluster-only-masters"],
        ["NONSENSE"],
        ["CONFIG", "GET", "maxmemory*"],
    ):
        ours = beside(nodes, thirds(nodes), lambda words=words: cluster("call", nodes[0], *words))  # type: ignore[misc]
        assert ours.status == 0
    assert beside(nodes, thirds(nodes), lambda: cluster("set-timeout", nodes[0], "99")).status == 1
    assert b"0 OK, 3 ERR" in beside(nodes, thirds(nodes), lambda: cluster("set-timeout", nodes[0], "3000")).out


def test_import(nodes: Nodes) -> None:
    origin = redis.Redis(PLAIN[0].host, PLAIN[0].port)

    def setup() -> None:
        thirds(nodes)()
        origin.flushall()
        for key in ("foo", "hello", "name"):
            origin.set(key, key)

    words = ["--cluster-from", plain_address()]
    ours = beside(nodes, setup, lambda: sorted_import(nodes, *words))
    assert ours.status == 0 and ours.out.count(b"OK") >= 3
    assert nodes.ask(2, "GET", "foo") == b"foo" and not origin.dbsize()
    copied = beside(nodes, setup, lambda: sorted_import(nodes, *words, "--cluster-copy", "--cluster-replace"))
    assert copied.status == 0 and origin.dbsize() == 3

    def busy() -> None:
        setup()
        nodes.ask(0, "SET", "hello", "another")
        origin.delete("foo", "name")

    assert beside(nodes, busy, lambda: sorted_import(nodes, *words)).status == 1
    assert beside(nodes, setup, lambda: sorted_import(nodes, "--cluster-from", nodes[3])).status == 1
    assert beside(nodes, setup, lambda: sorted_import(nodes, "--cluster-from", "127.0.0.1:1")).status == 1


def sorted_import(nodes: Nodes, *words: str) -> list[str]:
    return cluster("import", nodes[0], *words)


def test_backup(nodes: Nodes, tmp_path: Path) -> None:
    folder = tmp_path / "backup"

    def setup() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        thirds(nodes)()
        nodes.ask(2, "SET", "foo", "bar")

    saved = []

    def words() -> list[str]:
        saved.append(nodes.names())
        return cluster("backup", nodes[0], str(folder))

    ours = beside(nodes, setup, words)
    assert ours.status == 0
    assert len(list(folder.glob("*.rdb"))) == 3
    assert all(file.read_bytes().startswith(b"REDIS") for file in folder.glob("*.rdb"))
    text = (folder / "nodes.json").read_text()
    for name, stands_for in saved[-1].items():
        text = text.replace(name, stands_for)
    assert '"slots": [[0,5460]]' in text and '"slots_count": 5461' in text
    assert beside(nodes, setup, lambda: cluster("backup", nodes[0], "/nonexistent")).status == 1


def test_redirections_are_followed(nodes: Nodes) -> None:
    for words, stdin in ((["SET", "foo", "1"], b""), ([], b"SET foo 1\nGET foo\nSET hello 2\nGET hello\n")):
        host, _, port = nodes[0].rpartition(":")
        ours = beside(
            nodes,
            thirds(nodes),
            lambda words=words, host=host, port=port: ["-c", "-h", host, "-p", port, *words],  # type: ignore[misc]
            stdin,
        )
        assert ours.status == 0 and b"OK" in ours.out


def test_an_asking_redirection_is_followed(nodes: Nodes) -> None:
    host, _, port = nodes[0].rpartition(":")
    ours = beside(
        nodes,
        lambda: half_migrated(nodes, 5, 2),
        lambda: ["-c", "-h", host, "-p", port],
        b"GET {hello}:0\nGET {hello}:4\nGET {hello}:1\n",
    )
    assert ours.out.split(b"\n")[-4:] == [b"0", b"4", b"1", b""] or b"0" in ours.out
