"""redis-benchmark in a lesson's shell: real clients that send a command again and again, and what they measured.

The options and the output are those of the program in Redis 7.2, cut down. A test ends after two seconds, whatever
`-n` asks for: a lesson's server takes two thousand requests in that time, and the learner waits.
"""

import contextlib
import random
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.protocol.errors import ReplyError
from engine.protocol.resp import encode_command
from tutor.client import Connection, LinkError
from tutor.prompt.replies import INCOMPLETE

TEST_SECONDS = 2.0
ALL_SECONDS = 8.0  # after which no further test begins
MOST_CLIENTS, MOST_PIPELINED, MOST_BYTES = 100, 1000, 100_000
RANDOM = b"__rand_int__"
NUMBERS = {"-c": "clients", "-n": "requests", "-d": "size", "-P": "pipelined", "-r": "keys", "--dbnum": "db"}
WITH_VALUE = ("-h", "-p", "-a", "-t", *NUMBERS)
FLAGS = {"-q": "quiet", "--csv": "csv"}
TESTS: dict[str, tuple[str, str]] = {  # what -t names → the title, and the command; DATA is the value
    "ping_inline": ("PING_INLINE", "PING"),
    "ping_mbulk": ("PING_MBULK", "PING"),
    "set": ("SET", "SET key:__rand_int__ DATA"),
    "get": ("GET", "GET key:__rand_int__"),
    "incr": ("INCR", "INCR counter:__rand_int__"),
    "lpush": ("LPUSH", "LPUSH mylist DATA"),
    "rpush": ("RPUSH", "RPUSH mylist DATA"),
    "lpop": ("LPOP", "LPOP mylist"),
    "rpop": ("RPOP", "RPOP mylist"),
    "sadd": ("SADD", "SADD myset element:__rand_int__"),
    "hset": ("HSET", "HSET myhash element:__rand_int__ DATA"),
    "spop": ("SPOP", "SPOP myset"),
    "zadd": ("ZADD", "ZADD myzset 0 element:__rand_int__"),
    "zpopmin": ("ZPOPMIN", "ZPOPMIN myzset"),
    "lrange_100": ("LRANGE_100 (first 100 elements)", "LRANGE mylist 0 99"),
    "mset": ("MSET (10 keys)", "MSET" + " key:__rand_int__ DATA" * 10),
    "xadd": ("XADD", "XADD mystream * myfield DATA"),
}
GROUPS = {"ping": ("ping_inline", "ping_mbulk"), "lrange": ("lrange_100",)}


class BadOptionsError(ValueError):
    """The options cannot be used; the text says why."""


@dataclass(slots=True)
class Benchmark:
    """What is asked for."""

    host: str = "127.0.0.1"
    port: str = "6379"
    password: str = ""
    clients: int = 50
    requests: int = 100_000
    size: int = 3
    pipelined: int = 1
    keys: int = 0
    db: int = 0
    quiet: bool = False
    csv: bool = False
    tests: tuple[str, ...] = tuple(TESTS)
    command: tuple[str, ...] = ()

    def titled(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield the title and the command of each test."""
        if self.command:
            yield " ".join(self.command), [word.encode(errors="surrogateescape") for word in self.command]
            return
        data = b"x" * self.size
        for title, line in (TESTS[name] for name in TESTS if name in self.tests):
            yield title, [data if word == "DATA" else word.encode() for word in line.split()]


def parse(words: Sequence[str]) -> Benchmark:
    """Read the arguments. Raises BadOptionsError."""
    asked, todo = Benchmark(), list(words)
    while todo and todo[0].startswith("-"):
        word = todo.pop(0)
        if word in FLAGS:
            setattr(asked, FLAGS[word], True)
        elif not todo or word not in WITH_VALUE:
            raise BadOptionsError(f'Invalid option "{word}" or option argument missing')
        elif word in NUMBERS:
            if not (value := todo.pop(0)).isdigit() or len(value) > 12:
                raise BadOptionsError(f"{word} takes a number, not {value!r}")
            setattr(asked, NUMBERS[word], int(value))
        elif word == "-t":
            asked.tests = _tests(todo.pop(0))
        else:
            setattr(asked, {"-h": "host", "-p": "port", "-a": "password"}[word], todo.pop(0))
    asked.command = tuple(todo)
    for option, most in (("-c", MOST_CLIENTS), ("-P", MOST_PIPELINED), ("-d", MOST_BYTES)):
        if not 1 <= getattr(asked, NUMBERS[option]) <= most:
            raise BadOptionsError(f"In this small shell, {option} is a number from 1 to {most}")
    if not asked.requests:
        raise BadOptionsError("-n takes a number of requests, at least 1")
    return asked


def _tests(text: str) -> tuple[str, ...]:
    names = [name for each in text.lower().split(",") for name in GROUPS.get(each, (each,))]
    if unknown := [name for name in names if name not in TESTS]:
        raise BadOptionsError(f"There is no test {unknown[0]!r}. The tests: {', '.join(TESTS)}")
    return tuple(names)


@dataclass(slots=True)
class Measured:
    """What one test measured."""

    seconds: float = 0.0
    waits_ms: list[float] = field(default_factory=list)  # of each reply, sorted at the end

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.waits_ms) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return the time that this share of the replies did not exceed."""
        return self.waits_ms[min(len(self.waits_ms) - 1, int(len(self.waits_ms) * share))] if self.waits_ms else 0.0


class _Client:
    """One client: it sends `pipelined` requests, waits for their replies, and sends the next."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent_at, self.left = 0.0, 0

    def replies(self) -> int:
        """Take what has arrived; return the number of replies. Raises LinkError."""
        self.connection.receive()
        count = 0
        while (reply := self.connection.buffered()) is not INCOMPLETE:
            if isinstance(reply, ReplyError):
                raise LinkError(f"Error from server: {reply.text.decode(errors='replace')}")
            count += 1
        return count


def _measure(asked: Benchmark, argv: list[bytes], connect: Callable[[], Connection]) -> Measured:
    """Run one test. Raises LinkError."""
    found = Measured()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        clients: list[_Client] = []
        for _ in range(min(asked.clients, asked.requests)):
            connection = connect()
            stack.callback(connection.close)
            clients.append(_Client(connection))
            selector.register(connection, selectors.EVENT_READ, clients[-1])
            for argv_before in _before(asked):
                reply = connection.call(*argv_before)
                if isinstance(reply, ReplyError):
                    raise LinkError(reply.text.decode(errors="replace"))
        unsent = asked.requests
        began = time.perf_counter()

        def send(client: _Client) -> None:
            nonlocal unsent
            client.left = min(asked.pipelined, unsent)
            unsent -= client.left
            if client.left:
                client.sent_at = time.perf_counter()
                client.connection.send_raw(
                    b"".join(encode_command(_filled(argv, asked.keys)) for _ in range(client.left))
                )

        for client in clients:
            send(client)
        while any(client.left for client in clients):
            for key, _ in selector.select():
                client = key.data
                count, now = client.replies(), time.perf_counter()
                found.waits_ms += [(now - client.sent_at) * 1000] * count
                client.left -= count
                if now - began > TEST_SECONDS:
                    unsent = 0
                if not client.left:
                    send(client)
        found.seconds = time.perf_counter() - began
    found.waits_ms.sort()
    return found


def _before(asked: Benchmark) -> Iterator[list[bytes | str | int]]:
    """Yield what a client sends before the time begins: with a reply, the server has taken its connection."""
    if asked.password:
        yield ["AUTH", asked.password]
    yield ["SELECT", asked.db]


def _filled(argv: list[bytes], keys: int) -> list[bytes]:
    """Return a command with random numbers in the places for them, if there are to be any."""
    if not keys:
        return argv
    return [word.replace(RANDOM, b"%012d" % random.randrange(keys)) for word in argv]


_COLUMNS = ("test", "rps", *(f"{name}_latency_ms" for name in ("avg", "min", "p50", "p95", "p99", "max")))
HEADINGS = ",".join(f'"{name}"' for name in _COLUMNS) + "\n"


def run(asked: Benchmark, connect: Callable[[], Connection]) -> str:
    """Run the tests and return what the program prints."""
    text, until = HEADINGS if asked.csv else "", time.perf_counter() + ALL_SECONDS
    for title, argv in asked.titled():
        if time.perf_counter() > until:
            return f"{text}(The other tests were left out: -t chooses tests.)\n"
        try:
            found = _measure(asked, argv, connect)
        except LinkError as error:
            return f"{text}{error}\n"
        done = len(found.waits_ms)
        text += _row(asked, title, found)
        if done < asked.requests and not asked.csv:
            text += f"(stopped after {TEST_SECONDS:.0f} seconds: {done} of {asked.requests} requests)\n"
    return text


def _row(asked: Benchmark, title: str, found: Measured) -> str:
    waits = found.waits_ms or [0.0]
    average = sum(waits) / len(waits)
    middle = [found.percentile(share) for share in (0.5, 0.95, 0.99)]
    if asked.csv:
        cells = [title, f"{found.rate:.2f}", *(f"{each:.3f}" for each in (average, waits[0], *middle, waits[-1]))]
        return ",".join(f'"{cell}"' for cell in cells) + "\n"
    if asked.quiet:
        return f"{title}: {found.rate:.2f} requests per second, p50={middle[0]:.3f} msec\n"
    numbers = "".join(f"{each:>10.3f}" for each in (average, waits[0], *middle, waits[-1]))
    return (
        f"====== {title} ======\n"
        f"  {len(found.waits_ms)} requests completed in {found.seconds:.2f} seconds\n"
        f"  {asked.clients} parallel clients\n"
        f"  {asked.size} bytes payload\n"
        "\nSummary:\n"
        f"  throughput summary: {found.rate:.2f} requests per second\n"
        "  latency summary (msec):\n"
        f"{'':4}{''.join(f'{name:>10}' for name in ('avg', 'min', 'p50', 'p95', 'p99', 'max'))}\n"
        f"{'':4}{numbers}\n"
    )
