"""--replica, --rdb and --functions-rdb: pose as a replica, to see the stream of commands or to fetch a snapshot.

A snapshot's bytes are not RESP: after the header line come so many bytes, or (from a diskless primary, which does not
know how many) bytes up to a mark of 40 that the header names.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.protocol.errors import ReplyError
from tutor.cli.options import complain, fail
from tutor.cli.session import CliSession
from tutor.client import LinkError
from tutor.prompt import OutputMode, to_text
from tutor.prompt.state import c_integer

_MARK_SIZE = 40


@dataclass(frozen=True, slots=True)
class _SnapshotHeader:
    """What a primary says before a snapshot: its size, or the mark that ends it; or that none comes."""

    partial: bool = False
    size: int = 0
    mark: bytes = b""


def _replconf(session: CliSession, *words: str) -> bool:
    assert session.connection is not None
    complain(f"sending REPLCONF {' '.join(words)}")
    reply = session.connection.call("REPLCONF", *words)
    if isinstance(reply, ReplyError):
        complain(f"REPLCONF {words[0]} error: {to_text(reply.text)}")
        return False
    return True


def _line(session: CliSession) -> bytes:
    """Read a line, byte by byte: what follows must stay unread. Line ends before it are a primary's keep-alive."""
    assert session.connection is not None
    line = b""
    while True:
        byte = session.connection.receive_raw(1)
        if not byte:
            raise fail("Error reading bulk length while SYNCing")
        if byte != b"\n":
            line += byte
        elif line:
            return line.rstrip(b"\r")


def _header(session: CliSession) -> _SnapshotHeader:
    line = _line(session)
    if line.startswith(b"-"):
        raise fail(f"SYNC with master failed: {to_text(line)}")
    if line.startswith((b"+FULLRESYNC", b"+CONTINUE")):
        complain(f"PSYNC replied {to_text(line)}")
        if line.startswith(b"+CONTINUE"):
            return _SnapshotHeader(partial=True)
        line = _line(session)
    if line.startswith(b"$EOF:") and len(line) >= 5 + _MARK_SIZE:
        return _SnapshotHeader(mark=line[5 : 5 + _MARK_SIZE])
    return _SnapshotHeader(size=max(0, c_integer(line[1:])))


def _payload(session: CliSession, header: _SnapshotHeader) -> Iterator[bytes]:
    """Yield the snapshot's bytes. Raises Exit if they end too early."""
    assert session.connection is not None
    missing = header.size
    tail = b""  # what could be the beginning of the mark
    while missing > 0 or header.mark:
        chunk = session.connection.receive_raw(min(missing, 65536) if header.size else 65536)
        if not chunk:
            raise fail("I/O Error reading RDB payload from socket")
        if header.size:
            missing -= len(chunk)
            yield chunk
            continue
        tail += chunk
        if tail.endswith(header.mark):  # the primary waits for an acknowledgement: nothing follows the mark
            yield tail[:-_MARK_SIZE]
            return
        yield tail[:-_MARK_SIZE]
        tail = tail[-_MARK_SIZE:]


def fetch(session: CliSession) -> int:
    """Write a snapshot of the server to a file, or to standard output for "-"."""
    options = session.options
    assert session.connection is not None
    _replconf(session, "capa", "eof")
    _replconf(session, "rdb-only", "1")
    if options.mode == "functions-rdb" and not _replconf(session, "rdb-filter-only", "functions"):
        raise fail("Failed requesting functions only RDB from server, aborting")
    session.connection.send_raw(b"SYNC\r\n")
    header = _header(session)
    if header.mark:
        complain(f"SYNC sent to master, writing bytes of bulk transfer until EOF marker to '{options.filename}'")
    else:
        complain(f"SYNC sent to master, writing {header.size} bytes to '{options.filename}'")
    to_output = options.filename == "-"
    try:
        file = sys.stdout.buffer if to_output else open(options.filename, "wb")  # noqa: SIM115
    except OSError as error:
        raise fail(f"Error opening '{options.filename}': {error.strerror}") from None
    written = 0
    try:
        for chunk in _payload(session, header):
            file.write(chunk)
            written += len(chunk)
        file.flush()
        session.close()
        complain(
            f"Transfer finished with success after {written} bytes"
            if header.mark
            else "Transfer finished with success."
        )
        if not to_output:
            os.fsync(file.fileno())
    except OSError as error:
        raise fail(f"Error writing data to file: {error.strerror}") from None
    finally:
        if not to_output:
            file.close()
    return 0


def replica(session: CliSession) -> int:
    """Show the commands that a replica gets, as CSV, until the connection ends."""
    assert session.connection is not None
    _replconf(session, "capa", "eof")
    _replconf(session, "rdb-filter-only", "")
    session.connection.send_raw(b"SYNC\r\n")
    follow(session)
    return 1


def follow(session: CliSession) -> None:
    """Read past the snapshot that a SYNC or PSYNC just sent brings, then show the stream. Raises Exit at its end."""
    assert session.connection is not None
    header = _header(session)
    info = "Partial resync" if header.partial else "Full resync"
    if header.partial:
        complain(f"{info} with master...")
    elif header.mark:
        complain(f"{info} with master, discarding bytes of bulk transfer until EOF marker...")
    else:
        complain(f"{info} with master, discarding {header.size} bytes of bulk transfer...")
    read = 0 if header.partial else sum(map(len, _payload(session, header)))
    if header.mark:
        complain(f"{info} done after {read + _MARK_SIZE} bytes. Logging commands from master.")
        # A diskless primary takes the replica for ready with its first acknowledgement; leave it time to notice
        # the end of the transfer.
        time.sleep(1)
        session.connection.send([b"REPLCONF", b"ACK", b"0"])
    else:
        complain(f"{info} done. Logging commands from master.")
    session.options.output = OutputMode.CSV
    try:
        while True:
            session.read_and_show()
    except LinkError as error:
        raise fail(f"Error: {error}") from None
