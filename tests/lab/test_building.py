"""Laboratories that learners build: every shape works, files are read, and an error is one line with its place."""

import subprocess

import pytest
from click.testing import CliRunner

from engine.simulation import actions
from engine.simulation.actions import ActionError
from engine.simulation.cluster_state import cluster_views
from engine.simulation.history import History, HistoryError
from engine.simulation.state import link_views, node_views
from tests.real import client_program, find_servers, missing
from tests.replication.servers import Server, wait_for
from tutor.commandline import cli
from tutor.lab.building import build, settled, wanted_of
from tutor.lab.clusterfile import read_cluster_file
from tutor.lab.loader import parse_scenario
from tutor.lab.recipe import read_recipe
from tutor.lab.runner import differences
from tutor.lab.session import LabSession
from tutor.lesson.model import Problem


def built(*words, **options):
    return LabSession(*build(wanted_of([str(word) for word in words], **options)))


def follows(session):
    nodes = node_views(session.world)
    names = {node.address: name for name, node in nodes.items()}
    return {name: names[node.master] for name, node in nodes.items() if node.role == "replica" and node.link == "up"}


def test_a_star_is_the_default():
    session = built(6)
    assert follows(session) == dict.fromkeys("BCDEF", "A")
    assert [host.address for host in session.world.hosts.values()][:2] == ["172.16.6.18:6379", "172.16.6.57:6379"]


def test_a_chain():
    assert follows(built(4, "chain")) == {"B": "A", "C": "B", "D": "C"}


def test_two_data_centers_are_far_from_each_other():
    session = built(5, "two-dc", "--latency", 30)
    used = {(link.a, link.b): link.latency_us for link in link_views(session.world)}
    assert used == {("A", "B"): 500, ("A", "C"): 500, ("A", "D"): 30_000, ("A", "E"): 30_000}
    assert len(session.spec.links) == 6
    assert follows(session) == dict.fromkeys("BCDE", "A")


def test_sentinels_know_each_other():
    session = built(3, sentinels=3)
    assert list(session.world.hosts) == ["A", "B", "C", "S1", "S2", "S3"]
    assert list(differences(session.history, settled(session.spec, ()))) == []
    session.execute("crash A")
    session.execute("wait 20")
    assert node_views(session.world)["A"].state == "down"
    assert "master" in {node_views(session.world)[name].role for name in "BC"}


@pytest.mark.parametrize(("words", "masters"), [((6,), 3), ((9, "--replicas", 2), 3), ((3,), 3), ((8, "two-dc"), 4)])
def test_a_cluster_serves_all_slots(words, masters):
    session = built(*words, "--cluster")
    roles = [node.role for node in node_views(session.world).values()]
    assert roles.count("master") == masters
    assert roles.count("replica") == words[0] - masters
    seen = cluster_views(session.world)["A"]
    assert seen.ok
    assert all(seen.owner_of(slot) for slot in (0, 8000, 16383))


def test_forty_nodes():
    session = built(40)
    assert len(follows(session)) == 39
    assert list(session.world.hosts)[25:28] == ["Z", "N27", "N28"]


def test_it_is_the_same_every_time_and_opens_again():
    session = built(3, "--sentinels", 3)
    assert built(3, "--sentinels", 3).history.digest() == session.history.digest()
    _, history = read_recipe(session.recipe())
    history.end()
    session.history.end()
    assert history.digest() == session.history.digest()
    again = History.decode(session.encode())
    again.end()
    assert again.digest() == session.history.digest()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["0"], "a laboratory has 1 to 40 nodes, not 0"),
        (["500"], "a laboratory has 1 to 40 nodes, not 500"),
        (["-3"], "a laboratory has 1 to 40 nodes, not -3"),
        (["6", "chian"], "there is no shape or file chian: did you mean chain?"),
        (["6", "ring"], "there is no shape or file ring: the shapes are star, chain, two-dc"),
        (["3", "--sentinel", "3"], "there is no option --sentinel: did you mean --sentinels?"),
        (["3", "--sentinels", "many"], "--sentinels needs a number"),
        (["3", "--sentinels", "10"], "a laboratory has up to 9 Sentinels, not 10"),
        (["1", "two-dc"], "two data centers need at least 2 nodes"),
        (["2", "--cluster"], "a cluster needs at least 3 masters: 3 nodes, not 2"),
        (["6", "chain", "--cluster"], "the nodes of a cluster are not in a chain"),
        (["6", "--cluster", "--sentinels", "1"], "a cluster has no Sentinels"),
        (["6", "--replicas", "1"], "--replicas belongs to --cluster"),
        (["4", "5"], "new NODES [star | chain | two-dc]"),
        ([], "new NODES [star | chain | two-dc]"),
        ([""], "there is no shape or file"),
        (["prod/a.yaml", "chain"], "a file describes the whole of it"),
    ],
)
def test_what_cannot_be_built(words, told):
    with pytest.raises(ActionError) as raised:
        wanted_of(words)
    assert told in str(raised.value)


def test_the_command():
    def run(*words):
        return CliRunner().invoke(cli, ["lab", *words])

    assert "A star of 2 nodes" in run("new", "2", "--play").output
    assert run("new", "2", "--actions").output.startswith("# A star of 2 nodes\nseed 1\n")
    result = run("new", "500", "--play")
    assert (result.exit_code, result.output) == (1, "redis-tutor: a laboratory has 1 to 40 nodes, not 500\n")
    assert "only `lab new` takes" in run("chain", "6").output
    result = run("new", "3", "--expose", "--port", "65534", "--play")
    assert (result.exit_code, "the last machine would be on port 65536" in result.output) == (1, True)
    result = run("new", "3")
    assert (result.exit_code, "try `redis-tutor " in result.output and " --play`" in result.output) == (1, True)


# -- a YAML file


FILE = """\
title: Mine
nodes:
  A: {}
  B: {follows: A}
  C: {follows: B, config: ["replica-priority 0"]}
sentinels: {S1: {}, S2: {}, S3: {}}
sentinel_config: ["sentinel monitor mymaster 172.16.6.18 6379 2"]
links: [{between: [A, C], latency_ms: 40}]
do: ["app> SET k v"]
"""


def yaml(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file(tmp_path):
    session = built(yaml(tmp_path, FILE))
    assert session.spec.title == "Mine"
    assert follows(session) == {"B": "A", "C": "B"}
    assert [node.keys for node in node_views(session.world).values()][:3] == [1, 1, 1]
    assert session.world.network.path("A", "C").latency_us == 40_000


def test_a_scenario_is_a_file(tmp_path):
    plan = read_cluster_file(yaml(tmp_path, "id: x\ntitle: T\nsummary: S\nnodes: {A: {}}\nsteps: [{say: hello}]\n"))
    assert (plan.spec.title, plan.spec.steps, plan.do) == ("T", (), ())


@pytest.mark.parametrize(
    ("before", "after", "line", "told"),
    [
        ("follows: B,", "folows: B,", 5, "unknown field `folows`; did you mean `follows`?"),
        ("follows: B,", "follows: Bee,", 5, "there is no node Bee"),
        ("A: {}", "A: {follows: C}", 3, "A follows C follows B follows A: a circle"),
        ("A: {}", "A: {address: nowhere}", 3, "'nowhere' is not an address"),
        ("[A, C]", "[A, X]", 8, "there is no node X"),
        ("app> SET k v", "explode A", 9, "the actions are"),
        ("A: {}", "A: {", 3, "not YAML"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path, before, after, line, told):
    path = yaml(tmp_path, FILE.replace(before, after, 1))
    with pytest.raises(Problem) as raised:
        read_cluster_file(path)
    assert (raised.value.line, told in raised.value.text) == (line, True), str(raised.value)


NUMBERS = """\
nodes:
  A: {address: "172.16.6.18:6379"}
  B: {}
applications:
  W:
    writes_to: A
    period_ms: 100
links:
  - between: [A, B]
    latency_ms: 40
    bytes_per_s: 1000
seed: 7
do:
  - wait 1
  - write A 10 20
"""


@pytest.mark.parametrize(
    ("before", "after", "line", "told"),
    [
        ("period_ms: 100", "period_ms: 0", 7, "period_ms is 10 to 3600000 milliseconds, not 0"),
        ("period_ms: 100", "period_ms: -5", 7, "period_ms is 10 to 3600000 milliseconds, not -5"),
        ("latency_ms: 40", "latency_ms: -1", 10, "latency_ms is 0 to 60000 milliseconds, not -1"),
        ("bytes_per_s: 1000", "bytes_per_s: -1", 11, "bytes_per_s is 0 to"),
        ("seed: 7", "seed: -7", 12, "seed is 0 to"),
        ("wait 1", "wait 1000000000", 14, "SECONDS is 0 to 86400"),
        ("wait 1", "wait ²", 14, "wait SECONDS"),
        ("write A 10", "write A ten", 15, "write NAME COUNT [BYTES]"),
        ("write A 10", "write A 10000000000", 15, "COUNT is 0 to 1000000, not"),
        ("18:6379", "18:63790", 0, ""),
        ("18:6379", "18:99999", 2, "the port is 1 to 65535, not 99999"),
        ("18:6379", "18:0", 2, "the port is 1 to 65535, not 0"),
    ],
)
def test_numbers_that_no_history_survives(tmp_path, before, after, line, told):
    path = yaml(tmp_path, NUMBERS.replace(before, after, 1))
    if not line:
        assert read_cluster_file(path).spec.seed == 7
        return
    with pytest.raises(Problem) as raised:
        read_cluster_file(path)
    assert (raised.value.line, told in raised.value.text) == (line, True), str(raised.value)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("run: .inf", "YAML reads `.inf` as a number"),
        ("run: 86401", "run is 0 to 86400 seconds, not 86401"),
        ("run: -1", "run is 0 to 86400 seconds, not -1"),
        ("within: 90000.5", "within is 0 to 86400 seconds, not 90000.5"),
    ],
)
def test_numbers_of_a_scenario(field, told):
    text = "id: x\ntitle: T\nsummary: S\nnodes: {A: {address: '172.16.6.18:6379'}}\nsteps:\n  - say: hello\n    "
    with pytest.raises(Problem) as raised:
        parse_scenario(f"{text}{field}\n", "x.yaml")
    assert (raised.value.line, told in raised.value.text) == (7, True), str(raised.value)


def test_no_action_begins_a_program_without_a_period():
    session = built(1)
    address = session.world.hosts["A"].address
    for action in (
        actions.AddApplication("W", (), "", address, 0),
        actions.AddClusterApplication("W", (address,), ("k",), "map", -1),
        actions.AddProgram("P", "producer", (), "", address, 0, "jobs"),
    ):
        with pytest.raises(ActionError, match=r"the period of [WP] is above 0"):
            session.history.do(action)


def test_steps_that_are_left_out_are_told(tmp_path):
    path = yaml(tmp_path, "id: x\ntitle: T\nsummary: S\nnodes: {A: {}}\nsteps: [{say: hello}]\n")
    ended = CliRunner().invoke(cli, ["lab", "new", str(path), "--play"])
    assert ended.exit_code == 0
    assert f"`lab new` leaves out the steps of {path}: `redis-tutor lab {path}` has them" in ended.stderr


def test_a_latency_needs_two_data_centers():
    for words, options in ((["3", "--latency", "50"], {}), (["3", "chain"], {"latency_ms": 50})):
        with pytest.raises(ActionError, match="--latency is between two data centers: add two-dc"):
            wanted_of(words, **options)
    summary = built(2, "two-dc", latency_ms=50).spec.summary
    assert "A is in one data center and B in the other: 50 ms each way" in summary


def test_what_is_wrong_in_a_scenario_file_is_printed_with_its_line(tmp_path):
    path = yaml(tmp_path, "nodes:\n  A: {}\n")
    ended = CliRunner().invoke(cli, ["lab", str(path), "--play"])
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"{path}:2: nodes.A: missing field `address`")


def test_a_damaged_line_of_json_is_named():
    with pytest.raises(
        HistoryError, match="line 1: this line is not JSON, from column 7 on: it may have been cut off"
    ):
        read_recipe('{"do": \n')


# -- a real deployment


MASTER = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
MASTER += "slave0:ip=10.0.0.2,port=6379,state=online,offset=9,lag=0\r\n"
MASTER += (
    "slave1:ip=10.0.0.3,port=6380,state=online,offset=9,lag=1\r\nmaster_replid:aa\r\nrepl_backlog_size:2097152\r\n"
)
SUB = "role:slave\nmaster_host:10.0.0.1\nmaster_port:6379\nslave_priority:10\nconnected_slaves:1\n"
SUB += "slave0:ip=10.0.0.4,port=6379,state=online,offset=9,lag=0\nmaster_replid:aa\n"


def test_one_info_of_a_master_is_enough(tmp_path):
    (tmp_path / "m.info").write_bytes(MASTER.encode())
    session = built(tmp_path / "m.info")
    assert follows(session) == {"B": "A", "C": "A"}
    addresses = {host.address for host in session.world.hosts.values()}
    assert addresses >= {"10.0.0.2:6379", "10.0.0.3:6380"}
    assert session.world.hosts["A"].node.config.repl_backlog_size == 2 << 20


def test_infos_and_configurations_of_one_deployment(tmp_path):
    (tmp_path / "a.info").write_bytes(MASTER.encode())
    (tmp_path / "b.info").write_text(SUB)
    (tmp_path / "b.conf").write_text(
        "# ours\nport 6379\nbind 127.0.0.1 10.0.0.2\ndir /srv\nrequirepass top\nmasterauth top\nmaxmemory 100mb\n"
        'replica-priority 10\ndatabases 16\nsave ""\n'
    )
    (tmp_path / "sentinel.conf").write_text("sentinel monitor prod 10.0.0.1 6379 1\nsentinel auth-pass prod top\n")
    session = built(tmp_path)
    where = {host.address: name for name, host in session.world.hosts.items()}
    assert [where[f"10.0.0.{number}:{6380 if number == 3 else 6379}"] for number in (1, 2, 3, 4)] == [
        "A",
        "B",
        "D",
        "C",
    ]
    assert follows(session) == {"B": "A", "C": "B", "D": "A"}
    config = session.world.hosts["B"].node.config
    assert (config.maxmemory, config.replica_priority) == (100 << 20, 10)
    assert config.requirepass == b"password1"
    assert b"top" not in session.encode()
    assert not any("save-delay" in line or "databases" in line for line in session.spec.nodes["B"].config)
    assert "Passwords are replaced by password1" in session.spec.summary


@pytest.mark.parametrize(
    ("name", "text", "line", "told"),
    [
        ("m.info", "role:master\nconnected_slaves:0\n", 1, "this master names no replica"),
        ("s.info", "# Replication\nrole:slave\n", 2, "master_host is missing"),
        ("s.info", "role:boss\nconnected_slaves:0\n", 1, "role is master or slave, not boss"),
        ("x.txt", "hello world\n", 1, "neither an output of INFO replication (no `role:` line) nor a redis.conf"),
        ("x.conf", "port 1\nmaxmemry 1\n", 2, "maxmemry is no directive of Redis 7.2: did you mean maxmemory?"),
        ("x.conf", "port 1\n\nmaxmemory x\n", 3, "argument must be a memory value"),
        ("s.conf", "sentinel monitor m 1.2.3.4\n", 1, "sentinel monitor NAME IP PORT QUORUM"),
        ("e.conf", "# nothing\n", 1, "no directive of a redis.conf"),
    ],
)
def test_what_is_wrong_in_the_files_of_a_deployment(tmp_path, name, text, line, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(Problem) as raised:
        built(tmp_path / name)
    assert (raised.value.line, told in raised.value.text) == (line, True), str(raised.value)


def test_a_sentinel_knows_the_replicas(tmp_path):
    (tmp_path / "sentinel.conf").write_text(
        "port 26379\nsentinel monitor prod 10.0.0.1 6379 1\nsentinel known-replica prod 10.0.0.2 6379\n"
        "sentinel known-sentinel prod 10.0.0.9 26379 aa\n"
    )
    assert follows(built(tmp_path)) == {"B": "A"}


def test_other_files_in_a_folder_are_left_out(tmp_path):
    (tmp_path / "m.info").write_bytes(MASTER.encode())
    (tmp_path / "notes.txt").write_text("We moved it in May.\nport 6379 is ours\nAsk Ann.\n")
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0011\xfa\x00\xff")
    assert follows(built(tmp_path)) == {"B": "A", "C": "A"}
    assert wanted_of([str(tmp_path)], first_port=7001).files == (str(tmp_path),)
    (tmp_path / "m.pid").write_text("1234\n")
    assert built(tmp_path).spec.summary.endswith(" Not read: dump.rdb, m.pid, notes.txt.")
    session = built(tmp_path / "m.info", tmp_path / "m.pid", tmp_path / "dump.rdb")
    assert session.spec.summary.endswith(" Not read: m.pid, dump.rdb.")
    for number in range(5):
        (tmp_path / f"n{number}.log").write_text("1234\n")
    assert "and 3 other files." in built(tmp_path).spec.summary


def one_host(tmp_path, *infos):
    """Write the files of a master and two replicas of one machine: `infos` are the servers whose INFO there is."""
    told = {
        "n1": "# Server\ntcp_port:7011\nrole:master\nconnected_slaves:2\n"
        "slave0:ip=127.0.0.1,port=7012,state=online,offset=9,lag=0\n"
        "slave1:ip=127.0.0.1,port=7013,state=online,offset=9,lag=0\n",
        **{
            f"n{number}": f"tcp_port:701{number}\nrole:slave\nmaster_host:127.0.0.1\nmaster_port:7011\n"
            "connected_slaves:0\n"
            for number in (2, 3)
        },
    }
    for name in infos:
        (tmp_path / f"{name}.info").write_text(told[name])
    (tmp_path / "m.conf").write_text("port 7011\nrequirepass top\nmasterauth top\nmaxmemory 100mb\n")
    for name, port in (("r", 7012), ("s", 7013)):
        (tmp_path / f"{name}.conf").write_text(f"port {port}\nreplicaof 127.0.0.1 7011\nmasterauth top\n")
    return [*(tmp_path / f"{name}.info" for name in infos), *(tmp_path / f"{name}.conf" for name in "mrs")]


@pytest.mark.parametrize("infos", [("n1",), ("n2",), ("n1", "n2", "n3"), ()])
def test_info_and_configuration_of_one_port_of_a_machine_are_one_server(tmp_path, infos):
    session = built(*one_host(tmp_path, *infos))
    assert [host.port for host in session.world.hosts.values()] == [7011, 7012, 7013]
    assert follows(session) == {"B": "A", "C": "A"}
    assert session.world.hosts["A"].node.config.maxmemory == 100 << 20


def test_the_same_port_on_other_hosts_is_another_server(tmp_path):
    (tmp_path / "m.info").write_bytes(MASTER.encode())
    for number in (2, 5):
        (tmp_path / f"r{number}.conf").write_text("port 6379\nreplicaof 10.0.0.1 6379\n")
    (tmp_path / "n.info").write_text(SUB.replace("role", "tcp_port:6379\nrole", 1))
    assert len(built(tmp_path).world.hosts) == 6


def test_replicas_that_only_their_master_names_have_its_password(tmp_path):
    (tmp_path / "m.info").write_bytes(MASTER.encode())
    (tmp_path / "10.0.0.3-6380.conf").write_text("port 6380\nreplicaof 10.0.0.1 6379\nmasterauth top\n")
    session = built(tmp_path)
    assert session.world.hosts["A"].node.config.requirepass == b"password1"
    assert follows(session) == {"B": "A", "C": "A"}


def test_a_folder_without_files(tmp_path):
    with pytest.raises(Problem, match="there is no output of INFO and no configuration in this folder"):
        built(tmp_path)


@pytest.mark.long
def test_what_real_servers_say(tmp_path):
    found = find_servers()
    if not found:
        missing("a real server")
    servers = [Server(found[0]) for _ in range(3)]
    try:
        servers[1].follow(servers[0].port)
        servers[2].follow(servers[1].port)
        for server in servers[1:]:
            wait_for(lambda server=server: server.linked, "it follows")
        for number, server in enumerate(servers):
            command = [client_program().path, "-p", str(server.port), "INFO"]
            (tmp_path / f"n{number}.info").write_bytes(
                subprocess.run(command, capture_output=True, check=True).stdout
            )
        session = built(tmp_path)
    finally:
        for server in servers:
            server.close()
    assert follows(session) == {"B": "A", "C": "B"}
    assert [host.port for host in session.world.hosts.values()] == [server.port for server in servers]
