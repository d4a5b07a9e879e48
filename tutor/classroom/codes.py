"""Codes that people read aloud, tokens that only browsers see, and how often a code may be guessed.

A join code admits new learners of a class and is meant to be read aloud, so it is short, and guesses are limited. A
resume code belongs to one learner. Tokens are 256 random bits. Tokens and resume codes are stored as digests only: a
resume code by scrypt, since it is short enough to be searched for.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 and O, no 1, I and L, no U and V to confuse
JOIN_LENGTH = 6
RESUME_LENGTH = 12
_GROUP = 4


def new_code(length: int) -> str:
    """Return a random code."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def grouped(code: str) -> str:
    """Return a code as it is shown: `ABC-DEF`, `ABCD-EFGH-JKMN`."""
    size = 3 if len(code) <= JOIN_LENGTH else _GROUP
    return "-".join(code[at : at + size] for at in range(0, len(code), size))


def read_code(text: str) -> str:
    """Return the code that was typed: in capitals, without blanks and dashes."""
    return "".join(each for each in text.upper()[:64] if each in ALPHABET)


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def code_digest(code: str, salt: str) -> str:
    """Return what is stored of a resume code. `salt` belongs to the class, so that the digest can be looked up."""
    return hashlib.scrypt(code.encode(), salt=salt.encode(), n=1 << 13, r=8, p=1).hex()


@dataclass
class _Bucket:
    left: float
    at: float


@dataclass
class GuessLimit:
    """How many wrong codes are taken: from one address, and from all. Right codes do not count.

    The addresses are limited as well, so that a flood of them costs no memory.
    """

    clock: Callable[[], float]
    burst: int = 10
    per_second: float = 1 / 6
    all_burst: int = 200
    all_per_second: float = 2.0
    most: int = 10_000
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def wait_s(self, address: str) -> float:
        """Return the seconds until a code from this address is looked at; 0: now."""
        return max(
            self._wait("", self.all_burst, self.all_per_second), self._wait(address, self.burst, self.per_second)
        )

    def failed(self, address: str) -> None:
        """Count a wrong code."""
        if len(self._buckets) >= self.most:
            for name in [name for name, each in self._buckets.items() if name and self._full(each)]:
                del self._buckets[name]
        for name, burst in (("", self.all_burst), (address, self.burst)):
            if name in self._buckets or len(self._buckets) <= self.most:
                self._buckets.setdefault(name, _Bucket(burst, self.clock())).left -= 1

    def _wait(self, name: str, burst: int, per_second: float) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return 0.0
        now = self.clock()
        bucket.left = min(burst, bucket.left + (now - bucket.at) * per_second)
        bucket.at = now
        return max(0.0, (1 - bucket.left) / per_second)

    def _full(self, bucket: _Bucket) -> bool:
        return bucket.left + (self.clock() - bucket.at) * self.per_second >= self.burst
