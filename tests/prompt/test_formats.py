"""Reply formats beside the real client's, over random replies of all kinds that a made-up server sends."""

import random
from typing import Any

import pytest

from engine.protocol.errors import ReplyError
from engine.protocol.resp import MapReply, Push, SetReply, Status, Verbatim, encode3
from tests.prompt.driver import run_ours, run_real
from tests.prompt.test_modes import fake_server
from tests.real import client_program

_TEXTS = [b"", b"a", b"hello world", b'q"\\', b"\r\n\t", b"\x01\x7f\xff", "é€".encode(), b"x" * 40, b"message", b"0"]


def random_reply(choose: random.Random, depth: int = 3) -> Any:
    """Return a reply of any kind that redis-cli knows."""
    kinds = 9 if depth == 0 else 14
    text = choose.choice(_TEXTS)
    match choose.randrange(kinds):
        case 0 | 1:
            return text
        case 2:
            return Status(text.translate(None, b"\r\n\0") or b"OK")
        case 3:
            return choose.choice([0, 1, -5, 2**63 - 1, -(2**63)])
        case 4:
            return None
        case 5:
            return choose.random() < 0.5
        case 6:
            return choose.choice([1.5, 0.1, -2.0, 1e300, float("inf"), float("-inf"), 3.0])
        case 7:
            return Verbatim(text)
        case 8:
            return ReplyError(b"ERR " + text)
    items = [random_reply(choose, depth - 1) for _ in range(choose.choice([0, 1, 1, 2, 3, 10, 11]))]
    match choose.randrange(4):
        case 0:
            return SetReply(items)
        case 1:
            return MapReply(items if len(items) % 2 == 0 else items[:-1])
    return items


@pytest.mark.parametrize("mode", ["--no-raw", "--raw", "--csv", "--quoted-json", "--json"])
@pytest.mark.parametrize("seed", range(2))
def test_random_replies_as_the_real_client_prints_them(mode: str, seed: int) -> None:
    choose = random.Random(seed)
    replies = [random_reply(choose) for _ in range(300)]
    # what comes out of --json cannot be told apart reply by reply unless a line ends each: it does
    argv = [mode, "-2"]
    script = b"X\n" * len(replies)
    results = []
    for run in (run_ours, lambda *args: run_real(client_program(), *args)):
        queue = [encode3(reply) for reply in reversed(replies)]
        with fake_server(
            lambda data, queue=queue: queue.pop() if data.endswith(b"X\r\n") else b"-ERR no\r\n"
        ) as port:
            results.append(run(["-p", str(port), *argv], script))
    ours, real = results
    assert ours.status == real.status == 0
    assert ours.err == real.err
    if ours.out != real.out:
        assert ours.out.split(b"\n") == real.out.split(b"\n")


@pytest.mark.parametrize("tty", [False, True])
def test_pushes_between_replies(tty: bool) -> None:
    pushes = [
        Push([b"invalidate", [b"k", b"l"]]),
        Push([b"invalidate", None]),
        Push([b"message", b"c", b"x"]),
        Push([b"other"]),
        Push([]),
    ]
    env = {"FAKETTY": "1"} if tty else {}
    results = []
    for run in (run_ours, lambda *args: run_real(client_program(), *args)):
        queue = [encode3(push) + b"+OK\r\n" for push in pushes]
        with fake_server(
            lambda data, queue=queue: queue.pop(0) if data.endswith(b"X\r\n") else b"-ERR no\r\n"
        ) as port:
            results.append(run(["-p", str(port)], b"X\n" * len(pushes), env))
    assert results[0] == results[1]
