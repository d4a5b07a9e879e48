"""Conversions in threads: msgspec must not describe one type in two of them at once."""

import sys
import threading

import msgspec

from tests.waiting import wait_until
from tutor.convert import convert

inside: list[int] = []  # threads that describe a type just now
overlaps: list[int] = []
threads: list[threading.Thread] = []
found: list["Outer"] = []


def slowly_described() -> type:
    """Let a second thread convert meanwhile: it has to wait in `convert`, or it comes in here as well."""
    inside.append(threading.get_ident())
    overlaps.append(len(set(inside)) - 1)
    if len(inside) == 1:
        second = threading.Thread(target=convert_once)
        threads.append(second)
        second.start()
        wait_until(lambda: len(inside) == 2 or in_convert(second), "the second thread")
    inside.pop()
    return int


def in_convert(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_filename == convert.__code__.co_filename


class Outer(msgspec.Struct):
    number: "slowly_described()"  # type: ignore[valid-type]


def convert_once() -> None:
    found.append(convert({"number": 1}, Outer))


def test_a_type_is_described_by_one_thread_while_others_wait() -> None:
    convert_once()
    for thread in threads:
        thread.join()
    assert [each.number for each in found] == [1, 1]
    assert overlaps == [0], "the second thread found the type described"
