r"""Bytes as Redis writes them between double quotes: MONITOR, redis-cli, the slow log's files, CONFIG REWRITE.

What is printable ASCII stands for itself; `\`, `"` and the usual control characters get their short escape, any other
byte `\xhh`. `engine.resp.split_args` reads it back.
"""

_ESCAPES = [b"%c" % byte if 32 <= byte < 127 else b"\\x%02x" % byte for byte in range(256)]
for _char, _escape in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
    _ESCAPES[_char[0]] = _escape
for _char, _escape in ((b"\t", b"\\t"), (b"\a", b"\\a"), (b"\b", b"\\b")):
    _ESCAPES[_char[0]] = _escape

_PLAIN = bytes(byte for byte in range(256) if len(_ESCAPES[byte]) == 1)


def quote(data: bytes) -> bytes:
    """Return `data` in double quotes, with everything that is not plain text escaped."""
    if not data.translate(None, _PLAIN):
        return b'"%b"' % data
    escapes = _ESCAPES
    return b'"%b"' % b"".join([escapes[byte] for byte in data])
