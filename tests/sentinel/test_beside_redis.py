"""A Sentinel beside Redis's own: the same commands, replies and files, and failovers that both take part in."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis.sentinel

from tests.replication.servers import OURS, servers, settle, wait_for
from tests.sentinel.live import NAME, LiveSentinel, all_follow, config_epoch, real_sentinel, sentinels, watch
from tests.share import share
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

NOBODY = 1  # a port where nobody listens


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[LiveSentinel, LiveSentinel]]:
    """Our Sentinel and a real one, which watch a master that nobody is."""
    lines = (f"sentinel monitor {NAME} 127.0.0.1 {NOBODY} 2", f"sentinel rename-command {NAME} CONFIG guarded")
    with sentinels(None, real_sentinel(7, 2), lines=lines) as (ours, real):
        yield ours, real


def normal(reply: Any) -> Any:
    """Return a reply without what differs from process to process."""
    if isinstance(reply, list):
        return [normal(each) for each in reply]
    return re.sub(r"[0-9a-f]{40}", "<ID>", reply) if isinstance(reply, str) else reply


REQUESTS = """
SENTINEL
SENTINEL nothing
SENTINEL HELP
SENTINEL HELP x
SENTINEL MYID
SENTINEL MYID x
SENTINEL MASTERS x
SENTINEL MASTER
SENTINEL MASTER nobody
SENTINEL REPLICAS nobody
SENTINEL REPLICAS mymaster
SENTINEL SLAVES mymaster
SENTINEL SENTINELS mymaster
SENTINEL SENTINELS nobody
SENTINEL GET-MASTER-ADDR-BY-NAME nobody
SENTINEL GET-MASTER-ADDR-BY-NAME mymaster
SENTINEL CKQUORUM mymaster
SENTINEL CKQUORUM nobody
SENTINEL FAILOVER mymaster
SENTINEL FAILOVER nobody
SENTINEL PENDING-SCRIPTS
SENTINEL RESET nobody
SENTINEL RESET my[
SENTINEL REMOVE nobody
SENTINEL FLUSHCONFIG
SENTINEL INFO-CACHE
SENTINEL INFO-CACHE nobody
SENTINEL SIMULATE-FAILURE
SENTINEL SIMULATE-FAILURE HELP
SENTINEL SIMULATE-FAILURE x
SENTINEL SIMULATE-FAILURE crash-after-promotion help
SENTINEL DEBUG
SENTINEL DEBUG info-period
SENTINEL DEBUG info-period 0
SENTINEL DEBUG info-period x
SENTINEL DEBUG nothing 1
SENTINEL DEBUG info-period 9000 PING-PERIOD 900
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 x *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 2 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 3 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 3 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
SENTINEL MONITOR a 127.0.0.1 1 0
SENTINEL MONITOR a 127.0.0.1 1 x
SENTINEL MONITOR a 127.0.0.1 x 1
SENTINEL MONITOR a 127.0.0.1 70000 1
SENTINEL MONITOR a nohost 1 1
SENTINEL MONITOR mymaster 127.0.0.1 1 1
SENTINEL MONITOR other ::1 1 3
SENTINEL GET-MASTER-ADDR-BY-NAME other
SENTINEL CKQUORUM other
SENTINEL REMOVE other
SENTINEL SET nobody quorum 1
SENTINEL SET mymaster
SENTINEL SET mymaster quorum
SENTINEL SET mymaster quorum 0
SENTINEL SET mymaster quorum x
SENTINEL SET mymaster quorum 3 nothing 2
SENTINEL SET mymaster down-after-milliseconds -1
SENTINEL SET mymaster down-after-milliseconds 5000 failover-timeout 60000 parallel-syncs 2
SENTINEL SET mymaster rename-command INFO
SENTINEL SET mymaster rename-command INFO GREETING
SENTINEL SET mymaster notification-script /bin/true
SENTINEL SET mymaster client-reconfig-script /bin/true
SENTINEL SET mymaster auth-pass secret auth-user somebody
SENTINEL SET mymaster master-reboot-down-after-period -1
SENTINEL SET mymaster master-reboot-down-after-period 0
SENTINEL CONFIG
SENTINEL CONFIG x
SENTINEL CONFIG GET
SENTINEL CONFIG SET
SENTINEL CONFIG SET loglevel
SENTINEL CONFIG x y
SENTINEL CONFIG GET *
SENTINEL CONFIG GET announce-port announce-* nothing
SENTINEL CONFIG SET announce-port
SENTINEL CONFIG SET announce-port x
SENTINEL CONFIG SET announce-port 70000
SENTINEL CONFIG SET nothing 1
SENTINEL CONFIG SET loglevel loud
SENTINEL CONFIG SET resolve-hostnames maybe
SENTINEL CONFIG SET announce-port 1 announce-port 2
SENTINEL CONFIG SET announce-port 1 announce-ip
SENTINEL CONFIG SET announce-ip 10.0.0.1 announce-port 1234
SENTINEL CONFIG GET announce-port announce-ip
SENTINEL CONFIG SET announce-ip 127.0.0.1 announce-port 0
PUBLISH other x
PUBLISH __sentinel__:hello x
PUBLISH __sentinel__:hello 127.0.0.1,1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,3,nobody,127.0.0.1,1,0
ROLE
ROLE x
PING
PING x
SET a b
MULTI
CONFIG GET port
CLIENT NO-TOUCH on
CLIENT GETNAME
CLIENT nothing
COMMAND COUNT
COMMAND DOCS get
COMMAND INFO get
COMMAND INFO ping sentinel|myid client|kill nothing
ACL WHOAMI
ACL CAT
ACL SETUSER a +get
ACL SETUSER a +client|no-touch
ACL SETUSER a +sentinel|myid
ACL GETUSER a
ACL DELUSER a
SHUTDOWN ABORT
SHUTDOWN SAVE NOSAVE
HELLO 4
QUIT
""".strip().split("\n")


def test_the_same_replies_to_the_same_requests(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    wrong = {}
    for request in REQUESTS:
        replies = [normal(sentinel.ask(*request.split(" "))) for sentinel in pair]
        if replies[0] != replies[1]:
            wrong[request] = replies
    assert not wrong


def described(command: Any) -> Any:
    """Return an entry of COMMAND INFO with its subcommands and its sets in an order of their own."""
    if not isinstance(command, list) or len(command) < 10:
        return command
    flags, categories, subcommands = sorted(command[2]), sorted(command[6]), sorted(map(described, command[9]))
    return [*command[:2], flags, *command[3:6], categories, *command[7:9], subcommands]


def test_the_same_commands(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    ours, real = pair
    assert sorted(ours.ask("COMMAND", "LIST")) == sorted(real.ask("COMMAND", "LIST"))
    assert len(ours.ask("COMMAND", "LIST")) >= 73
    assert {c[0]: described(c) for c in ours.ask("COMMAND")} == {c[0]: described(c) for c in real.ask("COMMAND")}


def plain(docs: Any) -> Any:
    """Return COMMAND DOCS as dicts, without what is our own text."""
    if not isinstance(docs, list):
        return docs
    if docs and isinstance(docs[0], str) and not len(docs) % 2:
        pairs = {key: plain(value) for key, value in zip(docs[::2], docs[1::2], strict=True)}
        pairs.pop("summary", None)
        return pairs
    return [plain(each) for each in docs]


def test_the_same_docs_of_sentinel(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    ours, real = (plain(sentinel.ask("COMMAND", "DOCS", "sentinel")) for sentinel in pair)
    assert ours == real


def fields(info: str) -> list[str]:
    return [line.partition(":")[0] for line in info.split("\n")]


@pytest.mark.parametrize("sections", [(), ("all",), ("everything",), ("default",), ("sentinel",), ("cpu", "memory")])
def test_the_same_fields_of_info(pair: tuple[LiveSentinel, LiveSentinel], sections: tuple[str, ...]) -> None:
    ours, real = (fields(sentinel.ask("INFO", *sections)) for sentinel in pair)
    assert ours == real


def test_the_same_fields_of_a_master(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    ours, real = (sentinel.ask("SENTINEL", "MASTER", NAME) for sentinel in pair)
    assert ours[::2] == real[::2]
    assert ours[:10] == real[:10]


def test_the_same_file_after_a_rewrite(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    files = []
    for sentinel in pair:
        assert sentinel.ask("SENTINEL", "FLUSHCONFIG") == "OK"
        text = normal(sentinel.file.read_text()).replace(str(sentinel.folder), "<folder>")
        head, signature, rest = text.replace(str(sentinel.port), "<port>").partition(
            "# Generated by CONFIG REWRITE\n"
        )
        files.append((head, signature, sorted(rest.splitlines())))  # Redis appends in no certain order
    assert files[0] == files[1]


def test_hello_names_no_role(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    for sentinel in pair:
        reply = sentinel.ask("HELLO", "2")
        assert reply[::2] == ["server", "version", "proto", "id", "mode", "modules"]
        assert reply[9] == "sentinel"


@pytest.mark.parametrize("ours", share([1, 2], 2))
def test_ours_and_real_ones_fail_over_together(ours: int) -> None:
    real = real_sentinel()
    kinds = [None] * ours + [real] * (3 - ours)
    with servers(OURS, OURS, OURS) as (master, *replicas):
        for replica in replicas:
            replica.follow(master.port)
        settle(master, *replicas)
        with sentinels(*kinds, lines=watch(master.port, 2)) as group:
            for each in group:
                wait_for(
                    lambda each=each: (
                        len(each.client.sentinel_sentinels(NAME)) == 2 and len(each.client.sentinel_slaves(NAME)) == 2
                    ),
                    "all have found each other",
                )
            master.kill()
            wait_for(lambda: {each.master_port() for each in group} != {master.port}, "one has failed over")
            wait_for(lambda: len({each.master_port() for each in group}) == 1, "all agree")
            # On a busy machine a new master may be failed over, too: what counts is whom the Sentinels name now.
            wait_for(lambda: all_follow(group, replicas), "the replicas follow the new master")
            wait_for(lambda: len({config_epoch(each) for each in group}) == 1, "all have the same epoch")
            master.start()
            wait_for(lambda: all_follow(group, [master, *replicas]), "the old master follows")


def test_the_same_events_to_subscribers(pair: tuple[LiveSentinel, LiveSentinel]) -> None:
    told = []
    for sentinel in pair:
        with sentinel.client.pubsub() as pubsub:
            pubsub.psubscribe("*")
            wait_for(lambda pubsub=pubsub: pubsub.get_message() is not None, "it has subscribed")
            for words in (
                ("MONITOR", "another", "10.1.1.1", "6379", "3"),
                ("SET", "another", "quorum", "2", "auth-pass", "secret", "rename-command", "GET", "fetch"),
                ("RESET", "another"),
                ("REMOVE", "another"),
            ):
                assert sentinel.ask("SENTINEL", *words) in ("OK", 1)
            messages: list[tuple[str, str]] = []
            while not messages or messages[-1][0] != "-monitor":
                message = pubsub.get_message(timeout=PATIENCE_S)
                assert message is not None
                messages.append((message["channel"], message["data"]))
            told.append([each for each in messages if "another" in each[1]])
    assert told[0] == told[1]
    assert [channel for channel, _ in told[0]] == ["+monitor", *["+set"] * 3, "+reset-master", "-monitor"]


def test_a_client_that_asks_sentinel_finds_the_new_master() -> None:
    with servers(OURS, OURS) as (master, replica):
        replica.follow(master.port)
        settle(master, replica)
        with sentinels(None, lines=watch(master.port, 1)) as (sentinel,):
            wait_for(lambda: len(sentinel.client.sentinel_slaves(NAME)) == 1, "it has found the replica")
            manager = redis.sentinel.Sentinel([("127.0.0.1", sentinel.port)], socket_timeout=PATIENCE_S)
            assert manager.discover_master(NAME) == ("127.0.0.1", master.port)
            wait_for(lambda: manager.discover_slaves(NAME) == [("127.0.0.1", replica.port)], "the replica is usable")
            client = manager.master_for(NAME)
            client.set("key", "before")
            settle(master, replica)
            master.kill()
            wait_for(lambda: manager.discover_master(NAME) == ("127.0.0.1", replica.port), "another is the master")
            assert client.get("key") == b"before"
            client.set("key", "after")
            assert replica.client.get("key") == b"after"
