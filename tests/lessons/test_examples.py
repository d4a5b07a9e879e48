"""The examples of the reference pages: each works on its data set, and (nearly) every command has one."""

import pytest

from engine.protocol.errors import ReplyError
from tutor.lesson.datasets import data_sets
from tutor.lesson.examples import NO_DATA, TryOut, examples
from tutor.lesson.server import EngineServer
from tutor.prompt import CommandDocs, split_args

pytestmark = pytest.mark.long

# What cannot be tried in the sandbox: other servers, modules, files of its configuration, what only servers send.
WITHOUT = {
    "ACL LOAD", "ACL SAVE", "ASKING", "CONFIG REWRITE", "FAILOVER", "FUNCTION KILL", "FUNCTION RESTORE", "MIGRATE",
    "MODULE LOAD", "MODULE LOADEX", "MODULE UNLOAD", "PFDEBUG", "PFSELFTEST", "PSYNC", "READONLY", "READWRITE",
    "REPLCONF", "RESTORE-ASKING", "SCRIPT DEBUG", "SCRIPT KILL", "SHUTDOWN", "SYNC",
}  # fmt: skip
LEAVES = {"QUIT", "MONITOR"}  # they are answered, and then the connection serves for nothing else


def words(line: str) -> list[bytes]:
    argv = split_args(line)
    assert argv, line
    return argv


def test_every_command_has_an_example() -> None:
    names = {command.name for command in CommandDocs.load() if not command.is_container}
    cluster = {name for name in names if name.startswith("CLUSTER ")}
    assert names - examples().keys() == WITHOUT | cluster
    assert examples().keys() <= names


@pytest.mark.parametrize("data", [*data_sets(), NO_DATA])
def test_every_example_works_on_its_data(data: str) -> None:
    server = EngineServer(("redis",), ("--enable-debug-command", "yes"), seed=1)
    try:
        for _, line in data_sets()[data].commands if data != NO_DATA else ():
            assert not any(isinstance(reply, ReplyError) for reply in server.execute("redis", words(line))), line
        place = server.mark()
        for example in (each for tries in examples().values() for each in tries if each.data == data):
            run(server, example)
            server.interrupt("redis")
            server.undo(place)
    finally:
        server.close()


def run(server: EngineServer, example: TryOut) -> None:
    """Run an example: every line is answered, and without an error."""
    for line in example.lines:
        replies = server.execute("redis", words(line))
        errors = [reply.text for reply in replies if isinstance(reply, ReplyError)]
        assert replies, (line, example)
        assert not errors or example.command in LEAVES, (line, errors, example)
