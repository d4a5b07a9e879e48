"""Does memory come back? A server under a long mixed load, with a data set that keeps its size.

    python -m tests.soak [--minutes N] [--keys N] [--seed N]

The load: commands of every group, scripts, functions, pub/sub, transactions, blocked clients, tracking, connections
that come and go, requests in pieces, as fast as the server replies. Every ten seconds a line shows the resident
memory (RSS), `used_memory`, and how long the replies to a separate client's PINGs took. Like is compared with like:

- RSS with the data set loaded, the server idle: after the load it differs by less than a tenth from before;
- RSS after FLUSHALL: it is at most a fifth more than that of another server, which had no data set and one minute
  of the same load.

Ends with the verdict, and with exit status 1 when memory did not come back or a reply was not the expected one.
"""

import argparse
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from engine.protocol.resp import Argv, encode_command
from tests.benchmarks.__main__ import resident_bytes
from tests.clients.ours import Served, serve
from tests.inprocess import Parsed, parse

MB = 1_000_000
REPORT_S = 10.0
IDLE_S = 12.0  # an idle server gives memory back by and by
REFERENCE_MINUTES = 1.0
PROBE_S = 0.02
CLIENTS = 12
KEYS = 60_000
LOADED_MAX, FLUSHED_MAX = 1.10, 1.20

LIBRARY = """#!lua name=soak%d
redis.register_function('soaked%d', function(keys, args) return redis.call('GET', keys[1]) end)
"""
SCRIPTS = (
    "return redis.call('GET', KEYS[1])",
    "local t = {} for i = 1, 200 do t[i] = KEYS[1] .. i end return #table.concat(t)",
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.pcall('INCR', KEYS[1])['err'] ~= nil",
    "local t = {} for i = 1, 50 do t['f' .. i] = {i} end return cjson.encode(t)",
    "return redis.sha1hex(cmsgpack.pack({KEYS[1], ARGV[1]}))",
)


def words(text: str) -> Argv:
    return [word.encode() for word in text.split(" ")]


class Load:
    """Requests over keys `s:0` …, `l:0` … of each type, none of which changes how much the data set holds."""

    def __init__(self, keys: int, seed: int) -> None:
        self.keys = keys
        self.few = max(1, keys // 60)  # keys of each type that holds many elements
        self.random = random.Random(seed)
        self.number = 0

    def value(self) -> str:
        return "v" * self.random.randrange(20, 100)

    def library(self, number: int) -> bytes:
        """Return a library of one function; it differs each time."""
        return (LIBRARY % (number, number) + "-- " + self.value()).encode()

    # --- the data set -------------------------------------------------------------------------------------------

    def filling(self) -> Iterator[list[Argv]]:
        """Yield the requests that make the data set, some at a time."""
        for start in range(0, self.keys, 1000):
            yield [words(f"SET s:{n} {self.value()}") for n in range(start, min(start + 1000, self.keys))]
        for n in range(self.few):
            elements = range(30)
            yield [
                words(f"RPUSH l:{n} " + " ".join(self.value() for _ in elements)),
                words(f"HSET h:{n} " + " ".join(f"f{i} {self.value()}" for i in elements)),
                words(f"SADD t:{n} " + " ".join(f"member:{i}:{n}" for i in elements)),
                words(f"ZADD z:{n} " + " ".join(f"{i}.5 member:{i}" for i in elements)),
                words(f"GEOADD g:{n} " + " ".join(f"{i}.25 {i}.75 place:{i}" for i in elements)),
                words(f"PFADD p:{n} " + " ".join(f"seen:{i}" for i in elements)),
                words(f"SETBIT b:{n} 4000 1"),
                words(f"SET count:{n} 1000000"),
                # A node of a stream keeps up to a hundred entries, removed ones too, until the last of them goes.
                *[
                    words(f"XADD x:{n} MAXLEN 30 * field {self.value()}")
                    for _ in range(30 + self.random.randrange(100))
                ],
                words(f"XGROUP CREATE x:{n} readers $"),
            ]

    # --- the load -----------------------------------------------------------------------------------------------

    def requests(self) -> list[Argv]:
        """Return the requests of a client's next turn, of one group; together they leave everything as large."""
        self.number += 1
        group, least = self.GROUPS[self.number % len(self.GROUPS)]
        found: list[Argv] = []
        while len(found) < least:
            n, few = self.random.randrange(self.keys), self.random.randrange(self.few)
            found += [line if isinstance(line, list) else words(line) for line in group(self, n, few)]
        return found

    def strings(self, n: int, few: int) -> list[str | Argv]:
        other = (n + 7) % self.keys
        return [
            f"SET s:{n} {self.value()}",
            f"GET s:{other}",
            f"MGET s:{n} s:{other} s:nosuch",
            f"SETEX temporary:{n} 1 {self.value()}",
            f"INCR count:{few}",
            f"GETRANGE s:{n} 0 5",
            f"SET s:{n} {self.value()} KEEPTTL GET",
        ]

    def lists(self, n: int, few: int) -> list[str | Argv]:
        return [
            f"LPUSH l:{few} {self.value()} {self.value()}",
            f"RPOP l:{few} 2",
            f"LRANGE l:{few} 0 -1",
            f"LMOVE l:{few} l:{few} LEFT RIGHT",
            f"LSET l:{few} 3 {self.value()}",
            f"LPOS l:{few} nosuch",
        ]

    def hashes(self, n: int, few: int) -> list[str | Argv]:
        field = self.random.randrange(30)
        return [
            f"HSET h:{few} f{field} {self.value()}",
            f"HGETALL h:{few}",
            f"HINCRBY h:{few} counter 1",
            f"HDEL h:{few} counter",
            f"HRANDFIELD h:{few} 3 WITHVALUES",
            f"HSCAN h:{few} 0 COUNT 5",
        ]

    def sets(self, n: int, few: int) -> list[str | Argv]:
        return [
            f"SADD t:{few} new:{n}",
            f"SREM t:{few} new:{n}",
            f"SMEMBERS t:{few}",
            f"SINTER t:{few} t:{(few + 1) % self.few}",
            f"SUNIONSTORE temporary:t:{few} t:{few} t:{(few + 1) % self.few}",
            f"UNLINK temporary:t:{few}",
            f"SRANDMEMBER t:{few} -4",
        ]

    def sorted_sets(self, n: int, few: int) -> list[str | Argv]:
        score = self.random.random() * 30
        return [
            f"ZADD z:{few} {score:.6f} member:{n % 30}",
            f"ZRANGE z:{few} 0 -1 WITHSCORES",
            f"ZRANGEBYSCORE z:{few} ({score:.4f} +inf LIMIT 0 5",
            f"ZINCRBY z:{few} 0.125 member:{n % 30}",
            f"ZUNIONSTORE temporary:z:{few} 2 z:{few} z:{(few + 1) % self.few} WEIGHTS 2 3",
            f"ZPOPMIN temporary:z:{few} 100",
        ]

    def streams(self, n: int, few: int) -> list[str | Argv]:
        return [
            f"XADD x:{few} MAXLEN 30 * field {self.value()}",
            f"XREADGROUP GROUP readers consumer COUNT 5 STREAMS x:{few} >",
            f"XRANGE x:{few} - + COUNT 10",
            f"XGROUP SETID x:{few} readers $",
            f"XAUTOCLAIM x:{few} readers consumer 0 0 COUNT 1",
            f"XGROUP DELCONSUMER x:{few} readers consumer",
        ]

    def others(self, n: int, few: int) -> list[str | Argv]:
        return [
            f"GEOSEARCH g:{few} FROMLONLAT {n % 30}.5 {n % 30}.5 BYRADIUS 200 km ASC",
            f"GEOADD g:{few} {n % 30}.25 {n % 30}.75 place:{n % 30}",
            f"PFADD p:{few} seen:{n % 30}",
            f"PFCOUNT p:{few} p:{(few + 1) % self.few}",
            f"SETBIT b:{few} {n % 4000} 1",
            f"BITCOUNT b:{few}",
            f"BITFIELD b:{few} SET u8 16 {n % 256} GET u4 0",
        ]

    def keyspace(self, n: int, few: int) -> list[str | Argv]:
        return [
            f"COPY l:{few} temporary:copy:{few} REPLACE",
            f"RENAME temporary:copy:{few} temporary:moved:{few}",
            f"DEL temporary:moved:{few}",
            f"EXPIRE s:{n} 1000",
            f"PERSIST s:{n}",
            f"OBJECT ENCODING h:{few}",
            f"SCAN {n % 1000} COUNT 20",
            f"SORT l:{few} ALPHA LIMIT 0 3",
            f"DUMP h:{few}",
            f"MEMORY USAGE z:{few}",
        ]

    def transactions(self, n: int, few: int) -> list[str | Argv]:
        return ["WATCH s:1", "MULTI", f"SET s:{n} {self.value()}", f"LLEN l:{few}", "EXEC", "UNWATCH"]

    def scripts(self, n: int, few: int) -> list[str | Argv]:
        script = self.random.choice(SCRIPTS).encode()
        own = b"return %d" % self.random.randrange(10**9)  # kept by the server until it is flushed
        return [
            [b"EVAL", script, b"1", b"s:%d" % n, self.value().encode()],
            [b"EVAL", own, b"0"],
            f"FCALL soaked{few % 5} 1 s:{n}",
            *(["SCRIPT FLUSH ASYNC"] if not n % 50 else []),
        ]

    def functions(self, n: int, few: int) -> list[str | Argv]:
        return [[b"FUNCTION", b"LOAD", b"REPLACE", self.library(few % 5)], "FUNCTION LIST", "FUNCTION STATS"]

    def publishing(self, n: int, few: int) -> list[str | Argv]:
        return [f"PUBLISH channel:{n % 3} {self.value()}", f"SPUBLISH shard:{n} x", "PUBSUB CHANNELS *"]

    def administration(self, n: int, few: int) -> list[str | Argv]:
        return [
            "INFO everything",
            "CLIENT LIST",
            f"CONFIG SET slowlog-log-slower-than {1000 + n % 1000}",
            "CONFIG GET *max*",
            f"ACL SETUSER user:{few % 9} on >secret ~* +@all",
            f"ACL DELUSER user:{few % 9}",
            "SLOWLOG GET 10",
            "LATENCY HISTOGRAM",
            "COMMAND COUNT",
            f"CLIENT SETNAME client-{n}",
        ]

    # With how many requests of a group at least a client sends at once: few of those that look at everything.
    GROUPS: tuple[tuple[Callable[["Load", int, int], list[str | Argv]], int], ...] = (
        (strings, 50),
        (lists, 50),
        (hashes, 50),
        (sets, 50),
        (sorted_sets, 50),
        (streams, 50),
        (others, 50),
        (keyspace, 50),
        (transactions, 50),
        (scripts, 50),
        (publishing, 50),
        (administration, 1),
        (functions, 1),
    )


class Client:
    """A connection that sends requests and reads as many replies."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(60)
        self.received = b""
        self.waiting = 0

    def send(self, requests: list[Argv], pieces: int = 1) -> None:
        """Send requests, in so many writes."""
        data = b"".join(map(encode_command, requests))
        size = -(-len(data) // pieces)
        for at in range(0, len(data), size):
            self.sock.sendall(data[at : at + size])
        self.waiting += len(requests)

    def replies(self) -> list[Parsed]:
        """Read the replies to everything that was sent; pushes and messages are left out."""
        found: list[Parsed] = []
        at = 0
        while len(found) < self.waiting:
            parsed = parse(self.received, at)
            if parsed is None:
                more = self.sock.recv(1 << 18)
                if not more:
                    raise ConnectionError("the server has hung up")
                self.received, at = self.received[at:] + more, 0
                continue
            reply, at = parsed
            if not isinstance(reply, list) or reply[0] != b">":
                found.append(reply)
        self.received, self.waiting = self.received[at:], 0
        return found

    def call(self, *argv: bytes) -> Parsed:
        self.send([list(argv)])
        return self.replies()[0]

    def drain(self) -> None:
        """Throw away what was pushed."""
        self.sock.setblocking(False)
        try:
            while self.sock.recv(1 << 18):
                pass
        except BlockingIOError:
            pass
        self.sock.settimeout(60)

    def close(self) -> None:
        self.sock.close()


class Soak:
    """A server, the load on it, and what is measured."""

    def __init__(self, server: Served, load: Load) -> None:
        self.server = server
        self.load = load
        self.control = Client(server.port)
        self.latencies: list[float] = []
        self.errors: list[bytes] = []
        self.ended = threading.Event()

    def rss(self) -> int:
        """Return the resident memory, in bytes."""
        return resident_bytes(self.server.process.pid)

    def idle_rss(self) -> int:
        """Return the resident memory once the server has had some time to itself."""
        time.sleep(IDLE_S)
        return self.rss()

    def used_memory(self) -> int:
        text = self.control.call(b"INFO", b"memory")
        return int(text.partition(b"used_memory:")[2].split(b"\r\n")[0])

    def fill(self) -> None:
        """Make the data set."""
        for requests in self.load.filling():
            self.control.send(requests)
            self._check(self.control.replies())

    def define(self) -> None:
        """Load the functions that the load calls, and have both of the interpreters built."""
        self.control.call(b"EVAL", SCRIPTS[0].encode(), b"1", b"s:0")
        for number in range(5):
            self.control.call(b"FUNCTION", b"LOAD", b"REPLACE", self.load.library(number))

    def _check(self, replies: list[Parsed]) -> None:
        for reply in replies:
            if isinstance(reply, bytes) and reply.startswith(b"-") and len(self.errors) < 20:
                self.errors.append(reply)
            elif isinstance(reply, list):
                self._check(reply[1:])

    def probe(self) -> None:
        """Send a PING now and then, and note how long the reply takes."""
        client = Client(self.server.port)
        while not self.ended.wait(PROBE_S):
            started = time.perf_counter()
            client.call(b"PING")
            self.latencies.append(time.perf_counter() - started)
        client.close()

    def run(self, minutes: float) -> int:
        """Put the load on the server for so long; returns how many requests that were."""
        self.ended.clear()
        probing = threading.Thread(target=self.probe)
        probing.start()
        try:
            return self._run(minutes * 60)
        finally:
            self.ended.set()
            probing.join()

    def _run(self, seconds: float) -> int:
        done = 0
        started = time.monotonic()
        report = started + REPORT_S
        clients = [Client(self.server.port) for _ in range(CLIENTS)]
        listener, waiter, tracker = (Client(self.server.port) for _ in range(3))
        tracker.send([words("HELLO 3"), words("CLIENT TRACKING ON BCAST")])
        listener.send([words("PSUBSCRIBE channel:*"), words("SUBSCRIBE other")])
        chance = self.load.random
        while (now := time.monotonic()) < started + seconds:
            if now >= report:
                self._report(now - started, done)
                report += REPORT_S
            for client in clients:
                client.send(self.load.requests(), pieces=chance.choice((1, 1, 3)))
                done += client.waiting
            for client in clients:
                self._check(client.replies())
            waiter.send([words("BLPOP queue 10")])
            clients[0].send([words("RPUSH queue element")])
            clients[0].replies()
            waiter.replies()
            big = [b"SET", b"temporary:big", b"x" * chance.randrange(1 << 20)]
            clients[1].send([big, words("STRLEN temporary:big"), words("DEL temporary:big")], pieces=20)
            self._check(clients[1].replies())
            at = chance.randrange(len(clients))
            clients[at].close()
            clients[at] = Client(self.server.port)
            listener.send([words(f"SUBSCRIBE once:{done}"), words(f"UNSUBSCRIBE once:{done}")])
            listener.drain()
            tracker.drain()
        for client in (*clients, listener, waiter, tracker):
            client.close()
        return done

    def _report(self, seconds: float, done: int) -> None:
        taken, self.latencies = sorted(self.latencies) or [0.0], []
        p50, p99, worst = (taken[int((len(taken) - 1) * share)] * 1000 for share in (0.5, 0.99, 1))
        print(
            f"{seconds:6.0f} s  RSS {self.rss() / MB:7.1f} MB  used_memory {self.used_memory() / MB:7.1f} MB  "
            f"latency p50 {p50:6.2f}  p99 {p99:6.2f}  max {worst:6.2f} ms  {done} requests",
            flush=True,
        )

    def flush(self) -> None:
        for request in ("FLUSHALL", "SCRIPT FLUSH", "CONFIG RESETSTAT"):
            self.control.call(*words(request))


def reference(load: Load) -> int:
    """Return the resident memory of an empty server after a minute of the load, in bytes."""
    with serve() as server:
        soak = Soak(server, load)
        soak.define()
        print(f"an empty server, {REFERENCE_MINUTES:g} minute of the load:", flush=True)
        soak.run(REFERENCE_MINUTES)
        soak.flush()
        return soak.idle_rss()  # without the data set some replies are errors


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    empty = reference(Load(options.keys, options.seed))
    with serve() as server:
        load = Load(options.keys, options.seed)
        soak = Soak(server, load)
        soak.define()
        soak.fill()
        before = soak.idle_rss()
        print(f"a data set of {soak.used_memory() / MB:.1f} MB, {options.minutes:g} minutes of the load:", flush=True)
        done = soak.run(options.minutes)
        after = soak.idle_rss()
        soak.flush()
        flushed = soak.idle_rss()
    comes_back = after <= before * LOADED_MAX
    empties = flushed <= empty * FLUSHED_MAX
    print(f"{done} requests; RSS in MB, the server idle:")
    print(f"  with the data set   {before / MB:7.1f} before, {after / MB:7.1f} after: {after / before - 1:+.1%}")
    print(f"  after FLUSHALL      {flushed / MB:7.1f}; an empty server {empty / MB:7.1f}: {flushed / empty - 1:+.1%}")
    for error in soak.errors:
        print("  unexpected reply:", error.decode(errors="replace"))
    if soak.errors:
        print("FAILED: wrong replies")
    elif not (comes_back and empties):
        print("FAILED: memory does not come back")
    else:
        print("memory comes back")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
