"""The redis client for Python against our server, as people use it: sync and asyncio, RESP2 and RESP3."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
import redis.connection
from redis._parsers import _RESP2Parser, _RESP3Parser

from tests.clients.ours import Served, serve
from tests.waiting import PATIENCE_S

PROTOCOLS = [2, 3]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


PARSERS = {
    "RESP2": (2, None),
    "RESP3": (3, None),
    "RESP2, plain": (2, _RESP2Parser),
    "RESP3, plain": (3, _RESP3Parser),
}


@pytest.fixture(params=PARSERS.values(), ids=PARSERS.keys())
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client that reads with hiredis, or with the parser in Python that it has besides."""
    protocol, parser = request.param
    pool = redis.ConnectionPool(
        port=served.port,
        protocol=protocol,
        decode_responses=True,
        parser_class=parser or redis.connection.DefaultParser,
    )
    with redis.Redis(connection_pool=pool) as connected:
        connected.flushall()
        yield connected


def test_values(client):
    assert client.set("a", "1", ex=100) is True
    assert client.get("a") == "1" and 95 < client.ttl("a") <= 100
    assert client.set("a", "2", nx=True) is None
    assert client.incr("a", 41) == 42
    assert client.mset({"b": "x", "c": "y"}) is True and client.mget("a", "b", "none") == ["42", "x", None]
    assert client.hset("h", mapping={"f": 1, "g": "two"}) == 2
    assert client.hgetall("h") == {"f": "1", "g": "two"}
    assert client.rpush("l", *"abc") == 3 and client.lrange("l", 0, -1) == list("abc")
    assert client.sadd("s", *"abc") == 3 and client.smembers("s") == set("abc")
    assert client.zadd("z", {"one": 1, "half": 0.5}) == 2
    assert [tuple(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [("half", 0.5), ("one", 1.0)]
    assert client.zscore("z", "half") == 0.5
    assert client.type("z") == "zset" and client.exists("a", "b", "none") == 2
    assert client.pfadd("hll", *"abc") and client.pfcount("hll") == 3
    assert client.geoadd("g", (13.361389, 38.115556, "Palermo")) == 1
    assert client.setbit("bits", 7, 1) == 0 and client.bitcount("bits") == 1
    assert client.delete("a", "b") == 2


def test_errors(client):
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("text", "y")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr("text")
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH'"):
        client.execute_command("NOSUCH", "a")


def test_pipeline(client):
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.rpush("l", number)
        assert pipe.execute()[-1] == 1000
    with client.pipeline() as pipe:
        pipe.set("a", 1).incr("a").lpush("a", "wrong")
        assert pipe.execute(raise_on_error=False)[:2] == [True, 2]


def test_watch(client, served):
    with client.pipeline() as pipe:
        pipe.watch("a")
        pipe.multi()
        pipe.set("a", "mine")
        with redis.Redis(port=served.port) as other:
            other.set("a", "theirs")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.transaction(lambda pipe: pipe.multi() or pipe.set("a", "again"), "a") == [True]


def test_publish_and_subscribe(client):
    with client.pubsub() as listener:
        listener.subscribe("news")
        listener.psubscribe("n*")
        assert [listener.get_message(timeout=PATIENCE_S)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
        assert client.publish("news", "hello") == 2
        told = [listener.get_message(timeout=PATIENCE_S) for _ in range(2)]
        assert {(message["type"], message["data"]) for message in told} == {
            ("message", "hello"),
            ("pmessage", "hello"),
        }
        assert client.pubsub_numsub("news") == [("news", 1)]


def test_blocking(client, served):
    ready = threading.Event()

    def push() -> None:
        with redis.Redis(port=served.port) as other:
            ready.wait(PATIENCE_S)
            while not any(found["flags"] == "b" for found in other.client_list()):
                pass
            other.lpush("queue", "job")

    thread = threading.Thread(target=push)
    thread.start()
    ready.set()
    assert client.blpop("queue", timeout=10) in (("queue", "job"), ["queue", "job"])
    thread.join()
    assert client.blpop("queue", timeout=0.01) is None


def test_scanning(client):
    client.mset({f"key:{number}": number for number in range(500)})
    assert set(client.scan_iter("key:*", count=50)) == {f"key:{number}" for number in range(500)}
    client.hset("h", mapping={f"f{number}": number for number in range(300)})
    assert dict(client.hscan_iter("h")) == {f"f{number}": str(number) for number in range(300)}
    client.sadd("s", *range(600))
    assert {int(member) for member in client.sscan_iter("s")} == set(range(600))


def test_introspection(client):
    assert client.info("server")["redis_version"].startswith("7.2.")
    assert client.config_get("maxmemory") == {"maxmemory": "0"}
    assert client.client_setname("tester") and client.client_getname() == "tester"
    assert client.command_count() > 200 and "get" in {name.lower() for name in client.command()}
    assert client.memory_usage("none") is None
    assert client.acl_whoami() == "default"
    assert client.dbsize() == 0 and client.time()[0] > 10**9


def test_lock(client):
    if "evalsha" not in client.command():
        pytest.skip("the client's locks are scripts")
    with client.lock("lock", timeout=10) as held:
        assert held.owned()
        assert not client.lock("lock", blocking=False).acquire()
    assert not client.exists("lock")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_asyncio(served, protocol):
    async def talk() -> None:
        async with redis.asyncio.Redis(port=served.port, protocol=protocol, decode_responses=True) as client:
            await client.flushall()
            assert await client.set("a", "1")
            async with client.pipeline(transaction=True) as pipe:
                assert await pipe.incr("a").get("a").execute() == [2, "2"]
            await asyncio.gather(*(client.incr("many") for _ in range(50)))
            assert await client.get("many") == "50"
            async with client.pubsub() as listener:
                await listener.subscribe("news")
                assert (await listener.get_message(timeout=PATIENCE_S))["type"] == "subscribe"
                await client.publish("news", "hello")
                assert (await listener.get_message(timeout=PATIENCE_S))["data"] == "hello"
            waiting = asyncio.create_task(client.blpop("queue", timeout=10))
            await asyncio.sleep(0)
            await client.rpush("queue", "job")
            assert list(await waiting) == ["queue", "job"]
            assert [key async for key in client.scan_iter("man*")] == ["many"]

    asyncio.run(talk())
