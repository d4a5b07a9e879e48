"""redis-check-aof in a lesson's shell: what is wrong with the files of an append-only file.

It prints the lines of the program in Redis 7.2 that matter: of a base in RDB format, the checksum and the verdict.
"""

import posixpath
from collections.abc import Callable
from typing import NamedTuple

from engine.persistence.aof.commands import BadFormatError, CutOffError, read_command
from engine.persistence.aof.manifest import AofFile, ManifestError, parse_manifest
from engine.persistence.rdb.compression import crc64

RDB = b"REDIS"
CHECKSUM_BYTES = 8
USAGE = "Usage: redis-check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"


class Report(NamedTuple):
    """What was found: the text, and what is left of files that were cut."""

    text: str
    cut: dict[str, bytes]


class _Bad(Exception):  # noqa: N818
    """A file is not valid; the text ends the report."""


def check(name: str, read: Callable[[str], bytes | None], fix: bool) -> Report:
    """Check a manifest and its files, or a single file. With `fix`, the last one is cut where its damage begins."""
    rows: list[str] = []
    cut: dict[str, bytes] = {}
    try:
        data = _data(name, read)
        if not name.endswith(".manifest"):
            rows.append("Start checking Old-Style AOF")
            _increment(name, name, data, fix, rows, cut)
            rows.append(f"AOF {name} is valid")
        else:
            rows.append("Start checking Multi Part AOF")
            _files(posixpath.dirname(name), data, read, fix, rows, cut)
            rows.append("All AOF files and manifest are valid")
    except _Bad as error:
        rows.append(str(error))
    return Report("".join(f"{row}\n" for row in rows), cut)


def _data(name: str, read: Callable[[str], bytes | None]) -> bytes:
    data = read(name)
    if data is None:
        raise _Bad(f"Cannot open file {name}: No such file or directory")
    return data


def _files(
    folder: str,
    manifest: bytes,
    read: Callable[[str], bytes | None],
    fix: bool,
    rows: list[str],
    cut: dict[str, bytes],
) -> None:
    try:
        found = parse_manifest(manifest)
    except ManifestError as error:
        raise _Bad(f"Invalid manifest file: {error.reason}") from error
    paths = {each: posixpath.join(folder, each.name) for each in found.loaded}
    contents = {each: _data(path, read) for each, path in paths.items()}
    if found.base is not None:
        _base(found.base, paths[found.base], contents[found.base], rows)
    if found.increments:
        rows.append("Start to check INCR files.")
    for each in found.increments:
        if not contents[each]:
            rows.append(f"INCR AOF {each.name} is empty")
            continue
        last = each is found.increments[-1]
        _increment(each.name, paths[each], contents[each], fix and last, rows, cut)
        rows.append(
            f"INCR AOF {each.name} is valid" if paths[each] not in cut else f"Successfully truncated AOF {each.name}"
        )


def _base(base: AofFile, path: str, data: bytes, rows: list[str]) -> None:
    if not data.startswith(RDB):
        rows.append("Start to check BASE AOF (AOF format).")
        _increment(base.name, path, data, False, rows, {})
    else:
        rows += ["Start to check BASE AOF (RDB format).", f"[offset 0] Checking RDB file {path}"]
        kept = int.from_bytes(data[-CHECKSUM_BYTES:], "little")
        if kept and kept != crc64(data[:-CHECKSUM_BYTES]):
            rows.append("--- RDB ERROR DETECTED ---")
            raise _Bad("RDB preamble of AOF file is not sane, aborting.")
        rows += [f"[offset {len(data)}] Checksum OK", f"[offset {len(data)}] \\o/ RDB looks OK! \\o/"]
    rows.append(f"BASE AOF {base.name} is valid")


def _increment(name: str, path: str, data: bytes, fix: bool, rows: list[str], cut: dict[str, bytes]) -> None:
    at, whole, open_at = 0, 0, -1
    try:
        while at < len(data):
            argv, after = read_command(data, at)
            word = argv[0].upper() if argv else b""
            if word == b"MULTI":
                open_at = at
            elif word == b"EXEC":
                open_at = -1
            at = after
            whole = open_at if open_at >= 0 else at
    except CutOffError:
        rows.append(f"0x{at:16x}: the file ends within this command")
    except BadFormatError as error:
        rows.append(f"0x{error.offset:16x}: {error.reason}")
    lost = len(data) - whole
    rows.append(f"AOF analyzed: filename={name}, size={len(data)}, ok_up_to={whole}, diff={lost}")
    if not lost:
        return
    if not fix:
        raise _Bad(f"AOF {name} is not valid. Use the --fix option to try fixing it.")
    rows.append(f"This will shrink the AOF {name} from {len(data)} bytes, with {lost} bytes, to {whole} bytes")
    cut[path] = data[:whole]
