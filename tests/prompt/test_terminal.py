"""`redis-tutor cli` on a terminal, used as a person uses it: through a pseudo-terminal, looking at the screen."""

import os
import signal
from pathlib import Path

import pytest

from engine.protocol.resp import encode2
from tests.prompt.driver import prepare
from tests.prompt.screen import Terminal, client
from tests.prompt.test_modes import fake_server
from tests.real import RealServer, free_port, start_server
from tutor.client import Connection

TAB, ENTER, CTRL_C, CTRL_D, CTRL_R, UP = "\t", "\r", "\x03", "\x04", "\x12", "\x1b[A"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def terminal(real_server: RealServer, history: Path):  # type: ignore[no-untyped-def]
    prepare(real_server)
    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with client("-p", str(real_server.port), env=env) as screen:
        screen.show("Tab completes")
        screen.prompt()
        yield screen


def ask(terminal: Terminal, command: str, shows: str, times: int = 1) -> str:
    terminal.prompt()
    terminal.type(command + ENTER)
    return terminal.show(shows, times=times)


def test_prompt_follows_the_connection(terminal: Terminal, real_server: RealServer) -> None:
    port = real_server.port
    terminal.show(f"127.0.0.1:{port}>")
    ask(terminal, "select 3", f"127.0.0.1:{port}[3]>")
    ask(terminal, "multi", f"127.0.0.1:{port}[3](TX)>")
    ask(terminal, "incr a", "QUEUED")
    ask(terminal, "exec", "1) (integer) 1")
    ask(terminal, "multi", f"127.0.0.1:{port}[3](TX)>", times=3)
    ask(terminal, "select 4", f"127.0.0.1:{port}[4](TX)>")
    ask(terminal, "discard", f"127.0.0.1:{port}[3]>", times=3)
    ask(terminal, "reset", f"127.0.0.1:{port}>", times=2)


def test_reply_as_redis_cli_shows_it(terminal: Terminal) -> None:
    ask(terminal, "rpush l a b", "(integer) 2")
    ask(terminal, "lrange l 0 -1", '1) "a"')
    terminal.show('2) "b"')
    ask(terminal, "get nothing", "(nil)")
    ask(terminal, "incr l", "(error) WRONGTYPE")
    ask(terminal, "3 incr n", "(integer) 3")


def test_hint_goes_on_from_what_is_typed(terminal: Terminal) -> None:
    terminal.type("lpop ")
    terminal.show("lpop key [count]")
    terminal.type("k ")
    terminal.show("lpop k [count]")
    terminal.show("LPOP key [count]")  # the bottom line has all of it
    terminal.type("2 ")
    terminal.until(lambda text: "lpop k 2\n" in text + "\n")
    terminal.type(ENTER)
    terminal.show("(nil)")
    ask(terminal, ":set nohints", "")
    ask(terminal, ":get hints", "\nnohints")
    terminal.type("lpop ")
    terminal.until(lambda text: text.endswith("> lpop"))


def test_accepted_line_keeps_no_hint(terminal: Terminal) -> None:
    ask(terminal, "get k", "(nil)")
    assert "get k key" not in terminal.text()


def test_completion_of_commands_and_keywords(terminal: Terminal) -> None:
    terminal.type("hg" + TAB)
    screen = terminal.show("hgetall")
    assert "hget " in screen
    terminal.type("a" + TAB)  # "hget", common to all, stands there already
    terminal.until(lambda text: "> hgetall" in text)
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("config re" + TAB)
    screen = terminal.show("rewrite")
    assert "resetstat" in screen
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("set k v e" + TAB)
    terminal.show("exat")


def test_completion_of_keys(terminal: Terminal, real_server: RealServer) -> None:
    prepare(real_server, "SET user:1 a", "SET user:2 b", "SET other* c")
    terminal.type("get user" + TAB)
    terminal.show("user:1")
    terminal.show("user:2")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("get other" + TAB)
    terminal.show("> get other*")
    terminal.type(ENTER)
    terminal.show('"c"')


def test_completion_of_configuration(terminal: Terminal) -> None:
    terminal.type("config get appendfs" + TAB)
    terminal.show("> config get appendfsync")


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.type("nonsense")
    terminal.show("> nonsense")
    terminal.type(CTRL_C)
    ask(terminal, "ping", "PONG")
    terminal.prompt()
    terminal.type(CTRL_D)
    assert terminal.ended() == 0
    assert "unknown command" not in terminal.text()


def test_quit_leaves(terminal: Terminal) -> None:
    terminal.type("quit" + ENTER)
    assert terminal.ended() == 0


def wait_for(server: RealServer, command: bytes) -> None:
    """Wait until some client has sent this command."""
    watcher = Connection.tcp(server.host, server.port)
    while b"cmd=" + command not in watcher.call("CLIENT", "LIST"):
        pass
    watcher.close()


def test_ctrl_c_ends_a_wait(terminal: Terminal, real_server: RealServer) -> None:
    terminal.type("blpop nothing 0" + ENTER)
    wait_for(real_server, b"blpop")
    terminal.type(CTRL_C)
    ask(terminal, "ping", "PONG")


def test_ctrl_c_ends_monitor(terminal: Terminal) -> None:
    ask(terminal, "monitor", "OK")
    terminal.type(CTRL_C)
    ask(terminal, "ping", "PONG")


def test_history_is_kept_and_searched(terminal: Terminal, history: Path) -> None:
    ask(terminal, "set a 1", "OK")
    ask(terminal, "ping", "PONG")
    ask(terminal, "auth secret", "(error)")
    ask(terminal, "acl setuser bob >secret", "OK", times=2)
    ask(terminal, "config set masterauth secret", "OK", times=3)
    assert history.read_text() == "set a 1\nping\n"
    assert history.stat().st_mode & 0o777 == 0o600
    terminal.prompt()
    terminal.type(UP)
    terminal.show("> ping", times=2)
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type(CTRL_R + "set")
    terminal.show("set a 1", times=2)
    terminal.type(ENTER)
    terminal.show("OK", times=4)
    terminal.type("acl deluser bob" + ENTER)
    ask(terminal, "config set masterauth ''", "OK", times=5)


def test_history_of_another_time(terminal: Terminal, history: Path, real_server: RealServer) -> None:
    ask(terminal, "echo first", '"first"')
    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with client("-p", str(real_server.port), env=env) as second:
        second.show("Tab completes")
        second.prompt()
        second.type(UP)
        second.show("> echo first")


def test_subscribed(terminal: Terminal, real_server: RealServer) -> None:
    ask(terminal, "subscribe news", "Reading messages...")
    publisher = Connection.tcp(real_server.host, real_server.port)
    publisher.call("PUBLISH", "news", "hello")
    terminal.show('3) "hello"')
    terminal.type("p")
    terminal.show("(subscribed mode)> p")
    terminal.type("ing" + ENTER)
    terminal.show('1) "pong"')
    publisher.call("PUBLISH", "news", "again")
    terminal.show('3) "again"')
    publisher.close()
    terminal.type(CTRL_C)
    terminal.gone("Reading messages...")
    ask(terminal, "ping", "\nPONG")


def test_pictures_and_why(terminal: Terminal, real_server: RealServer) -> None:
    ask(terminal, "DEL drawn", "(integer)")
    ask(terminal, "ZADD drawn 3 ann 5 bob", "(integer) 2")
    ask(terminal, ":picture drawn", "drawn · sorted set · 2 members")
    ask(terminal, ":picture memory", "used")
    ask(terminal, ":picture", ":picture KEY, or one of:")
    ask(terminal, "GET drawn", "WRONGTYPE")
    ask(terminal, ":why", "drawn holds a sorted set.")


def test_peek(terminal: Terminal, real_server: RealServer) -> None:
    prepare(real_server, "RPUSH l a b", "HSET h f v", "SET s x EX 100", "XADD x 1-1 f v", "SADD m 1", "ZADD z 1 a")
    ask(terminal, ":peek l", "list, ")
    terminal.show('2) "b"')
    ask(terminal, ":peek s", "string, embstr, 1 bytes")
    terminal.show("expires in ")
    ask(terminal, ":peek h", '1) "f"')
    for key, shows in [("x", "1 entries"), ("m", "1 members"), ("z", "zset, "), ("none", "(no such key)")]:
        ask(terminal, f":peek {key}", shows)


def test_help(terminal: Terminal) -> None:
    ask(terminal, "help", "To get help about Redis commands type:")
    ask(terminal, "help getdel", "group: string")
    assert "GETDEL key" in terminal.text()


def test_commands_that_only_the_server_knows(history: Path) -> None:
    arguments = [[b"name", b"key", b"type", b"key"], [b"name", b"path", b"type", b"string"]]
    docs = [b"json.get", [b"summary", b"Reads JSON.", b"arguments", arguments]]

    def answer(data: bytes) -> bytes:
        if b"LIST" in data:
            return encode2([b"get", b"json.get"])
        return encode2(docs) if b"DOCS" in data and b"json.get" in data else b"+OK\r\n"

    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with fake_server(answer) as port, client("-p", str(port), env=env) as terminal:
        terminal.show("Tab completes")
        terminal.prompt()
        terminal.type("json.get ")
        terminal.show("json.get key path")
        terminal.type("a ")
        terminal.show("json.get a path")


def test_hints_know_the_version_of_the_server(history: Path) -> None:
    def answer(data: bytes) -> bytes:
        return encode2(b"# Server\r\nredis_version:6.0.16\r\n") if b"INFO" in data else b"+OK\r\n"

    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with fake_server(answer) as port, client("-p", str(port), env=env) as terminal:
        terminal.show("Tab completes")
        terminal.prompt()
        terminal.type("set k v ")
        terminal.show("set k v [NX|XX] [EX seconds|PX milliseconds|KEEPTTL]")


def test_several_pasted_lines_run_one_by_one(terminal: Terminal) -> None:
    terminal.type("\x1b[200~echo one\necho two\x1b[201~" + ENTER)
    terminal.show('"one"')
    terminal.show('"two"')


def test_server_goes_and_comes_back(history: Path) -> None:
    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with start_server() as server, client("-p", str(server.port), env=env) as terminal:
        terminal.show("Tab completes")
        terminal.prompt()
        ask(terminal, "shutdown nosave", "not connected>")
        ask(terminal, "ping", f"Could not connect to Redis at 127.0.0.1:{server.port}: Connection refused")


def test_lost_connection_is_made_anew(terminal: Terminal, real_server: RealServer) -> None:
    ask(terminal, "client kill type normal skipme no", "(integer) 1")
    ask(terminal, "ping", "Error: Server closed the connection")
    terminal.show("not connected>")
    ask(terminal, "ping", "PONG")


def test_no_server(history: Path) -> None:
    port = free_port()
    env = {"REDISCLI_HISTFILE": str(history), "PYTHONPATH": os.getcwd()}
    with client("-p", str(port), env=env) as terminal:
        terminal.show(f"Could not connect to Redis at 127.0.0.1:{port}: Connection refused")
        terminal.show("not connected>")
        terminal.type("set ")
        terminal.type(CTRL_D)


def test_no_color(real_server: RealServer) -> None:
    env = {"REDISCLI_HISTFILE": "/dev/null", "PYTHONPATH": os.getcwd(), "NO_COLOR": "1"}
    with client("-p", str(real_server.port), env=env) as terminal:
        terminal.show("Tab completes")
        terminal.prompt()
        ask(terminal, "get nothing", "(nil)")
        ask(terminal, "help get", "summary:")
        terminal.prompt()
        terminal.type("hg" + TAB)
        terminal.show("hgetall")
        assert not any(b"\x1b[%dm" % code in terminal.raw for code in (*range(30, 38), *range(90, 98)))
        assert b"\x1b[38" not in terminal.raw
        assert b"\x1b[48" not in terminal.raw


def test_dumb_terminal_is_plain(real_server: RealServer) -> None:
    env = {"REDISCLI_HISTFILE": "/dev/null", "PYTHONPATH": os.getcwd(), "TERM": "dumb"}
    with client("-p", str(real_server.port), env=env) as terminal:
        terminal.show(f"127.0.0.1:{real_server.port}>")
        ask(terminal, "echo hello", '"hello"')
        assert b"\x1b" not in terminal.raw
        terminal.prompt()
        terminal.type(CTRL_D)
        assert terminal.ended() == 0


def test_narrow_terminal(real_server: RealServer) -> None:
    env = {"REDISCLI_HISTFILE": "/dev/null", "PYTHONPATH": os.getcwd()}
    with client("-p", str(real_server.port), env=env, columns=40, rows=8) as terminal:
        terminal.show("Tab completes")
        terminal.prompt()
        terminal.type("set k ")
        terminal.show("SET key value")
        terminal.type("v" + ENTER)
        terminal.show("OK")


def test_signal_ends_a_command(real_server: RealServer) -> None:
    env = {"PYTHONPATH": os.getcwd()}
    with client("-p", str(real_server.port), "blpop", "nothing", "0", env=env) as terminal:
        wait_for(real_server, b"blpop")
        terminal.type(CTRL_C)
        assert terminal.ended() == -signal.SIGINT
