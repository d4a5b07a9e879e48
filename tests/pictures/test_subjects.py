"""Every group of commands has a picture."""

from engine.commands import load_all
from engine.table.declarations import SERVER
from tutor.pictures import subjects
from tutor.pictures.subjects import GROUPS, subject_of


def test_each_group_has_a_picture() -> None:
    load_all()
    groups = {command.group for command in SERVER.values()}
    assert groups - set(GROUPS) == set()
    for command in SERVER.values():
        assert subject_of([command.name], command.group)


def test_what_a_command_is_about() -> None:
    about = {
        "SINTER a b": subjects.SETS,
        "SADD a b": subjects.KEY,
        "CONFIG SET appendfsync always": subjects.PERSISTENCE,
        "CONFIG SET maxmemory 1mb": subjects.MEMORY,
        "INFO replication": subjects.REPLICATION,
        "BGSAVE": subjects.PERSISTENCE,
        "REPLICAOF NO ONE": subjects.REPLICATION,
        "CLIENT LIST": subjects.CLIENTS,
        "EVAL x 0": subjects.SCRIPT,
        "NOSUCH a": "",
    }
    for line, subject in about.items():
        argv = line.encode().split()
        command = SERVER.get(argv[0].lower())
        assert subject_of(argv, command.group if command is not None else "") == subject, line
