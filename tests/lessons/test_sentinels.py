"""Lessons with Sentinels as machines: their prompt, files, shell, checks, the passing of time, and undo."""

import threading

import pytest

from tests.lessons.conversing import converse
from tests.waiting import PATIENCE_S
from tutor.lesson.catalogue import installed_course
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.reading import parse_lesson
from tutor.lesson.session import Session, TaskDone, only_looks
from tutor.lesson.shell_terminal import ShellLink
from tutor.lesson.typed import declared
from tutor.verify import prove_text

TEXT = """---
id: watched
title: Watched
chapter: 7
order: 1
minutes: 5
wrong_idea: none
servers:
  redis01: {address: 172.16.6.18, config: {protected-mode: "no", repl-diskless-sync-delay: 0}}
  redis02: {address: 172.16.6.57, config: {protected-mode: "no", repl-diskless-sync-delay: 0, replicaof: 172.16.6.18 6379}}
  s1: {address: 172.16.6.101, sentinel: true, config: {sentinel: "monitor mymaster 172.16.6.18 6379 2\\ndown-after-milliseconds mymaster 1000"}}
  s2: {address: 172.16.6.102, sentinel: true, config: {sentinel: "monitor mymaster 172.16.6.18 6379 2\\ndown-after-milliseconds mymaster 1000"}}
terminals:
  s1: {server: s1}
  news: {server: s2}
  shell: {server: redis01, shell: true}
  shell2: {server: s2, shell: true}
---

## One

> **Your turn.** Have the replica promoted.

<details><summary>x</summary>

```yaml task
check: {command: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster, server: s1, is: [172.16.6.57, "6379"]}
solution: [shell> pkill -9 redis-server, shell> sleep 5]
hints: [Try.]
```

</details>
"""  # noqa: E501
LESSON = parse_lesson(TEXT, "watched.md")


@pytest.fixture(scope="module")
def server():
    made = MachinesServer(LESSON, seed=1)
    yield made
    made.close()


def test_sentinels_know_everything_when_the_lesson_begins(server):
    session = Session(LESSON, server)
    session.open()
    assert server.prompt("s1") == "172.16.6.101:26379> "
    assert "slaves=1,sentinels=2" in session.submit("s1", "INFO sentinel")[0].text
    assert session.submit("shell2", "ls")[0].text == "sentinel.conf\n"
    assert "known-replica mymaster 172.16.6.57 6379" in session.submit("shell2", "cat sentinel.conf")[0].text
    assert "+monitor master mymaster" in session.submit("shell2", "cat redis-sentinel.log")[0].text
    told = session.submit(
        "shell2", "redis-cli -p 26379 PING; redis-cli -h 172.16.6.101 -p 26379 PING; redis-cli PING"
    )
    assert told[0].text == "PONG\nPONG\nCould not connect to Redis at 127.0.0.1:6379: Connection refused\n"
    assert session.submit("shell", "redis-cli -h 172.16.6.101 -p 6379 PING")[0].text.startswith("Could not connect")


def test_a_failover_and_the_way_back(server):
    session = Session(LESSON, server)
    session.open()
    session.submit("news", "SUBSCRIBE +switch-master")
    events = session.show()
    assert any(isinstance(event, TaskDone) for event in events)
    arrived = "".join(getattr(event, "text", "") for event in events if type(event).__name__ == "Arrived")
    assert "mymaster 172.16.6.18 6379 172.16.6.57 6379" in arrived
    session.undo()
    session.undo()
    assert server.inspect([b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"mymaster"], 0, "s1")[0] == b"172.16.6.18"


def test_the_shell_of_a_sentinel_knows_its_own_service(server):
    session = Session(LESSON, server)
    session.open()
    assert "Unit redis-server.service not found" in session.submit("shell2", "systemctl stop redis-server")[0].text
    assert "only redis-sentinel" in session.submit("shell2", "pkill -9 redis-server")[0].text
    session.submit("shell2", "systemctl stop redis-sentinel")
    assert server.prompt("news") == "not connected> "
    told = session.submit("news", "PING")[0].text
    assert told == "Could not connect to Redis at 172.16.6.102:26379: Connection refused\n"
    assert "inactive" in session.submit("shell2", "systemctl status redis-sentinel")[0].text
    session.submit("shell2", "systemctl start redis-sentinel")
    assert session.submit("news", "PING")[0].text == "PONG\n"


def test_what_sentinels_understand_is_known_to_checks():
    assert declared(b"sentinel").subcommands
    assert declared(b"get") is not None and declared(b"nonsense") is None
    assert only_looks([b"SENTINEL", b"MASTER", b"mymaster"])
    assert not only_looks([b"SENTINEL", b"FAILOVER", b"mymaster"])
    assert prove_text(LESSON) == []
    wrong = parse_lesson(TEXT.replace("SENTINEL GET-MASTER-ADDR-BY-NAME", "SENTINEL GET-MASTER"), "watched.md")
    assert "has no subcommand `GET-MASTER`" in prove_text(wrong)[0].text


def test_a_shell_is_idle_when_its_last_line_is_done_whatever_was_asked_of_it_meanwhile():
    class Slow:
        prompt = "$ "
        machine = None

        def run(self, line):
            entered.set()
            assert go_on.wait(PATIENCE_S)
            return ""

    entered, go_on, changed = threading.Event(), threading.Event(), threading.Event()
    link = ShellLink("shell", None, "", lambda *_: None, changed.set, lambda _: None)
    link.shell, link._look = Slow(), lambda: None
    link.start()
    link.submit("sleep 5")
    assert entered.wait(PATIENCE_S)
    read = link.read_all()  # waits behind the line
    go_on.set()
    read.result(PATIENCE_S)
    assert changed.is_set() and not link.busy
    link.close()


def test_a_reset_without_a_master_is_named_whatever_is_typed_after_it():
    lesson = installed_course().open("sentinel-challenge")
    typed = [":run"] * 4 + [":terminal sentinel1", "SENTINEL SET mymaster quorum 1", "sentinel reset mymaster"]
    text = converse(lesson, *typed, ":terminal shell2", "systemctl start redis-sentinel", "sleep 5", ":why")
    assert "The quorum only decides when the master counts as down." in text
    assert "Hint: This Sentinel has forgotten redis02." in text
    end = text.rpartition("sleep 5 did not fail")[2]
    assert "sentinel1 has forgotten redis02 and cannot find it" in end and "give the Sentinels" not in end


def test_a_hint_says_that_the_task_names_something_only_if_it_does():
    text = converse(installed_course().open("setting-up-sentinel"), "1", "SENTINEL MASTER master")
    hint = text.rpartition("Hint: ")[2]
    assert "master" in hint and "task names" not in hint


def test_the_picture_of_a_sentinel_is_of_the_servers_and_follows_a_failover():
    typed = ["INFO", ":picture", "SENTINEL FAILOVER mymaster", ":terminal shell", "sleep 5", "sleep 5", ":picture"]
    text = converse(LESSON, *typed)
    first, second = text.split("replication · 2 servers")[1:]
    assert "noeviction" not in text and "0 keys" not in text
    assert "redis01 master" in first and "redis02 replica" in first
    assert "redis02 master" in second, "it was promoted while the shell slept"
    pinned = converse(LESSON, ":picture memory", ":quit")
    assert "A Sentinel stores no keys." in pinned
