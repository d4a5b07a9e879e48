"""Lessons on machines: several servers, a shell, restarts, a power cut, and the way back."""

import re
from pathlib import Path

import pytest

from tutor.lesson import benchmark
from tutor.lesson.machines import RealMachine
from tutor.lesson.model import ServerSpec
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.reading import Problems, parse_lesson
from tutor.lesson.session import Session, TaskDone
from tutor.lesson.shell import Shell

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
    assert server.inspect([b"ROLE"], 0, "redis02")[:3] == [b"slave", b"172.16.6.18", 6379]
    assert server.inspect([b"ROLE"], 0, "redis01")[2][0][:2] == [b"172.16.6.57", b"6379"]
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
    assert server.inspect([b"GET", b"a"], 0, "redis02") is None
    assert session.submit("redis02", "REPLICAOF 172.16.6.99 6379")[0].text == "OK\n"
    assert server.inspect([b"INFO", b"replication"], 0, "redis02")


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


def test_options_of_the_shell_do_what_they_say_or_are_refused(server):
    shell = Shell(server.machines, "redis01")
    shell.run("echo saved one > notes; echo Saved two >> notes; echo three a.c >> notes; echo none > more")
    for line, printed in [
        ("grep -v saved notes", "Saved two\nthree a.c\n"),
        ("grep -iv saved notes", "three a.c\n"),
        ("grep saved notes -i -n", "1:saved one\n2:Saved two\n"),
        ("cat notes | grep -vc saved", "2\n"),
        ("grep -n '^Saved' notes", "2:Saved two\n"),
        ("grep -F a.c notes", "three a.c\n"),
        ("grep -F '.*' notes", ""),
        ("grep o notes more", "notes:saved one\nnotes:Saved two\nmore:none\n"),
        ("grep -- -v notes", ""),
        ("grep '[' notes", "grep: unterminated character set at position 0\n"),
        ("grep -w one notes", "grep: this small shell does not take -w: grep [-cinvF] TEXT FILE\n"),
        ("wc -w notes", "6 notes\n"),
        ("wc -L notes", "wc: this small shell does not take -L: wc -c|-l|-w FILE\n"),
        ("tail -f notes", "tail: this small shell does not take -f: tail -n N FILE\n"),
        ("cat -n notes", "cat: this small shell does not take -n: cat FILE\n"),
    ]:
        assert shell.run(line) == printed, line
    shell.run("rm notes more")


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
    ("script", "left"),
    [
        ("s/10000/500/", "maxclients 500\nport 6379 (or 10001)\n"),
        ("s/1000/2/g", "maxclients 20\nport 6379 (or 21)\n"),
        ("s|(or .*)|now|", "maxclients 10000\nport 6379 now\n"),
        ("/^port/d", "maxclients 10000\n"),
    ],
)
def test_sed_edits_a_file(server, script, left):
    shell = Shell(server.machines, "redis01")
    shell.run("echo maxclients 10000 > note; echo 'port 6379 (or 10001)' >> note")
    assert shell.run(f"sed '{script}' note") == left
    assert shell.run(f"sudo sed -i '{script}' note") == ""
    assert shell.run("cat note") == left


def test_redis_is_installed_only_from_a_trusted_repository(monkeypatch, server):
    shell = Shell(server.machines, "redis01")
    monkeypatch.setattr(server.machines.specs["redis01"], "installed", False)
    keyring = "/usr/share/keyrings/redis-archive-keyring.gpg"
    source = f'echo "deb [signed-by={keyring}] https://packages.redis.io/deb $(lsb_release -cs) main"'
    assert shell.run("redis-cli PING") == "bash: redis-cli: command not found\n"
    assert "could not be found" in shell.run("systemctl start redis-server")
    assert "Could not resolve" in shell.run("curl -fsSL https://example.com/gpg")
    assert shell.run(f"{source} | sudo tee /etc/apt/sources.list.d/redis.list").endswith("bookworm main\n")
    assert "NO_PUBKEY" in shell.run("sudo apt-get update")
    assert "Unable to locate" in shell.run("sudo apt-get install redis-server")
    shell.run(f"curl -fsSL https://packages.redis.io/gpg | sudo gpg --dearmor -o {keyring}")
    assert "GPG" not in shell.run("sudo apt-get update")
    assert "Setting up redis-server" in shell.run("sudo apt-get install redis")
    assert shell.run("redis-cli PING") == "PONG\n"
    assert "newest version" in shell.run("sudo apt-get install redis-server")
    assert "redis-archive-keyring" not in shell.run("ls")


def test_a_dump_reaches_another_hosts_data_folder_by_way_of_a_home_folder(server):
    here, there = Shell(server.machines, "redis01"), Shell(server.machines, "redis02")
    here.run("echo data > dump.copy")
    denied = here.run("scp dump.copy ubuntu@172.16.6.57:/var/lib/redis/")
    assert denied == 'scp: dest open "/var/lib/redis/": Permission denied\n'
    assert here.run("scp dump.copy ubuntu@172.16.6.57:/home/ubuntu").startswith("dump.copy  100%")
    assert there.run("ls /home/ubuntu") == "dump.copy\n"
    assert "copy" not in there.run("ls")
    assert there.run("sudo mv /home/ubuntu/dump.copy /var/lib/redis/moved") == ""
    assert there.run("cat moved") == "data\n"
    assert there.run("ls /home/ubuntu") == ""
    assert "No such file" in there.run("cat /home/ubuntu/../x")
    there.run("rm moved")
    here.run("rm dump.copy")


def test_the_shell_prints_the_version_of_the_server(server):
    version = Shell(server.machines, "redis01").run("redis-server -v")
    assert version.startswith("Redis server v=7.2.4 sha=00000000:0 malloc=")


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


def test_a_server_that_the_learner_cannot_start_comes_back_by_itself():
    server = MachinesServer(LESSON, seed=1)
    try:
        session = Session(LESSON, server)
        session.open()
        session.submit("redis02", "REPLICAOF 172.16.6.18 6379")
        session.submit("redis01", "SET a 1")
        assert server.execute("redis02", [b"GET", b"a"]) == [b"1"]
        session.submit("redis02", "SHUTDOWN")
        (told,) = server.notices()
        assert told == "The server redis02 has shut down. It was restarted with the same data."
        session.submit("redis01", "SET b 2")  # the replica follows again
        assert server.execute("redis02", [b"MGET", b"a", b"b"]) == [[b"1", b"2"]]
        session.undo()
        assert server.execute("redis02", [b"MGET", b"a", b"b"]) == [[b"1", None]]
        session.submit("redis01", "SHUTDOWN")  # this one has a shell, and is started there
        assert server.notices() == []
        assert server.inspect([b"GET", b"a"], server="redis01").text.startswith(b"the server of redis01 does not run")
        session.submit("shell", "systemctl start redis-server")
        assert server.execute("redis01", [b"GET", b"a"]) == [b"1"]
    finally:
        server.close()


def test_a_file_that_a_server_removes_while_it_is_listed_is_none(tmp_path, monkeypatch):
    ports, addresses = {6379: 7000, 26379: 7001}, {"172.16.6.18": "127.0.0.1"}
    machine = RealMachine("redis01", ServerSpec(address="172.16.6.18"), tmp_path, "none", ports, addresses)
    machine.write("dump.rdb", b"x")
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: [*listed(self, pattern), self / "temp-1.rdb"])
    assert machine.files() == {"dump.rdb": 1}
    assert machine._sizes() == {str(machine.folder / "dump.rdb"): 1}


def test_redis_benchmark_measures_the_lessons_server(server):
    shell = Shell(server.machines, "redis01")
    server.execute("redis01", [b"FLUSHALL"])
    said = shell.run("redis-benchmark -n 20 -c 4 -P 2 -q -r 5 -t set,INCR -d 9")
    assert re.fullmatch(
        r"(SET|INCR): [\d.]+ requests per second, p50=[\d.]+ msec\n" * 2, said.replace("INCR:", "SET:")
    )
    (keys,) = server.execute("redis01", [b"KEYS", b"*"])
    assert {len(key) for key in keys} == {len("key:000000000001"), len("counter:000000000001")}
    assert "10 requests completed" in shell.run("redis-benchmark -n 10 -c 1 RPUSH list a")
    assert server.execute("redis01", [b"LLEN", b"list"]) == [10]
    csv = shell.run("redis-benchmark -n 2 -c 1 --csv -t ping").splitlines()
    assert [row.count('","') for row in csv] == [7, 7, 7] and csv[1].startswith('"PING_INLINE","')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-x", 'Invalid option "-x" or option argument missing'),
        ("-n", 'Invalid option "-n" or option argument missing'),
        ("-n many", "-n takes a number"),
        ("-n 0", "at least 1"),
        ("-c 200", "-c is a number from 1 to 100"),
        ("-t st", "There is no test 'st'"),
        ("-n 1 -c 1 INCR list", "Error from server: WRONGTYPE"),
        ("-a wrong -n 1 -c 1", "ERR AUTH <password> called without any password configured"),
        ("-p 1234", "Connection refused"),
        ("-h 1.2.3.4", "Connection refused"),
    ],
)
def test_redis_benchmark_says_what_is_wrong(server, options, said):
    server.execute("redis01", [b"RPUSH", b"list", b"a"])
    assert said in Shell(server.machines, "redis01").run(f"redis-benchmark -q {options}")


def test_a_benchmark_ends_in_time(monkeypatch, server):
    shell = Shell(server.machines, "redis01")
    monkeypatch.setattr(benchmark, "TEST_SECONDS", 0.0)
    assert "(stopped after 0 seconds: 2 of 100000 requests)" in shell.run("redis-benchmark -q -c 2 -t set")
    monkeypatch.setattr(benchmark, "ALL_SECONDS", -1.0)
    assert "-t chooses tests" in shell.run("redis-benchmark -q -c 2")


def test_folders_are_copied_and_moved(server):
    shell = Shell(server.machines, "redis01")
    server.execute("redis01", [b"CONFIG", b"SET", b"appendonly", b"yes"])
    files = shell.run("ls appendonlydir")
    assert shell.run("cp appendonlydir copy") == "cp: -r not specified; omitting directory 'appendonlydir'\n"
    assert shell.run("cp -r appendonlydir copy; ls copy") == files
    assert shell.run("cp -r appendonlydir copy; ls copy/appendonlydir") == files
    assert shell.run("mv copy/appendonlydir moved; ls moved; ls copy") == files * 2
    assert "cannot overwrite non-directory" in shell.run("cp -r copy redis.conf")
    assert "into itself" in shell.run("cp -r copy copy")
    shell.run("rm -r copy moved")


def test_redis_check_aof_finds_what_is_wrong(server):
    shell = Shell(server.machines, "redis01")
    for argv in ([b"CONFIG", b"SET", b"appendonly", b"yes"], [b"SET", b"a", b"1"], [b"SET", b"b", b"2"]):
        server.execute("redis01", argv)
    shell.run("cp -r appendonlydir copy")
    manifest = "copy/appendonly.aof.manifest"
    base, increment = re.findall(r"appendonly.aof.\d.\w+.\w+", shell.run(f"cat {manifest}"))
    assert shell.run(f"redis-check-aof {manifest}").endswith("All AOF files and manifest are valid\n")
    assert "Is a directory" in shell.run("redis-check-aof copy")
    assert shell.run("redis-check-aof --bad copy").startswith("Usage:")
    assert "No such file" in shell.run("redis-check-aof copy/none")
    shell.run(f"truncate -s -3 copy/{increment}")
    said = shell.run(f"redis-check-aof {manifest}")
    assert (
        said.endswith(f"AOF {increment} is not valid. Use the --fix option to try fixing it.\n") and "diff=24" in said
    )
    assert f"Successfully truncated AOF {increment}" in shell.run(f"redis-check-aof --fix {manifest}")
    assert shell.run(f"redis-check-aof copy/{increment}").endswith("is valid\n")
    shell.run(f"printf '*1\\r\\n$5\\r\\nMULTI\\r\\n' >> copy/{increment}")
    assert "is not valid" in shell.run(f"redis-check-aof copy/{increment}")
    shell.run(f"echo rubbish > copy/{increment}")
    assert "is not valid" in shell.run(f"redis-check-aof copy/{increment}")
    shell.run(f"truncate -s -9 copy/{base}")
    assert "RDB ERROR DETECTED" in shell.run(f"redis-check-aof {manifest}")
    shell.run(f"rm copy/{base}")
    assert f"Cannot open file copy/{base}" in shell.run(f"redis-check-aof {manifest}")
    shell.run(f"echo rubbish > {manifest}")
    assert "Invalid manifest file" in shell.run(f"redis-check-aof {manifest}")
    shell.run("rm -r copy")
