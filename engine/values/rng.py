"""The node's own random numbers: one seeded 64-bit generator (SplitMix64).

A node has no other source of randomness, so equal seeds and equal inputs give equal histories on every platform. The
standard library's derived methods (`choice`, `sample`, `shuffle`) may change between Python versions; these do
not.
"""

import hashlib
import hmac
from typing import Final

_MASK: Final = (1 << 64) - 1
_HEX: Final = b"0123456789abcdef"


class Rng:
    """A generator of uniform integers; its whole state is one integer."""

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    def next64(self) -> int:
        """Return the next 64 random bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n: int) -> int:
        """Return an integer in [0, n). The bias is below n / 2**64."""
        return (self.next64() * n) >> 64

    def real(self) -> float:
        """Return a float in [0, 1) with 53 random bits."""
        return (self.next64() >> 11) / (1 << 53)

    def hex(self, digits: int) -> bytes:
        """Return that many lowercase hexadecimal digits, for replication IDs."""
        out = bytearray()
        while len(out) < digits:
            bits = self.next64()
            for _ in range(16):
                out.append(_HEX[bits & 15])
                bits >>= 4
        return bytes(out[:digits])


class Secret:
    """A source of digits that cannot be guessed without knowing the seed (ACL GENPASS).

    It is as secure as its seed: the live server's has 256 random bits.
    """

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = hashlib.sha256(b"%x" % seed).digest()

    def hex(self, digits: int) -> bytes:
        """Return that many lowercase hexadecimal digits."""
        text = b""
        while len(text) < digits:
            text += hmac.digest(self.state, b"output", "sha256").hex().encode()
            self.state = hmac.digest(self.state, b"next", "sha256")
        return text[:digits]
