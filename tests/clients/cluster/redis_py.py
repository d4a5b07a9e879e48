"""How redis-py uses a cluster; see `tests/clients/test_cluster.py`."""

import sys
import time

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

TAGGED = {"{user:7}:name": "Ada", "{user:7}:cart": "3"}


def wait_for_parent(what: str) -> None:
    print(what, flush=True)
    sys.stdin.readline()


nodes = [ClusterNode("127.0.0.1", int(port)) for port in sys.argv[1:]]
client = RedisCluster(startup_nodes=nodes, decode_responses=True, socket_timeout=5)
print("masters", len(client.get_primaries()))
for key in ("foo", "hello", "name"):
    print("set", key, client.set(key, "before"), client.keyslot(key), client.get(key))
try:
    client.mset({"foo": 1, "hello": 2})
except (RedisError, RedisClusterException) as error:
    print("two slots:", error)
try:
    client.eval("return redis.call('MGET', KEYS[1], KEYS[2])", 2, "foo", "hello")
except (RedisError, RedisClusterException) as error:
    print("script:", error)
print("one slot", client.mset(TAGGED), client.mget(list(TAGGED)))
print("not atomic", client.mget_nonatomic("foo", "hello", "name"))
print("pipeline", client.pipeline().set("foo", 1).incr("hello:count").get("foo").execute())
transaction = client.pipeline(transaction=True)
print("transaction", transaction.incr("{user:7}:cart").get("{user:7}:name").execute())
print("keys", sorted(client.scan_iter()), client.dbsize())
print("script", client.eval("return redis.call('GET', KEYS[1])", 1, "name"))
shards = client.execute_command("CLUSTER SHARDS", target_nodes=RedisCluster.RANDOM)
print("shards", sorted(len(shard["nodes"]) for shard in shards))
subscriber = client.pubsub()
subscriber.ssubscribe("news")
print("subscribed", subscriber.get_sharded_message(timeout=5)["type"])
print("published", client.spublish("news", "today"), subscriber.get_sharded_message(timeout=5)["data"])
subscriber.close()
wait_for_parent("MOVE")
print("moved", client.get("hello"), client.set("hello", "elsewhere"), client.get("hello"))
wait_for_parent("KILL")
while True:
    try:
        if client.set("name", "after"):
            break
    except (RedisError, RedisClusterException):
        time.sleep(0.1)
print("replaced", client.get("name"), client.get("foo"))
