"""A class in a real Redis or Valkey, so that several hubs can serve it: `--store redis://…`.

Redis 7.2 or later, alone, watched by Sentinels, or a Cluster:

    redis://[user:password@]host:port[/db]      rediss:// with TLS, unix://path for a socket
    redis+sentinel://[user:password@]host:port,host:port/SERVICE[/db]
    redis+cluster://[user:password@]host:port,host:port

All keys of a class have one hash tag, so they are in one slot and scripts can change several of them at once:

    redis-tutor:{NAME}:schema       the version of all this
                       next         the number of the learner added last
                       learners     hash: number -> JSON; codes: digest of a resume code -> number
                       tokens       hash: digest -> JSON
                       settings     hash: name -> JSON
                       last         hash: "LEARNER OUTBOX" -> number of the last record
                       records:N    stream: the records of learner N
                       changed, appended   counters that hubs look at: of the class, and of records
                       holders      hash: learner -> the hub that has the learner's terminal
                       hub:ID       exists while a hub runs; left:N  a hub has stored all of what N did there
                       present      sorted set: learners whose browser is connected, by the time when a hub said so

A record is acknowledged after WAITAOF says that it is on disk, where the server has an append-only file, and with
Sentinels or a Cluster after WAIT says that a replica has it, if one is connected. A record that is appended again has
a number that is not larger than the last one, and is left out.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from tutor.classroom.store import (
    VERSION,
    Everything,
    Learner,
    StoredRecord,
    StoreError,
    StoreNews,
    Tokens,
)

OLDEST = (7, 2)
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 8.0
DISK_MS = 5_000
REPLICA_MS = 2_000
AT_ONCE = 500  # records in a script
PRESENT_SECONDS = 20.0
LEFT_SECONDS = 60
RECHECK_SECONDS = 60.0

_APPEND = """
local fresh = {}
for at = 1, #ARGV, 6 do
  local stream, learner, field = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 1] .. ' ' .. ARGV[at + 2]
  if redis.call('HEXISTS', KEYS[3], learner) == 1 then
    local last = tonumber(redis.call('HGET', KEYS[1], field) or '0')
    if tonumber(ARGV[at + 3]) > last then
      redis.call('HSET', KEYS[1], field, ARGV[at + 3])
      fresh[stream] = redis.call('XADD', KEYS[stream], '*', 'source', ARGV[at + 2], 'n', ARGV[at + 3],
                                 'at', ARGV[at + 4], 'body', ARGV[at + 5])
    end
  end
end
local reply = {redis.call('INCR', KEYS[2])}
for stream = 4, #KEYS do reply[stream - 2] = fresh[stream] or '' end
return reply
"""
_ADD = """
local number = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[2], number, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], number)
return {number, redis.call('INCR', KEYS[4])}
"""
_OF_CODE = """
local number = redis.call('HGET', KEYS[1], ARGV[1])
if not number then return false end
local learner = cjson.decode(redis.call('HGET', KEYS[2], number))
if learner.joined == 0 then
  learner.joined = tonumber(ARGV[2])
  redis.call('HSET', KEYS[2], number, cjson.encode(learner))
  redis.call('INCR', KEYS[3])
end
return {number, redis.call('HGET', KEYS[2], number)}
"""
_FORGET = """
local learner = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
if learner then redis.call('HDEL', KEYS[2], cjson.decode(learner).code) end
redis.call('DEL', KEYS[3])
for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
  if string.sub(field, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then redis.call('HDEL', KEYS[4], field) end
end
local tokens = redis.call('HGETALL', KEYS[5])
for at = 1, #tokens, 2 do
  if tostring(cjson.decode(tokens[at + 1])[2]) == ARGV[1] then redis.call('HDEL', KEYS[5], tokens[at]) end
end
redis.call('HDEL', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
return redis.call('INCR', KEYS[8])
"""

T = TypeVar("T")
Client: TypeAlias = Any  # of redis-py, whose annotations unite the answers of all its clients


class RedisStore:
    """The store of one class. Its methods are those of `ClassStore`."""

    shared = True

    def __init__(self, url: str, name: str) -> None:
        """Connect. Raises StoreError."""
        self.where = without_password(url)
        self.notices: list[str] = []  # what is wrong with the server, but does not stop a class
        self._base = f"redis-tutor:{{{name}}}:"
        self._connect_to = connector(url)
        self._cluster: Client = None
        self._client: Client = None
        self._is_replicated = "+" in urlsplit(url).scheme
        self._has_aof = True
        self._looked = 0.0
        self._seen = {"changed": -1, "appended": -1}
        self._read_to: dict[int, str] = {}  # by learner: the ID of the last record that was read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="class-store")
        try:
            self._do(self._open).result()
        except StoreError:
            self._thread.shutdown()
            raise

    def _key(self, name: str) -> str:
        return self._base + name

    def _open(self, client: Client) -> None:
        info: dict[str, Any] = client.info("server")
        version = str(info.get("redis_version", "0"))
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            raise StoreError(f"{self.where} is version {version}; a class needs 7.2 or later")
        memory: dict[str, Any] = client.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            self.notices.append(
                f"{self.where} evicts keys when its memory is full ({memory['maxmemory_policy']}), results among them"
            )
        if not client.info("persistence").get("aof_enabled"):
            self.notices.append(
                f"{self.where} has no append-only file: what is saved may be lost when it ends (appendonly yes)"
            )
        found = client.get(self._key("schema"))
        if found is not None and int(found) > VERSION:
            raise StoreError(
                f"{self.where}: the class was written by a newer redis-tutor "
                f"(schema {int(found)}, this one knows {VERSION})."
            )
        client.set(self._key("schema"), VERSION, nx=True)

    def _do(self, function: Callable[[Client], T]) -> "Future[T]":
        """Run a function with a connection. The future raises StoreError."""

        def run() -> T:
            try:
                if self._client is None:
                    self._client, self._cluster = self._connect_to(self._base)
                return function(self._client)
            except (redis.RedisError, OSError) as error:
                self._drop()
                raise StoreError(f"{self.where}: {' '.join(str(error).split()) or type(error).__name__}") from error

        return self._thread.submit(run)

    def _drop(self) -> None:
        """Connect again the next time: the master may be another server by then."""
        for each in (self._client, self._cluster):
            if each is not None:
                with contextlib.suppress(redis.RedisError, OSError):
                    each.close()
        self._client = self._cluster = None

    def close(self) -> None:
        """Do what was asked for, and disconnect."""
        self._thread.submit(self._drop).result()
        self._thread.shutdown()

    def _changed(self, value: Any, counter: str = "changed") -> bool:
        """Take note of a change of our own; returns whether nobody else has changed anything before it."""
        alone = int(value) == self._seen[counter] + 1
        if alone:
            self._seen[counter] = int(value)
        return alone

    # -- learners

    def add_learner(self, name: str, code: str, roster: bool = False) -> "Future[Learner]":
        """See `ClassStore`."""

        def add(client: Client) -> Learner:
            now = time.time()
            joined = 0.0 if roster else now
            kept = {"name": name, "code": code, "roster": roster, "added": now, "joined": joined}
            keys = [self._key(each) for each in ("next", "learners", "codes", "changed")]
            number, changed = client.eval(_ADD, len(keys), *keys, json.dumps(kept), code)
            self._changed(changed)
            self._confirmed(client)
            return Learner(int(number), name, roster, joined)

        return self._do(add)

    def learners(self) -> "Future[list[Learner]]":
        """See `ClassStore`."""
        return self._do(self._learners)

    def _learners(self, client: Client) -> list[Learner]:
        rows = [(int(key), json.loads(value)) for key, value in client.hgetall(self._key("learners")).items()]
        return [
            Learner(number, row["name"], bool(row["roster"]), float(row["joined"])) for number, row in sorted(rows)
        ]

    def learner_of_code(self, code: str) -> "Future[Learner | None]":
        """See `ClassStore`."""

        def find(client: Client) -> Learner | None:
            keys = [self._key(each) for each in ("codes", "learners", "changed")]
            found: Any = client.eval(_OF_CODE, len(keys), *keys, code, repr(time.time()))
            if not found:
                return None
            row = json.loads(found[1])
            return Learner(int(found[0]), row["name"], bool(row["roster"]), float(row["joined"]))

        return self._do(find)

    def _edit(self, client: Client, learner: int, **values: Any) -> dict[str, Any] | None:
        """Change what is kept of a learner; returns what it was."""
        kept = client.hget(self._key("learners"), str(learner))
        if kept is None:
            return None
        row: dict[str, Any] = json.loads(kept)
        client.hset(self._key("learners"), str(learner), json.dumps(row | values))
        self._changed(client.incr(self._key("changed")))
        return row

    def change_code(self, learner: int, code: str) -> "Future[None]":
        """See `ClassStore`."""

        def change(client: Client) -> None:
            if (row := self._edit(client, learner, code=code)) is not None:
                client.hdel(self._key("codes"), row["code"])
                client.hset(self._key("codes"), code, str(learner))
            ended = [key for key, each in self._all_tokens(client).items() if each[1] == learner]
            self._revoke(client, ended)

        return self._do(change)

    def rename(self, learner: int, name: str) -> "Future[None]":
        """See `ClassStore`."""

        def rename(client: Client) -> None:
            self._edit(client, learner, name=name)

        return self._do(rename)

    def forget(self, learner: int) -> "Future[None]":
        """See `ClassStore`. The server's append-only file loses the learner when it is rewritten next."""

        def forget(client: Client) -> None:
            names = ("learners", "codes", f"records:{learner}", "last", "tokens", "holders", "present", "changed")
            keys = [self._key(each) for each in names]
            self._changed(client.eval(_FORGET, len(keys), *keys, str(learner)))
            self._read_to.pop(learner, None)
            with contextlib.suppress(redis.ResponseError):  # it is being rewritten, or this user may not
                if self._has_aof:
                    client.bgrewriteaof()

        return self._do(forget)

    # -- tokens

    def add_token(self, digest: str, kind: str, learner: int | None, ends: float) -> "Future[None]":
        """See `ClassStore`."""

        def add(client: Client) -> None:
            now = time.time()
            client.hset(self._key("tokens"), digest, json.dumps([kind, learner, ends]))
            self._changed(client.incr(self._key("changed")))
            self._revoke(client, [key for key, each in self._all_tokens(client).items() if each[2] < now])
            self._confirmed(client)

        return self._do(add)

    def _all_tokens(self, client: Client) -> Tokens:
        found = client.hgetall(self._key("tokens")).items()
        return {key.decode(): tuple(json.loads(value)) for key, value in found}

    def tokens(self) -> "Future[Tokens]":
        """See `ClassStore`."""
        return self._do(self._tokens)

    def _tokens(self, client: Client) -> Tokens:
        now = time.time()
        return {key: each for key, each in self._all_tokens(client).items() if each[2] >= now}

    def _revoke(self, client: Client, digests: Sequence[str]) -> None:
        if digests:
            client.hdel(self._key("tokens"), *digests)
            self._changed(client.incr(self._key("changed")))

    def revoke(self, digest: str) -> "Future[None]":
        """See `ClassStore`."""
        return self._do(lambda client: self._revoke(client, [digest]))

    def revoke_all(self, kinds: Sequence[str], but: str = "") -> "Future[None]":
        """See `ClassStore`."""

        def revoke(client: Client) -> None:
            tokens = self._all_tokens(client)
            self._revoke(client, [key for key, each in tokens.items() if each[0] in kinds and key != but])

        return self._do(revoke)

    # -- records

    def append(self, records: Iterable[StoredRecord]) -> "Future[None]":
        """See `ClassStore`."""
        rows = list(records)

        def append(client: Client) -> None:
            for at in range(0, len(rows), AT_ONCE):
                self._append(client, rows[at : at + AT_ONCE])

        return self._do(append)

    def _append(self, client: Client, rows: Sequence[StoredRecord]) -> None:
        learners = list(dict.fromkeys(each.learner for each in rows))
        keys = [self._key(each) for each in ("last", "appended", "learners")]
        place = {learner: len(keys) + at for at, learner in enumerate(learners, 1)}
        keys += [self._key(f"records:{learner}") for learner in learners]
        values: list[Any] = []
        for each in rows:
            values += [place[each.learner], each.learner, each.source, each.n, each.at, json.dumps(each.body)]
        reply: Any = client.eval(_APPEND, len(keys), *keys, *values)
        self._confirmed(client)
        if self._changed(reply[0], "appended"):  # nobody else has appended anything: these need not be read again
            for learner, last in zip(learners, reply[1:], strict=False):
                if last:
                    self._read_to[learner] = last.decode()

    def _confirmed(self, client: Client) -> None:
        """Wait until the server has on disk, and a replica has, what this connection wrote. Raises StoreError."""
        if not self._has_aof and time.monotonic() - self._looked > RECHECK_SECONDS:
            self._has_aof = True
        if self._has_aof:
            try:
                done: Any = client.execute_command("WAITAOF", 1, 0, DISK_MS)
            except redis.ResponseError as error:
                if "appendonly is disabled" not in str(error):
                    raise
                self._has_aof, self._looked = False, time.monotonic()
            else:
                if not done[0]:
                    raise StoreError(f"{self.where}: it has not written to its disk for {DISK_MS // 1000} s")
        if self._is_replicated and not client.wait(1, REPLICA_MS):
            replication: dict[str, Any] = client.info("replication")
            if replication.get("connected_slaves"):
                raise StoreError(f"{self.where}: no replica has confirmed for {REPLICA_MS // 1000} s")

    def records(self, learner: int | None = None) -> "Future[list[StoredRecord]]":
        """See `ClassStore`."""

        def read(client: Client) -> list[StoredRecord]:
            if learner is None:
                self._read_to.clear()
                return self._read_on(client, [each.id for each in self._learners(client)])
            rows: Any = client.xrange(self._key(f"records:{learner}"))
            return [_record(learner, fields) for _, fields in rows]

        return self._do(read)

    def _read_on(self, client: Client, learners: Sequence[int]) -> list[StoredRecord]:
        """Return the records after those that were read, in the order in which they arrived."""
        found: list[tuple[tuple[int, ...], StoredRecord]] = []
        numbers = {self._key(f"records:{each}").encode(): each for each in learners}
        while numbers:
            places: dict[Any, Any] = {key: self._read_to.get(number, "0") for key, number in numbers.items()}
            answer: Any = client.xread(places, count=1000)
            if not answer:
                break
            for key, rows in answer:
                for stamp, fields in rows:
                    self._read_to[numbers[key]] = stamp.decode()
                    found.append((tuple(map(int, stamp.split(b"-"))), _record(numbers[key], fields)))
        return [record for _, record in sorted(found, key=lambda each: each[0])]

    def last_numbers(self, learner: int | None = None) -> "Future[dict[tuple[int, str], int]]":
        """See `ClassStore`."""

        def read(client: Client) -> dict[tuple[int, str], int]:
            found = {}
            for field, value in client.hgetall(self._key("last")).items():
                number, _, source = field.decode().partition(" ")
                if learner is None or int(number) == learner:
                    found[int(number), source] = int(value)
            return found

        return self._do(read)

    # -- settings

    def setting(self, name: str) -> "Future[Any]":
        """See `ClassStore`."""

        def find(client: Client) -> Any:
            value = client.hget(self._key("settings"), name)
            return json.loads(value) if value is not None else None

        return self._do(find)

    def set(self, name: str, value: Any, first: bool = False) -> "Future[None]":
        """See `ClassStore`."""

        def keep(client: Client) -> None:
            write = client.hsetnx if first else client.hset
            write(self._key("settings"), name, json.dumps(value))
            self._changed(client.incr(self._key("changed")))

        return self._do(keep)

    # -- several hubs

    def news(self) -> "Future[StoreNews | None]":
        """See `ClassStore`."""

        def look(client: Client) -> StoreNews | None:
            values = client.mget([self._key(each) for each in self._seen])
            seen = {name: int(value or 0) for name, value in zip(self._seen, values, strict=True)}
            if seen == self._seen:
                return None
            self._seen = seen
            learners = self._learners(client)
            return StoreNews(
                learners,
                self._tokens(client),
                {name.decode(): json.loads(value) for name, value in client.hgetall(self._key("settings")).items()},
                self._read_on(client, [each.id for each in learners]),
                {int(number): hub.decode() for number, hub in client.hgetall(self._key("holders")).items()},
            )

        return self._do(look)

    def claim(self, learner: int, hub: str) -> "Future[str]":
        """Have a hub hold a learner's terminal; returns the hub that runs and held it before, or ""."""

        def claim(client: Client) -> str:
            held: Any = client.hget(self._key("holders"), str(learner))
            client.delete(self._key(f"left:{learner}"))
            client.hset(self._key("holders"), str(learner), hub)
            self._changed(client.incr(self._key("changed")))
            before = held.decode() if held else ""
            return before if before not in ("", hub) and client.exists(self._key(f"hub:{before}")) else ""

        return self._do(claim)

    def leave(self, learner: int) -> "Future[None]":
        """Say that all that a learner did at this hub is stored."""
        return self._do(lambda client: _nothing(client.set(self._key(f"left:{learner}"), 1, ex=LEFT_SECONDS)))

    def has_left(self, learner: int) -> "Future[bool]":
        """Return whether the hub that held a learner's terminal before has stored everything."""
        return self._do(lambda client: bool(client.exists(self._key(f"left:{learner}"))))

    def present(self, hub: str, learners: Sequence[int]) -> "Future[frozenset[int]]":
        """Say that a hub runs and whose browsers it is connected to; returns all who are, at any hub."""

        def say(client: Client) -> frozenset[int]:
            now = time.time()
            client.set(self._key(f"hub:{hub}"), 1, ex=int(PRESENT_SECONDS))
            if learners:
                client.zadd(self._key("present"), {str(each): now for each in learners})
            client.zremrangebyscore(self._key("present"), 0, now - PRESENT_SECONDS)
            return frozenset(int(each) for each in client.zrange(self._key("present"), 0, -1))

        return self._do(say)

    def end_hub(self, hub: str) -> "Future[None]":
        """Say that a hub has ended."""
        return self._do(lambda client: _nothing(client.delete(self._key(f"hub:{hub}"))))

    # -- moving a class

    def everything(self) -> "Future[Everything]":
        """See `ClassStore`."""

        def read(client: Client) -> Everything:
            learners = []
            for number, value in client.hgetall(self._key("learners")).items():
                row = json.loads(value)
                learners.append(
                    [int(number), row["name"], row["code"], bool(row["roster"]), row["added"], row["joined"]]
                )
            learners.sort()
            self._read_to.clear()
            records = self._read_on(client, [each[0] for each in learners])
            settings = client.hgetall(self._key("settings")).items()
            return Everything(
                learners,
                self._all_tokens(client),
                {name.decode(): json.loads(value) for name, value in settings},
                records,
            )

        return self._do(read)

    def fill(self, everything: Everything) -> "Future[None]":
        """See `ClassStore`."""

        def fill(client: Client) -> None:
            if client.exists(self._key("learners")):
                raise StoreError(f"{self.where} has a class of this name with learners already")
            for number, name, code, roster, added, joined in everything.learners:
                kept = {"name": name, "code": code, "roster": roster, "added": added, "joined": joined}
                client.hset(self._key("learners"), str(number), json.dumps(kept))
                client.hset(self._key("codes"), code, str(number))
                client.set(self._key("next"), number)
            for digest, token in everything.tokens.items():
                client.hset(self._key("tokens"), digest, json.dumps(token))
            for name, value in everything.settings.items():
                client.hset(self._key("settings"), name, json.dumps(value))
            for at in range(0, len(everything.records), AT_ONCE):
                self._append(client, everything.records[at : at + AT_ONCE])
            client.incr(self._key("changed"))
            self._confirmed(client)

        return self._do(fill)

    def clear(self) -> "Future[None]":
        """Remove the class from this store."""

        def clear(client: Client) -> None:
            names = ["schema", "next", "learners", "codes", "tokens", "settings", "last", "changed", "appended"]
            numbers = [each.id for each in self._learners(client)]
            names += ["holders", "present", *(f"{kind}:{each}" for kind in ("records", "left") for each in numbers)]
            client.delete(*(self._key(each) for each in names))

        return self._do(clear)


Connect = Callable[[str], tuple[Client, Client]]


def connector(url: str) -> Connect:
    """Return what connects to the address of a store. Raises StoreError for an address that is none."""
    parts = urlsplit(url)
    base, _, how = parts.scheme.partition("+")
    if base not in ("redis", "rediss", "unix") or how not in ("", "sentinel", "cluster") or (base == "unix" and how):
        raise StoreError(f"{without_password(url)} is not the address of a store, such as redis://host:6379")
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # the hub tries again by itself
        "protocol": 2,
    }
    if not how:
        try:
            redis.ConnectionPool.from_url(url, **options)
        except ValueError as error:
            raise StoreError(f"{without_password(url)}: {error}") from error
        return lambda key: (redis.Redis.from_url(url, single_connection_client=True, **options), None)
    login, _, hosts = parts.netloc.rpartition("@")
    places = []
    for each in hosts.split(","):
        host, _, port = each.rpartition(":")
        if not host or not port.isdigit():
            raise StoreError(f"{without_password(url)}: {each!r} is not host:port")
        places.append((host.strip("[]"), int(port)))
    user, _, password = login.partition(":")
    if login:
        options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    if base == "rediss":
        options["ssl"] = True
    path = [unquote(each) for each in parts.path.split("/") if each]
    if how == "sentinel":
        if not path or len(path) > 2 or (len(path) == 2 and not path[1].isdigit()):
            raise StoreError(
                f"{without_password(url)} needs the name of the master, and perhaps a database: …/NAME/0"
            )
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        watched: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": CONNECT_SECONDS}
        watched |= {"username": asked.get("sentinel_username"), "password": asked.get("sentinel_password")}
        if base == "rediss":
            watched["ssl"] = True
        options["db"] = int(path[1]) if len(path) == 2 else 0

        def by_sentinel(key: str) -> tuple[Client, Client]:
            watcher: Any = Sentinel
            sentinel = watcher(places, sentinel_kwargs=watched, **options)
            host, port = sentinel.discover_master(path[0])
            return redis.Redis(host=host, port=port, single_connection_client=True, **options), None

        return by_sentinel

    def by_cluster(key: str) -> tuple[Client, Client]:
        node_of: Any = ClusterNode
        nodes = [node_of(*each) for each in places]
        cluster: Client = RedisCluster(startup_nodes=nodes, **options)
        node = cluster.get_node_from_key(key)
        if node is None:
            raise redis.ConnectionError("no node of the cluster serves the class")
        return redis.Redis(host=node.host, port=node.port, single_connection_client=True, **options), cluster

    return by_cluster


def without_password(url: str) -> str:
    """Return an address as it can be shown."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{parts.scheme}://{user}{colon and ':***'}{at}{hosts}{parts.path}"


def _record(learner: int, fields: Any) -> StoredRecord:
    return StoredRecord(
        learner, fields[b"source"].decode(), int(fields[b"n"]), int(fields[b"at"]), json.loads(fields[b"body"])
    )


def _nothing(result: object) -> None:
    pass
