"""The walk of the grammar names the argument that is missing, surplus, misplaced, of the wrong kind or misspelled."""

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.diagnosis import commands, syntax
from tutor.lesson.model import split_line
from tutor.prompt import split_args, to_text


def words(line):
    return [to_text(each) for each in split_args(line)]


@pytest.mark.parametrize(
    "typed, slot, said",
    [
        ("SET", "key", "key is missing after `SET`"),
        ("SET a", "value", "value is missing after `a`"),
        ("REPLICAOF NO", "option", "`ONE` is missing after `NO`"),
        ("replicaof none", "option", "`NO ONE` is written as 2 words"),
        ("REPLICAOF 10.0.0.1", "port", "port is missing after `10.0.0.1`"),
        ("SET a 1 EX", "seconds", "`EX` needs a value"),
        ("SET a 1 EX 5s", "seconds", "without a unit"),
        ("SET a 1 EX5", "pair", "between `EX` and `5`"),
        ("SET NX a 1", "key", "where the key belongs"),
        ("RENAME a TO b", "surplus", "`TO` does not belong here"),
        ("SELECT 3 SET x 1", "separator", "not an argument of `SELECT`"),
        ("REPLICAOF 10.0.0.1:6379", "pair", "between `10.0.0.1` and `6379`"),
        ("GEOADD g 1,5 2,5 x", "longitude", "decimals follow a point"),
        ("ZRANGE z (1 inf", "option", "`(1` is not an index"),
        ("KEYS a b", "surplus", "does not accept `b` after `a`"),
        ("CONFIG SAVE", "subcommand", "`REWRITE`"),
        ("SET a 1 EX 5 minutes", "surplus", "`minutes`"),
        ("SET a EX 5 1", "value", "where the value belongs"),
        ("SET a 1 NX XX", "option", "cannot be combined with `NX`"),
        ("SET a 1 NX NX", "surplus", "twice"),
        ("SET a b c", "surplus", 'needs quotes: `"b c"`'),
        ("APPEND a hello big world", "surplus", '`"hello big world"`'),
        ("ECHO hello world", "surplus", '`"hello world"`'),
        ("INCRBY 5 a", "key", "`5` and `a` are in the wrong order: the key comes first"),
        ("EXPIRE 60 a", "key", "the key comes first"),
        ("SENTINEL MASTER", "name", "name of the master is missing after `MASTER`"),
        ("SET a much to say", "surplus", "quotes"),
        ("GET a b", "command", "`MGET` takes exactly these"),
        ("INCR a 5", "command", "`INCRBY` takes exactly these"),
        ("INCRBY a three", "increment", "must be a number"),
        ("INCRBY a 1.5", "increment", "whole number"),
        ("INCRBY a +5", "increment", "not accept a plus sign"),
        ("INCRBY a 1,000", "increment", "without commas"),
        ("ZADD a three x", "score", "must be a number"),
        ("ZADD a x 3", "score", "wrong order"),
        ("ZINCRBY a x 3", "increment", "wrong order"),
        ("LREM a x 3", "count", "wrong order"),
        ("ZRANGE a 0 -1 WITHSCORE", "option", "`WITHSCORES`"),
        ("EXPIRE a 5 XN", "option", "`NX`"),
        ("LINSERT a BEFOR b c", "option", "`BEFORE`"),
        ("CLIENT TRACKING maybe", "option", "`ON` or `OFF`"),
        ("CONFIG", "subcommand", "second word"),
        ("CONFIG GETT a", "subcommand", "`GET`"),
        ("CONFIG SET a", "value", "missing after `a`"),
        ("HSET a f", "value", "missing after `f`"),
        ("HSET a f=1", "pair", "single word"),
        ("BLPOP a", "timeout", "missing after `a`"),
        ("EVAL 'return 1' a", "numkeys", "number of keys is missing"),
        ("MULTI now", "surplus", "does not take arguments"),
        ("PERSIST a 5", "surplus", "does not belong here"),
        ("REPLICAOF host", "port", "missing after `host`"),
        ("REPLICAOF NO NONE", "no-one", "Did you mean `REPLICAOF NO ONE`?"),
        ("SENTINEL REPLICA mymaster", "subcommand", "Did you mean `REPLICAS`?"),
        ("LRANGE a 0", "stop", "missing after `0`"),
    ],
)
def test_the_slot_is_named(typed, slot, said):
    found = syntax.walk(words(typed))
    assert found is not None, typed
    assert found.slot == slot, found
    assert said in found.text


@pytest.mark.parametrize("lesson", installed_course().lessons, ids=lambda lesson: lesson.id)
def test_no_solution_and_no_example_is_accused(lesson):
    typed = [
        split_line(each, lesson.terminals) for step in lesson.steps for task in step.tasks for each in task.solution
    ]
    typed += [(example.terminal, each.command) for step in lesson.steps for example in step.examples
              for each in example.exchanges if each.command and "(error)" not in each.reply]  # fmt: skip
    lines = [line for terminal, line in typed if lesson.is_prompt(terminal)]
    for line in lines:
        argv = words(line) if split_args(line) else []
        if argv and argv[0].isdigit():
            argv = argv[1:]
        found = syntax.walk(argv) if argv else None
        assert found is None or not found.near, (line, found)


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("DELETE", "DEL"), ("STORE", "SET"), ("STE", "SET"), ("GTE", "GET"), ("INCREMENT", "INCR"), ("HSTE", "HSET"),
        ("RPSUH", "RPUSH"), ("ZINCR", "ZINCRBY"), ("LOGIN", "AUTH"), ("CONFIGGET", "CONFIG"), ("GETALL", "HGETALL"),
        ("SETT", "SET"), ("EXISTSS", "EXISTS"), ("PUHS", "RPUSH"), ("BEGIN", "MULTI"), ("COMMIT", "EXEC"),
    ],
)  # fmt: skip
def test_the_command_that_is_meant_comes_first(typed, meant):
    assert commands.suggest(typed)[0] == meant


def test_a_hash_in_a_lesson_about_hashes_needs_no_quotes():
    found = syntax.walk(words("SET user name Ada"), about=("HSET", "HGET"))
    assert found is not None and "`HSET` takes exactly these" in found.text


def test_the_commands_of_the_lesson_are_preferred():
    assert commands.suggest("ADD", ("ZADD",))[0] == "ZADD"
    assert commands.suggest("XYZZY") == []
    assert commands.suggest("x" * 500) == []
