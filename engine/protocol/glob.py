r"""Glob patterns, as KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules use them.

`*` matches any bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` one byte of a class, `\x` the byte x. A pattern is
translated to a regular expression once; atomic groups make `a*a*a*a*b` linear: the match of a star is never revised,
which is correct because the parts between stars have fixed lengths, so the first match is as good as any other.

https://redis.io/docs/latest/commands/keys/
"""

import re
from functools import lru_cache

from engine.protocol.caches import cleared_when_idle


@cleared_when_idle
@lru_cache(maxsize=512)
def compile_glob(pattern: bytes, nocase: bool = False) -> re.Pattern[bytes]:
    """Compile a pattern to a regular expression for `match`, which must match the whole text."""
    pieces = [b""]
    i, size = 0, len(pattern)
    while i < size:
        c = pattern[i : i + 1]
        if c == b"*":
            pieces.append(b"")
        elif c == b"?":
            pieces[-1] += b"."
        elif c == b"[":
            i, chosen = _class(pattern, i + 1)
            pieces[-1] += chosen
        else:
            if c == b"\\" and i + 1 < size:
                i += 1
                c = pattern[i : i + 1]
            pieces[-1] += re.escape(c)
        i += 1
    if pattern and not pattern.strip(b"*"):
        return re.compile(rb".+\Z", re.DOTALL)  # in Redis, only an empty pattern matches an empty text
    source = pieces[0] + b"".join([b"(?>.*?%b)" % piece for piece in pieces[1:-1] if piece])
    if len(pieces) > 1:
        source += b".*" + pieces[-1]
    if pattern:
        # Only the empty pattern matches the empty text, even if there are stars.
        source = b"(?=.)" + source
    return re.compile(source + rb"\Z", re.DOTALL | (re.IGNORECASE if nocase else 0))


def _class(pattern: bytes, i: int) -> tuple[int, bytes]:
    """Translate a class after its bracket. Returns the position of its end; an unclosed one extends to the end."""
    size = len(pattern)
    negated = pattern[i : i + 1] == b"^"
    i += negated
    members: list[bytes] = []
    while i < size and pattern[i] != 93:
        if pattern[i] == 92 and i + 1 < size:
            i += 1
            members.append(re.escape(pattern[i : i + 1]))
        elif i + 2 < size and pattern[i + 1] == 45:
            low, high = sorted((pattern[i], pattern[i + 2]))
            members.append(b"\\x%02x-\\x%02x" % (low, high))
            i += 2
        else:
            members.append(b"\\x%02x" % pattern[i])
        i += 1
    if not members:
        return i, b"." if negated else b"(?!)."
    return i, b"[%b%b]" % (b"^" if negated else b"", b"".join(members))


def glob_match(pattern: bytes, text: bytes, nocase: bool = False) -> bool:
    """Return whether a text matches a pattern."""
    return compile_glob(pattern, nocase).match(text) is not None
