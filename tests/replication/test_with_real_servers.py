"""Our server as master and as replica of real ones: what is transferred, what continued, and that nothing differs."""

import random
import socket

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.protocol.resp import encode_command
from tests.real import find_servers, missing
from tests.replication.servers import OURS, Server, in_sync, proxy_to, servers, settle, wait_for
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


def fill(server: Server, seed: int = 1) -> None:
    """Put some of every type into a server, in two databases."""
    draw = random.Random(seed)
    client = server.client
    for db in (0, 9):
        client.execute_command("SELECT", db)
        for i in range(20):
            client.set(f"s{i}", draw.randbytes(draw.choice([0, 3, 100, 2000])))
            client.rpush(f"l{draw.randrange(4)}", *[draw.randrange(1000) for _ in range(20)])
            client.hset(f"h{draw.randrange(4)}", f"f{i}", draw.random())
            client.sadd(f"set{draw.randrange(3)}", i, f"m{i}")
            client.zadd(f"z{draw.randrange(3)}", {f"m{i}": draw.random()})
            client.xadd(f"x{draw.randrange(2)}", {"f": i})
        client.set("dies", 1, px=1)
        client.incr("counter")
        client.spop("set0")
        client.execute_command("MULTI")
        client.execute_command("INCR", "counter")
        client.execute_command("EXPIRE", "counter", 1000)
        client.execute_command("EXEC")
    client.execute_command("SELECT", 0)


REAL = find_servers()
READS_OUR_SNAPSHOTS = [program for program in REAL if program.kind == "valkey" or program.version >= (7, 2)]


@pytest.fixture(params=REAL, ids=str)
def real(request):
    return request.param


@pytest.fixture(params=READS_OUR_SNAPSHOTS, ids=str)
def real_replica(request):
    return request.param


def test_real_servers_were_found():
    if not READS_OUR_SNAPSHOTS:
        missing("a real server that reads version 11 of RDB")


@pytest.mark.parametrize("diskless", ["yes", "no"])
@pytest.mark.parametrize("load", ["disabled", "swapdb", "on-empty-db"])
def test_our_replica_of_a_real_master(real, diskless, load):
    with servers(real, OURS, arguments=("--repl-diskless-sync", diskless)) as (master, replica):
        replica.client.config_set("repl-diskless-load", load)
        fill(master)
        replica.client.set("old", 1)
        if load == "on-empty-db":
            replica.client.flushall()
        replica.follow(master.port)
        fill(master, 2)
        settle(master, replica)
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == (1, 0)
        assert replica.client.role()[0] == b"slave"


def test_old_data_is_read_while_a_real_master_sends_new(real):
    slow = ("--repl-diskless-sync", "yes", "--rdbcompression", "no", "--repl-diskless-load", "swapdb")
    with servers(real, OURS, arguments=slow) as (master, replica):
        for number in range(200):
            master.client.set(f"key{number}", b"x" * 20_000)
        replica.follow(master.port)
        settle(master, replica)
        master.client.config_set("rdb-key-save-delay", 50_000)
        # While the replica is away, more comes than the backlog holds: of the same history it gets all anew.
        away = master.client.pipeline()
        away.execute_command("CLIENT", "KILL", "TYPE", "replica")
        away.config_set("repl-backlog-size", 16384)
        for number in range(10):
            away.set(f"key{number}", b"y" * 16384)
        away.execute()
        wait_for(lambda: replica.client.info("persistence")["async_loading"] == 1, "the replica loads what comes")
        assert replica.client.get("key1") == b"x" * 20_000
        impatient = redis.Redis(port=replica.port, retry=Retry(NoBackoff(), 0))
        with impatient, pytest.raises(redis.BusyLoadingError):
            impatient.execute_command("REPLICAOF", "127.0.0.1", 1)
        assert replica.client.info("persistence")["loading"] == 0
        master.client.config_set("rdb-key-save-delay", 0)
        master.client.execute_command("CLIENT", "KILL", "TYPE", "replica")  # the rest would take long: once more
        settle(master, replica)
        assert replica.client.get("key1") == b"y" * 16384
        assert master.info("sync_full") == 3


@pytest.mark.parametrize("master_is", [OURS, *REAL], ids=str)
def test_the_old_sync_sends_a_sized_snapshot_and_the_stream(master_is):
    with servers(master_is) as (master,):
        master.client.set("key", "value")
        with (
            socket.create_connection(("127.0.0.1", master.port), timeout=PATIENCE_S) as sock,
            sock.makefile("rb") as stream,
        ):
            sock.sendall(b"SYNC\r\n")
            line = next(line for line in stream if line.strip())
            assert line[:1] == b"$"
            snapshot = stream.read(int(line[1:]))
            assert snapshot[:5] == b"REDIS" and b"value" in snapshot
            wait_for(lambda: (master.info("slave0") or {}).get("state") == "online", "it is attached")
            master.client.set("key", "other")
            expected = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"key", b"other"])
            sent = b""
            while len(sent) < len(expected):
                sent += (
                    stream.read1(1000).replace(encode_command([b"PING"]), b"").replace(encode_command([b"ping"]), b"")
                )
            assert sent == expected


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_real_replica_of_our_master(real_replica, diskless):
    with servers(OURS, real_replica, arguments=("--repl-diskless-sync", diskless)) as (master, replica):
        fill(master)
        replica.follow(master.port)
        fill(master, 2)
        settle(master, replica)
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == (1, 0)
        assert master.client.execute_command("WAIT", 1, 5000) == 1


def test_a_chain_of_ours_and_theirs_passes_the_same_bytes_on(real_replica):
    with servers(OURS, real_replica, OURS) as (first, second, third):
        second.follow(first.port)
        third.follow(second.port)
        wait_for(lambda: second.linked and third.linked, "the chain stands")
        fill(first)
        settle(first, second, third)
        assert first.info("master_replid") == third.info("master_replid")


@pytest.mark.parametrize("ours_is_master", [True, False])
def test_a_cut_link_is_continued_and_an_overrun_backlog_is_not(real_replica, ours_is_master):
    programs = (OURS, real_replica) if ours_is_master else (real_replica, OURS)
    with servers(*programs, arguments=("--repl-backlog-size", "16kb")) as (master, replica), proxy_to(master) as link:
        replica.follow(link.port)
        fill(master)
        settle(master, replica)
        link.cut()
        wait_for(lambda: not replica.linked, "the replica noticed the cut")
        master.client.set("during", "the cut")
        link.heal()
        settle(master, replica)
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == (1, 1)
        refused = master.info("sync_partial_err")
        link.cut()
        wait_for(lambda: not replica.linked, "the replica noticed the cut")
        for i in range(40):
            master.client.set(f"long{i}", "x" * 1000)
        link.heal()
        settle(master, replica)
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == (2, 1)
        assert master.info("sync_partial_err") == refused + 1


@pytest.mark.parametrize("ours_is_promoted", [True, False])
def test_the_others_go_on_with_a_promoted_replica(real_replica, ours_is_promoted):
    programs = (real_replica, OURS, real_replica) if ours_is_promoted else (OURS, real_replica, OURS)
    with servers(*programs) as (master, heir, other):
        heir.follow(master.port)
        other.follow(master.port)
        fill(master)
        settle(master, heir, other)
        history = heir.info("master_replid")
        master.kill()
        heir.client.execute_command("REPLICAOF", "NO", "ONE")
        heir.client.set("after", "promotion")
        other.follow(heir.port)
        settle(heir, other)
        assert heir.info("sync_partial_ok") == 1
        assert heir.info("sync_full") == 0
        assert heir.info("master_replid2") == history
        assert other.info("master_replid") == heir.info("master_replid") != history


def test_a_password_on_the_way(real_replica):
    for programs in ((OURS, real_replica), (real_replica, OURS)):
        with servers(*programs) as (master, replica):
            master.client.config_set("requirepass", "secret")
            master.password = "secret"
            master.client.auth("secret")
            replica.follow(master.port)
            replica.client.config_set("masterauth", "wrong")
            wait_for(lambda r=replica: not r.linked, "a wrong password is refused")
            replica.client.config_set("masterauth", "secret")
            master.client.set("key", "value")
            wait_for(lambda m=master, r=replica: in_sync(m, r), "the right one is taken")
            assert replica.client.get("key") == b"value"


def test_a_restarted_replica_continues_from_its_snapshot(real):
    with servers(real, OURS) as (master, replica):
        replica.arguments += ["--replicaof", "127.0.0.1", str(master.port)]
        replica.follow(master.port)
        fill(master)
        settle(master, replica)
        replica.client.config_set("save", "3600 1")
        replica.stop()
        master.client.set("meanwhile", 1)
        replica.start()
        settle(master, replica)
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == (1, 1)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_restarted_master_is_continued_only_after_a_clean_end(real_replica, ending):
    with servers(OURS, real_replica) as (master, replica):
        replica.follow(master.port)
        fill(master)
        settle(master, replica)
        master.client.config_set("save", "3600 1")
        master.client.save()
        master.client.set("after", "the snapshot")
        settle(master, replica)
        getattr(master, ending)()
        master.start()
        settle(master, replica)
        clean = ending == "stop"
        assert (master.info("sync_full"), master.info("sync_partial_ok")) == ((0, 1) if clean else (1, 0))
        assert replica.client.exists("after") == clean


def test_failover_there_and_back(real_replica):
    with servers(OURS, real_replica) as (ours, theirs):
        theirs.follow(ours.port)
        fill(ours)
        settle(ours, theirs)
        ours.client.execute_command("FAILOVER", "TO", "127.0.0.1", theirs.port, "TIMEOUT", 10000)
        wait_for(lambda: ours.linked and theirs.info("role") == "master", "the roles have changed")
        theirs.client.set("written", "there")
        settle(theirs, ours)
        theirs.client.execute_command("FAILOVER")
        wait_for(lambda: theirs.linked and ours.info("role") == "master", "the roles have changed back")
        settle(ours, theirs)
        assert ours.info("sync_full") == 1  # the first one: a failover transfers nothing
