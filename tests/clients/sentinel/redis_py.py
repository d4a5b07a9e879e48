"""How redis-py finds its master through Sentinels; see `tests/clients/test_sentinel.py`."""

import sys
import time

from redis.exceptions import ReadOnlyError, RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

manager = Sentinel([("127.0.0.1", int(port)) for port in sys.argv[1:]], socket_timeout=5)
master, replica = manager.master_for("mymaster"), manager.slave_for("mymaster")
print("set", master.set("redis-py", "before"))
print("role", master.execute_command("ROLE")[0])
print("wait", master.wait(2, 60_000))
print("replica's role", replica.execute_command("ROLE")[0])
print("replica's value", replica.get("redis-py"))
try:
    replica.set("redis-py", "elsewhere")
except ReadOnlyError as error:
    print("refused:", error)
try:
    manager.discover_master("nobody")
except MasterNotFoundError as error:
    print("nobody's:", type(error).__name__)
print("nobody's replicas:", manager.discover_slaves("nobody"))
asked = manager.sentinels[0]  # it puts the one that answered first
state = asked.sentinel_master("mymaster")
print("state", {name: state[name] for name in ("name", "is_master", "is_sdown", "num-slaves", "quorum")})
print("peers", len(asked.sentinel_sentinels("mymaster")))
old = manager.discover_master("mymaster")
print("READY", flush=True)
sys.stdin.readline()
while True:
    try:
        if master.set("redis-py", "after") and manager.discover_master("mymaster") != old:
            break
    except RedisError:
        time.sleep(0.1)
print("moved", master.execute_command("ROLE")[0], master.get("redis-py"))
