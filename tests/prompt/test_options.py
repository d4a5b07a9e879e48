"""Every option of `redis-tutor cli` and of the other commands with odd values: an answer, or one clear line, always.

Nothing may end in a traceback, whatever is given. The client runs in this process, at a server that answers
everything with `+OK`; the first wait ends the run, after it has been looked at.
"""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tutor.cli import main
from tutor.cli.options import _FLAGS, _WITH_VALUE
from tutor.commandline import cli
from tutor.prompt.state import c_int, c_integer

NUMBERS = [
    *(
        "0",
        "1",
        "-1",
        "-0.5",
        "0.001",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e400",
        "-1e400",
        "1e300",
        "1e-400",
        "1e9",
        "1e10",
    ),
    *(
        "2147483648",
        "-2147483649",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
    ),
    *(
        "9" * 30,
        "-" + "9" * 30,
        "9" * 5000,
        "0" * 5000 + "1",
        "65535",
        "65536",
        "0x10",
        "1_0",
        "+1",
        " 1",
        "1 ",
        "1x",
    ),
]
TEXTS = [
    "",
    " ",
    "x",
    "-",
    "--",
    "%",
    "*",
    "'",
    '"',
    "\\",
    "{}",
    "ü",
    "\udcff",
    "\n",
    "x" * 300,
    "x" * 5000,
    "/",
    "/dev",
]
URIS = [
    "redis://",
    "redis://:@:/",
    "redis://[",
    "redis://[::1]:x",
    "redis://h:99999",
    "redis://%",
    "redis://%zz@h/9" + "9" * 5000,
]


class Enough(BaseException):
    """The program waits: it would go on for ever."""


def sleep(seconds: float) -> None:
    assert 0 <= seconds < 2**63 / 1e9, seconds
    raise Enough


_getaddrinfo = socket.getaddrinfo


def numeric(host: str, port: int, family: int = 0, kind: int = 0) -> object:
    """Look an address up without asking anybody."""
    return _getaddrinfo(host, port, family, kind, 0, socket.AI_NUMERICHOST)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Give the port of a server that answers what comes first, whatever it is, a few times, and says no more."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            if peer.recv(1 << 20):
                peer.sendall(b"+OK\r\n" * 3)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 20):
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written goes where nothing else is."""
    monkeypatch.chdir(tmp_path)


def run(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int | None, str]:
    """Run the client; returns its status (None: it went on) and what it said of errors."""
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(socket, "getaddrinfo", numeric)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "secret")
    out, err = (io.TextIOWrapper(io.BytesIO(), errors="surrogateescape") for _ in range(2))
    with open("input", "w+") as standard_input, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        monkeypatch.setattr("sys.stdin", standard_input)
        try:
            status: int | None = main(argv)
        except Enough:
            status = None
    err.flush()
    return status, err.buffer.getvalue().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("option", [option for option in _WITH_VALUE if option not in ("--rdb", "--functions-rdb")])
def test_an_option_takes_any_value(option: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [*NUMBERS, *TEXTS, *(URIS if option == "-u" else [])]
    if option == "--intrinsic-latency":
        values = [value for value in values if c_int(value) <= 0]  # it would take so many seconds
    for value in values:
        server = [] if option in ("-h", "-p", "-u", "-s") else ["-p", str(port)]
        closed = ["-p", "1"] if option == "-h" else []
        status, said = run([*server, *closed, "-i", "1", option, value, "ping"], monkeypatch)
        assert status in (None, 0, 1, 255), (option, value[:50])
        assert said.count("\n") <= 3, (option, value[:50], said)


@pytest.mark.parametrize("mode", ["--stat", "--scan", "--bigkeys", "--memkeys", "--hotkeys", "--latency", "ping"])
def test_an_interval_that_is_none_is_refused_and_any_other_can_be_waited_for(
    mode: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in NUMBERS:
        status, said = run(["-p", str(port), "-r", "2", "-i", value, mode], monkeypatch)
        negative = value.startswith("-") and value not in ("-nan", "-inf") and float(value) != 0
        if negative or value in ("1e10", "2147483648", "4294967296", "9223372036854775807", "9" * 30):
            assert (status, said.count("\n")) == (1, 1), value
            assert said.startswith("Invalid interval '"), value


@pytest.mark.parametrize("flag", _FLAGS)
def test_a_flag_goes_with_any_number(flag: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("-1", "0", "nan", "9" * 5000):
        for option in ("-i", "-r", "-n", "--count", "--pipe-timeout"):
            if option == "-r" and value[0] == "9" and flag != "--stat":
                continue
            status, _ = run(["-p", str(port), flag, option, value, "ping"], monkeypatch)
            assert status in (None, 0, 1), (flag, option, value[:50])


@pytest.mark.parametrize(
    ("text", "strtoll", "atoi"),
    [
        ("12x", 12, 12),
        (" -7", -7, -7),
        ("x", 0, 0),
        ("", 0, 0),
        ("2147483648", 2147483648, -2147483648),
        ("4294967297", 4294967297, 1),
        ("9223372036854775807", 2**63 - 1, -1),
        ("9" * 5000, 2**63 - 1, -1),
        ("-" + "9" * 5000, -(2**63), 0),
        ("0" * 5000 + "8", 8, 8),
    ],
    ids=lambda value: str(value)[:20],
)
def test_integers_are_read_as_c_reads_them(text: str, strtoll: int, atoi: int) -> None:
    assert c_integer(text) == strtoll
    assert c_int(text) == atoi


COMMANDS = [
    *(["learn", "--plain", "?"], ["learn", "?"], ["verify", "?"], ["explain", "?"], ["explain", "--json", "?"]),
    *(["lab", "?", "--play"], ["lab", "--open", "?"], ["lab", "?", "--expose"], ["lab", "?", "--save", "x.history"]),
    *(["lab", "--port", "?", "--expose", "nosuch"], ["lab", "--steps", "?", "--expose", "nosuch"], ["list", "?"]),
    *(["info", "?"], ["serve", "--port", "?"], ["serve", "?"], ["nosuch", "?"], ["?"]),
]


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_every_other_command_takes_any_value(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutor.app.run", lambda *args, **settings: 0)
    monkeypatch.setattr("engine.live.loop.Loop.run", lambda loop: 0)
    for value in ("\udcff", "x" * 5000, "/dev", "-1", "nan", "1e400", "9" * 5000, "x" * 300, "", "-"):
        if argv[0] == "serve" and value in ("-", "--"):
            continue  # the configuration comes from standard input
        result = CliRunner().invoke(cli, [value if word == "?" else word for word in argv])
        assert result.exception is None or isinstance(result.exception, SystemExit), (value[:50], result.exc_info)
        assert result.exit_code in (0, 1, 2), (value[:50], result.output[-500:])
