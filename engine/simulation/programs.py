"""Client programs of the simulated world, as production has them. (`Application` is the one that writes.)

    reader      reads what a writer has written, and checks it: a read is stale if more was acknowledged before it
    producer    puts jobs into a queue (LPUSH)
    consumer    takes a job (LMOVE to a list of its own), does it until its next turn, and removes it (LREM); after a
                restart or a lost connection it first does again what it has in hand
    locker      takes a lock (SET NX PX), gets a fencing token (INCR), uses a storage that only the owner may use, and
                releases the lock if it is still its own (EVAL)

They connect as applications do: to a fixed address, or to the master that Sentinels name. What is wrong is noticed
(`trace.Noticed`) by looking at all programs of the world at once, as no real program can: whether two consumers did
one job, whether two lockers believe that they own a lock. The storage of a lock is not in Redis: it remembers the
highest token that it has seen, and refuses a lower one, unless the locker does not send its token ("unfenced").

https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
"""

from collections.abc import Iterator
from typing import Any

from engine.simulation.application import Application

READER, PRODUCER, CONSUMER, LOCKER = "reader", "producer", "consumer", "locker"
NOTICES = {
    "stale": "a read that lacks an acknowledged write",
    "back": "a read that is older than the one before",
    "twice": "a job that is done again",
    "owners": "a lock with two owners",
    "refused": "a use of the storage that its fencing refuses",
    "unowned": "a use of the storage by a locker that does not own the lock any more",
    "expired": "a lock that was not there any more when it was released",
}
RELEASE = b"if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
TTL_MS, WORK_MS = 3000, 1000


def all_programs(world: Any) -> Iterator[Any]:
    """Yield the programs of a world: first those that were removed, since what they did remains true."""
    yield from world.retired
    yield from world.applications.values()


class Reader(Application):
    """A program that reads the last number that a writer wrote, and compares it with what was acknowledged."""

    kind = READER

    def __init__(self, world: Any, name: str, ip: str, where: tuple[tuple[str, ...], str, str], period_us: int,
                 key: str) -> None:  # fmt: skip
        super().__init__(world, name, ip, *where, period_us)
        self.of = key
        self.expected = 0  # what had been acknowledged when it asked
        self.expected_us = 0
        self.last = 0
        self.reads_done = self.stale = self.back = 0
        self.is_stale = False

    def act(self) -> None:
        """Read."""
        for writer in all_programs(self.world):
            if writer.name == self.of and isinstance(writer, Application) and writer.acknowledged:
                self.expected, self.expected_us = writer.acknowledged[-1], writer.acknowledged_us
        self.ask(b"LINDEX", self.of.encode(), b"-1")

    def took(self, reply: Any) -> None:
        """Compare."""
        value = int(reply) if isinstance(reply, (bytes, bytearray)) and bytes(reply).isdigit() else 0
        self.reads_done += 1
        before, self.last = self.last, value
        was_stale, self.is_stale = self.is_stale, value < self.expected
        self.stale += self.is_stale
        what = f"reads {value} of {self.of}"
        if self.is_stale and not was_stale:
            ago = (self.world.now_us - self.expected_us) // 1000
            self.notice("stale", f"{what}, a stale read: {self.expected} was acknowledged {ago} ms ago")
        if value < before:
            self.back += 1
            self.notice("back", f"{what} after {before}: time goes back for it")


class JobProducer(Application):
    """A program that puts jobs into a queue."""

    kind = PRODUCER

    def __init__(self, world: Any, name: str, ip: str, where: tuple[tuple[str, ...], str, str], period_us: int,
                 key: str) -> None:  # fmt: skip
        super().__init__(world, name, ip, *where, period_us)
        self.queue = key

    def job(self, number: int) -> bytes:
        """Return the name of a job."""
        return f"{self.name}:{number}".encode()

    def act(self) -> None:
        """Put the next job into the queue."""
        self.written += 1
        self.ask(b"LPUSH", self.queue.encode(), self.job(self.written))


class JobConsumer(Application):
    """A program that takes jobs from a queue and does them."""

    kind = CONSUMER

    def __init__(self, world: Any, name: str, ip: str, where: tuple[tuple[str, ...], str, str], period_us: int,
                 key: str) -> None:  # fmt: skip
        super().__init__(world, name, ip, *where, period_us)
        self.queue = key
        self.hand = f"{key}:{name}".encode()  # the list of what it has in hand
        self.job = b""
        self.asked = ""  # hand, take, remove
        self.asks_for = 0  # the connection on which it has looked at what it has in hand
        self.jobs: dict[bytes, None] = {}  # those that it has done
        self.twice = 0

    def act(self) -> None:
        """Look at what it has in hand, take a job, or remove the one that is done."""
        if self.asks_for != self.connection:
            self.asked, self.asks_for = "hand", self.connection
            self.ask(b"LINDEX", self.hand, b"-1")
        elif self.job:
            self._do()
            self.asked = "remove"
            self.ask(b"LREM", self.hand, b"1", self.job)
        else:
            self.asked = "take"
            self.ask(b"LMOVE", self.queue.encode(), self.hand, b"RIGHT", b"LEFT")

    def _do(self) -> None:
        others = [
            each for each in all_programs(self.world) if isinstance(each, JobConsumer) and self.job in each.jobs
        ]
        name = self.job.decode("utf-8", "replace")
        if others:
            self.twice += 1
            who = "itself" if others[0].name == self.name else others[0].name
            self.notice("twice", f"does {name} again, which {who} had done")
        self.jobs[self.job] = None

    def took(self, reply: Any) -> None:
        """Have a job, or none."""
        if self.asked == "remove":
            self.job = b""
        else:
            self.job = bytes(reply) if isinstance(reply, (bytes, bytearray)) else b""

    def forget(self) -> None:
        """The process is gone."""
        super().forget()
        self.job = b""


class Locker(Application):
    """A program that takes a lock, works while it owns it, and releases it."""

    kind = LOCKER

    def __init__(self, world: Any, name: str, ip: str, where: tuple[tuple[str, ...], str, str], period_us: int,
                 key: str, ttl_ms: int, work_ms: int, fenced: bool) -> None:  # fmt: skip
        super().__init__(world, name, ip, *where, period_us)
        self.lock = key
        self.ttl_ms, self.work_ms, self.fenced = ttl_ms, work_ms, fenced
        self.holds = False  # whether it believes that it owns the lock
        self.value = b""  # of the lock, while it is its own
        self.token = 0
        self.until_us = 0  # it works until then
        self.asked = ""  # take, token, release
        self.taken = self.used = self.rejected = self.owners = self.unowned = self.expired = 0
        self.seen = 0  # as the storage: the highest token of this locker's lock (see `_storage`)

    def _lockers(self) -> Iterator["Locker"]:
        """Yield the lockers of the same lock; a removed one has no lock, but the storage has seen its token."""
        for each in all_programs(self.world):
            if isinstance(each, Locker) and each.lock == self.lock:
                yield each

    def act(self) -> None:
        """Take the lock, use the storage, or release the lock."""
        if self.holds and self.token:
            self._use()
        if not self.holds:
            self.asked = "take"
            self.written += 1
            self.value = f"{self.name}:{self.written}".encode()
            self.ask(b"SET", self.lock.encode(), self.value, b"NX", b"PX", b"%d" % self.ttl_ms)
        elif not self.token:
            self.asked = "token"
            self.ask(b"INCR", f"{self.lock}:fence".encode())
        elif self.world.now_us >= self.until_us:
            self.asked = "release"
            self.ask(b"EVAL", RELEASE, b"1", self.lock.encode(), self.value)

    def took(self, reply: Any) -> None:
        """Own the lock, or not."""
        if self.asked == "take":
            if reply == b"OK":
                self._take()
        elif self.asked == "token":
            self.token = int(reply)
        else:
            self.holds = False
            if not reply:
                self.expired += 1
                self.notice("expired", f"releases {self.lock}, which is not its own any more")

    def _take(self) -> None:
        self.taken += 1
        owners = [each.name for each in self._lockers() if each.holds and each is not self]
        if owners:
            self.owners += 1
            more = f"{' and '.join(owners)} believe{'s' * (len(owners) == 1)} to own it"
            self.notice("owners", f"gets {self.lock}, although {more}")
        self.holds, self.token = True, 0
        self.until_us = self.world.now_us + self.work_ms * 1000
        self.asked = "token"
        self.ask(b"INCR", f"{self.lock}:fence".encode())

    def _use(self) -> None:
        """Use the storage: it refuses a token that is lower than one that it has seen."""
        highest = max(each.seen for each in self._lockers())
        if self.fenced and (self.token < highest or (self.token == highest and self.seen != highest)):
            self.rejected += 1
            self.holds = False
            self.notice("refused", f"has token {self.token}, and the storage refuses it: it has seen {highest}")
            return
        self.used += 1
        newer = [each.name for each in self._lockers() if each.holds and each.until_us > self.until_us]
        if newer:
            self.unowned += 1
            self.notice("unowned", f"uses the storage of {self.lock}, which {newer[0]} owns now")
        if self.fenced:
            self.seen = self.token

    def forget(self) -> None:
        """The process is gone, and with it what it believed."""
        super().forget()
        self.holds, self.token = False, 0


KINDS: dict[str, type[Reader] | type[JobProducer] | type[JobConsumer] | type[Locker]] = {
    READER: Reader, PRODUCER: JobProducer, CONSUMER: JobConsumer, LOCKER: Locker,
}  # fmt: skip

__all__ = [
    "CONSUMER",
    "KINDS",
    "LOCKER",
    "NOTICES",
    "PRODUCER",
    "READER",
    "JobConsumer",
    "JobProducer",
    "Locker",
    "Reader",
    "all_programs",
]
