"""What all tests share: the real server to compare with."""

from tests.real import real_server

__all__ = ["real_server"]
