"""The special modes that watch a server or move data: --latency, --stat, --scan, --pipe, --intrinsic-latency."""

import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.cli.options import complain, fail
from tutor.cli.session import CliSession
from tutor.client import Connection, LinkError
from tutor.prompt import OutputMode, quote, to_text
from tutor.prompt.replies import INCOMPLETE
from tutor.prompt.state import c_integer

SAMPLE_EVERY_S = 0.01
HISTORY_RANGE_S = 15.0


def _again(session: CliSession, *words: str) -> Any:
    """Send a command, connecting again for as long as that takes; what watches a server outlives its restart."""
    tries = 0
    while True:
        try:
            if session.connection is None:
                tries += 1
                session.write(b"\r\x1b[0KReconnecting... %d\r" % tries)
                session.connection = session.open()
            reply = session.connection.call(*words)
        except LinkError:
            session.close()
            time.sleep(1)
            continue
        if tries:
            session.write(b"\r\x1b[0K")
        return reply


# --- latency ------------------------------------------------------------------------------------------------------


class _Latency:
    """Samples of one range, in whole milliseconds."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.min = self.max = self.total = self.count = 0

    def add(self, latency_ms: int) -> None:
        self.min = latency_ms if self.count == 0 else min(self.min, latency_ms)
        self.max = max(self.max, latency_ms)
        self.total += latency_ms
        self.count += 1

    def age_s(self) -> float:
        return time.monotonic() - self.start

    def text(self, mode: OutputMode) -> str:
        average = self.total / self.count
        match mode:
            case OutputMode.STANDARD:
                return f"min: {self.min}, max: {self.max}, avg: {average:.2f} ({self.count} samples)"
            case OutputMode.CSV:
                return f"{self.min},{self.max},{average:.2f},{self.count}\n"
            case OutputMode.RAW:
                return f"{self.min} {self.max} {average:.2f} {self.count}\n"
            case OutputMode.JSON:
                return f'{{"min": {self.min}, "max": {self.max}, "avg": {average:.2f}, "count": {self.count}}}\n'
        return ""


def latency(session: CliSession) -> int:
    """Sample PING's latency: forever on a terminal, for one interval elsewhere."""
    options = session.options
    history = options.mode == "latency-history"
    interval_s = options.interval_s or 1.0
    range_s = options.interval_s or HISTORY_RANGE_S
    samples = _Latency()
    while True:
        start = time.time_ns() // 1_000_000
        _again(session, "PING")
        samples.add(time.time_ns() // 1_000_000 - start)
        text = samples.text(options.output).encode()
        if options.output is OutputMode.STANDARD:
            session.write(b"\x1b[0G\x1b[2K" + text)
        elif history:
            session.write(text)
        elif samples.age_s() > interval_s:
            session.write(text)
            return 0
        if history and samples.age_s() > range_s:
            session.say(f" -- {samples.age_s():.2f} seconds range")
            samples = _Latency()
        time.sleep(SAMPLE_EVERY_S)


def intrinsic_latency(session: CliSession) -> int:
    """Find the longest pause that this machine gives a process that never waits."""
    seconds = session.options.seconds
    end = time.monotonic() + seconds
    longest = runs = 0
    start = time.monotonic()
    now_ns = time.monotonic_ns()
    try:
        while True:
            before_ns, now_ns = now_ns, time.monotonic_ns()
            runs += 1
            pause_us = (now_ns - before_ns) // 1000
            if pause_us > longest:
                longest = pause_us
                session.say(f"Max latency so far: {longest} microseconds.")
            if now_ns > end * 1e9:
                break
    except KeyboardInterrupt:
        pass
    elapsed_us = (time.monotonic() - start) * 1e6
    average = elapsed_us / max(runs, 1)
    session.say(
        f"\n{runs} total runs (avg latency: {average:.4f} microseconds / {average * 1000:.2f} nanoseconds per run)."
    )
    session.say(f"Worst run took {longest / average:.0f}x longer than the average latency.")
    return 0


# --- stat ---------------------------------------------------------------------------------------------------------

_STAT_HEADER = (
    b"------- data ------ --------------------- load -------------------- - child -\n"
    b"keys       mem      clients blocked requests            connections          \n"
)
_CHILDREN = {1: "SAVE", 2: "AOF", 3: "SAVE+AOF", 4: "LOAD"}


def human_bytes(size: int) -> str:
    """Return a size as redis-cli shows it: 512B, 1.50K, 900.24M."""
    if size < 0:
        return "-" + human_bytes(-size)
    if size < 1024:
        return f"{size}B"
    for unit, factor in (("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)):
        if size < factor << 10 or unit == "G":
            return f"{size / factor:.2f}{unit}"
    raise AssertionError("unreachable")


def _fields(info: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in to_text(info).split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name, value)
    return fields


def stat(session: CliSession) -> int:
    """Print a line about the server every second."""
    interval_s = session.options.interval_s or 1.0
    requests = 0
    lines = 0
    while True:
        reply = _again(session, "INFO")
        if isinstance(reply, ReplyError):
            raise fail(f"ERROR: {to_text(reply.text)}")
        fields = _fields(reply if isinstance(reply, bytes) else reply.text)

        def number(name: str, fields: dict[str, str] = fields) -> int:
            return c_integer(fields.get(name, "0"))

        if lines % 20 == 0:
            session.write(_STAT_HEADER)
        lines += 1
        keys = sum(c_integer(fields[f"db{i}"].removeprefix("keys=")) for i in range(20) if f"db{i}" in fields)
        total = number("total_commands_processed")
        load = f"{total} (+{total - requests if requests else 0})"
        requests = total
        child = number("rdb_bgsave_in_progress") | number("aof_rewrite_in_progress") << 1 | number("loading") << 2
        session.say(
            f"{keys:<11}{human_bytes(number('used_memory')):<8} {number('connected_clients'):<8}"
            f"{number('blocked_clients'):<8}{load:<19} {number('total_connections_received'):<12}"
            f"{_CHILDREN.get(child, '')}"
        )
        time.sleep(interval_s)


# --- scan ---------------------------------------------------------------------------------------------------------


def scan(session: CliSession) -> Iterator[list[bytes]]:
    """Yield the keys that each call of SCAN returns, with the pattern and count of the command line."""
    options = session.options
    assert session.connection is not None
    cursor = b"0"
    while True:
        words = [b"SCAN", cursor]
        if options.pattern is not None:
            words += [b"MATCH", options.pattern, b"COUNT", b"%d" % options.count]
        reply = session.connection.call(*words)
        if isinstance(reply, ReplyError):
            raise fail(f"SCAN error: {to_text(reply.text)}")
        if type(reply) is not list:
            raise fail("Non ARRAY response from SCAN!")
        if len(reply) != 2:
            raise fail("Invalid element count from SCAN!")
        cursor = reply[0]
        yield reply[1]
        if cursor == b"0":
            return


def scan_keys(session: CliSession) -> int:
    """Print the keys of the database, a line each."""
    spell = quote if session.options.output is OutputMode.STANDARD else bytes
    try:
        for keys in scan(session):
            session.write(b"".join([spell(key) + b"\n" for key in keys]))
            if session.options.interval_s:
                time.sleep(session.options.interval_s)
    except KeyboardInterrupt:
        pass
    return 0


# --- pipe ---------------------------------------------------------------------------------------------------------

_CHUNK = 128 * 1024


class _Pipe:
    """Bytes from standard input to the server, and replies counted, both as fast as they go."""

    def __init__(self, session: CliSession, connection: Connection) -> None:
        self.session = session
        self.connection = connection
        self.unsent = b""
        self.eof = self.done = False
        self.errors = self.replies = 0
        # After everything else comes an ECHO of a random word: its reply is the last one.
        self.magic = os.urandom(20)
        self.last_read = time.monotonic()

    def count(self) -> None:
        """Count the replies that have arrived."""
        while (reply := self.connection.buffered()) is not INCOMPLETE:
            self.last_read = time.monotonic()
            if self.eof and reply == self.magic:
                self.session.say("Last reply received from server.")
                self.done = True
                continue
            if isinstance(reply, ReplyError):
                complain(to_text(reply.text))
                self.errors += 1
            self.replies += 1

    def refill(self) -> None:
        """Take the next bytes from standard input; at its end, the ECHO."""
        self.unsent = os.read(sys.stdin.fileno(), _CHUNK)
        if not self.unsent:
            self.eof = True
            # The line end before it finishes a garbled last command.
            self.unsent = b"\r\n*2\r\n$4\r\nECHO\r\n$20\r\n" + self.magic + b"\r\n"
            self.session.say("All data transferred. Waiting for the last reply...")


def pipe(session: CliSession) -> int:
    """Send standard input to the server as it is, counting replies. Status 1 if any is an error."""
    connection = session.connection
    assert connection is not None
    sock = connection.socket
    sock.setblocking(False)
    transfer = _Pipe(session, connection)
    timeout_s = session.options.pipe_timeout_s
    while not transfer.done:
        sending = [connection] if transfer.unsent or not transfer.eof else []
        readable, writable, _ = select.select([connection], sending, [], 1)
        if readable:
            try:
                connection.receive()
            except LinkError as error:
                if not _would_block(error):
                    _count_rest(transfer)
                    complain("Error reading replies from server" if not error.reset else f"Error: {error}")
                    return 1
            _count_rest(transfer)
        if writable and not transfer.done:
            if not transfer.unsent:
                transfer.refill()
            try:
                transfer.unsent = transfer.unsent[sock.send(transfer.unsent) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                raise fail(f"Error writing to the server: {error.strerror}") from None
        if transfer.eof and 0 < timeout_s < time.monotonic() - transfer.last_read:
            complain(f"No replies for {timeout_s} seconds: exiting.")
            transfer.errors += 1
            break
    session.say(f"errors: {transfer.errors}, replies: {transfer.replies}")
    return 1 if transfer.errors else 0


def _would_block(error: LinkError) -> bool:
    return isinstance(error.__cause__, BlockingIOError)


def _count_rest(transfer: _Pipe) -> None:
    try:
        transfer.count()
    except LinkError:
        raise fail("Error reading replies from server") from None
