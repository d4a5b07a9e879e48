"""Lessons on machines: several servers, a shell, restarts, a power cut, and the way back."""

import pytest

from tutor.course.reading import Problems, parse_lesson
from tutor.course.session import Session, TaskDone
from tutor.course.several import MachinesServer
from tutor.course.shell import Shell

TEXT = """---
id: two
title: Two
chapter: 6
order: 1
minutes: 5
wrong_idea: none
servers:
  redis01: {address: 172.16.6.18, config: {protected-mode: "no", repl-diskless-sync-delay: 0}}
  redis02: {address: 172.16.6.57, config: {protected-mode: "no", repl-diskless-sync-delay: 0}}
terminals:
  redis01: {server: redis01}
  redis02: {server: redis02}
  shell: {server: redis01, shell: true}
---

## One

```redis shell
redis01$ ls
redis.conf
```

> **Your turn.** Save.

<details><summary>x</summary>

```yaml task
check:
  - {key: a, value: 1, server: redis02}
  - {file: dump.rdb}
  - {up: redis01}
  - {not: {up: redis02, missing: true}}
solution: [redis02> REPLICAOF 172.16.6.18 6379, redis01> SET a 1, redis01> SAVE]
hints: [Try.]
```

</details>
"""
LESSON = parse_lesson(TEXT, "two.md")


@pytest.fixture(scope="module")
def server():
    made = MachinesServer(LESSON, seed=1)
    yield made
    made.close()


def test_two_servers_and_back_again(server):
    session = Session(LESSON, server)
    session.open()
    assert session.run_example(LESSON.steps[0].examples[0])[0].text == "redis.conf\n"
    events = session.show()
    assert any(isinstance(event, TaskDone) for event in events)
    assert server.peek([b"ROLE"], 0, "redis02")[:3] == [b"slave", b"172.16.6.18", 6379]
    assert server.peek([b"ROLE"], 0, "redis01")[2][0][:2] == [b"172.16.6.57", b"6379"]
    session.submit("shell", "pkill -9 redis-server")
    assert server.prompt("redis01") == "not connected> "
    assert session.submit("redis01", "GET a")[0].text == (
        "Could not connect to Redis at 172.16.6.18:6379: Connection refused\n"
    )
    session.submit("shell", "sudo systemctl start redis-server")
    assert session.submit("redis01", "GET a")[0].text == '"1"\n'
    session.undo()
    assert not server.machines.find("redis01").running
    session.reset_step()
    assert server.peek([b"GET", b"a"], 0, "redis02") is None
    assert session.submit("redis02", "REPLICAOF 172.16.6.99 6379")[0].text == "OK\n"
    assert server.peek([b"INFO", b"replication"], 0, "redis02")


@pytest.mark.parametrize(
    "line, said",
    [
        ("cat /etc/passwd", "this machine has the server's files only"),
        ("cat ../../x", "this machine has the server's files only"),
        ("cp redis.conf /tmp/x", "this machine has the server's files only"),
        ("echo x > ../x", "this machine has the server's files only"),
        ("scp redis.conf ../x:y", "no such host"),
        ("scp redis.conf redis02:../../y", "this machine has the server's files only"),
        ("python3 -c 1", "command not found"),
        ("ls; reboot", "reboot: command not found"),
        ("ls & reboot", "knows |, ;, > and >> only"),
        ("nc 10.0.0.1 80", "Connection refused"),
        ("redis-cli -h 8.8.8.8 PING", "Connection refused"),
        ("redis-cli --rdb /tmp/x", "does not take --rdb"),
        ("redis-cli -u redis://8.8.8.8 PING", "does not take -u"),
        ("redis-cli --eval /etc/passwd", "does not take --eval"),
        ("truncate -s 99999999999 redis.conf", "No space left"),
        ("printf '\\x'", "printf: "),
        ("sleep nan", ""),
        ("cp redis.conf none/x", "cp: "),
        ("rm -r /", "this machine has the server's files only"),
        ("echo 'a", "No closing quotation"),
        ("| ls", "syntax error"),
        ("", ""),
    ],
)
def test_the_shell_reaches_nothing_outside(server, line, said):
    assert said in Shell(server.machines, "redis01").run(line)


def test_the_shell_knows_files(server):
    shell = Shell(server.machines, "redis01")
    shell.run("echo hello world > note")
    assert shell.run("cat note") == "hello world\n"
    assert shell.run("echo again >> /var/lib/redis/note") == ""
    assert shell.run("cat note | grep again | wc -l") == "1\n"
    assert shell.run("wc -c note") == "18 note\n"
    shell.run("cp note other")
    shell.run("truncate -s -6 other")
    assert shell.run("cat other") == "hello world\n"
    assert shell.run("xxd other").startswith("00000000: 6865 6c6c 6f20 776f 726c 640a")
    assert shell.run("scp other 172.16.6.57:").startswith("other  100%")
    assert Shell(server.machines, "redis02").run("ls") == "other\nredis.conf\n"
    shell.run("rm note other")
    assert shell.run("ls note") == "ls: cannot access 'note': No such file or directory\n"


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("172.16.6.57", "172.16.6.18", "two servers have one address"),
        ("172.16.6.57", "10.0.0.1", "is not of the form"),
        ("{server: redis02}", "{server: redis03}", "names no server of this lesson"),
        ("{up: redis01}", "{up: redis03}", "there is no server 'redis03'"),
        ("redis01$ ls", "redis01> ls", "a shell's transcript begins"),
    ],
)
def test_what_is_wrong_is_told(old, new, told):
    with pytest.raises(Problems) as caught:
        parse_lesson(TEXT.replace(old, new), "two.md")
    assert told in str(caught.value)
