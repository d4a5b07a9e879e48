r"""Quoted bytes in Redis's format: MONITOR, redis-cli, the slow log, CONFIG REWRITE.

Printable ASCII is unchanged, `\`, `"` and the usual control characters have short escapes, and any other
byte is written as `\xhh`. `engine.protocol.resp.split_args` parses the result.
"""

_ESCAPES = [b"%c" % byte if 32 <= byte < 127 else b"\\x%02x" % byte for byte in range(256)]
for _char, _escape in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
    _ESCAPES[_char[0]] = _escape
for _char, _escape in ((b"\t", b"\\t"), (b"\a", b"\\a"), (b"\b", b"\\b")):
    _ESCAPES[_char[0]] = _escape

_PLAIN = bytes(byte for byte in range(256) if len(_ESCAPES[byte]) == 1)


def quote(data: bytes) -> bytes:
    """Return `data` in double quotes, with special characters escaped."""
    if not data.translate(None, _PLAIN):
        return b'"%b"' % data
    escapes = _ESCAPES
    return b'"%b"' % b"".join([escapes[byte] for byte in data])
