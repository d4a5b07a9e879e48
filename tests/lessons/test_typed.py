"""What was typed is compared as a command: options in any order and case, and no accusation without proof."""

import itertools

import pytest

from tutor.lesson import checks, typed
from tutor.lesson.catalogue import installed_course
from tutor.lesson.checks import Attempt
from tutor.lesson.model import CheckCondition
from tutor.lesson.session import words_of
from tutor.prompt import split_args

COURSE = installed_course()
OPTIONS = ("NX", "EX 30", "GET")


def argv(line):
    return tuple(split_args(line))


@pytest.mark.parametrize("options", list(itertools.permutations(OPTIONS)), ids=" ".join)
def test_options_come_in_any_order_and_case(options):
    for form in (str.upper, str.lower, str.title):
        line = argv("set lock:stock abc " + form(" ".join(options)))
        for order in itertools.permutations(OPTIONS, 2):
            assert typed.fits("SET lock:stock * " + " ".join(order), line)
        assert not typed.fits("SET lock:stock * XX", line)
        assert not typed.fits("SET lock:stock * EX 31", line)
        assert not typed.fits("SET other * NX", line)
        assert not typed.lacks(line, ["NX"])
        assert typed.lacks(line, ["XX", "PX"])


@pytest.mark.parametrize(
    "pattern, line, fitting",
    [
        ("SET country France NX", "SET country France EX 1000 NX", True),
        ("SET country France NX", "SET country France EX 1000", False),
        ("SET country France NX", "SET country NX", False),
        ("SET country France", "SET country France NX", True),
        ("SET country NX", "SET country NX", True),  # NX is a value here
        ("SET rate:grace * EX *", "SET rate:grace 0 NX EX 60", True),
        ("SET rate:grace * EX *", "SET rate:grace 0 NX", False),
        ("redis-benchmark -c 10 *", "redis-benchmark -t incr -n 5 -c 10 -q", True),
        ("redis-benchmark -c 10 *", "redis-benchmark -t incr -n 10 -c 5 -q", False),
        ("redis-benchmark LRANGE log 0 -1", "redis-benchmark -q -n 10 LRANGE log 0 -1", True),
        ("redis-cli -r 2 -i 0.5 *", "redis-cli -p 6379 -i .50 -r 2 INFO stats | grep keyspace", True),
        ("redis-cli -r 2 -i 0.5 *", "redis-cli -r 2 -i 5 INFO stats", False),
        ("redis-cli -r 2 -i 0.5 *", "redis-cli -r 2 INFO stats", False),
        ("pkill -9 *", "pkill -KILL redis-server", True),
        ("pkill -9 *", "sudo pkill redis-server -9", True),
        ("pkill -9 *", "pkill redis-server", False),
        ("redis-benchmark LRANGE log 0 -1", "redis-benchmark -q -n 10 LRANGE log 0 9", False),
        ("DEL a", "DEL a b", False),
        ("DEL a *", "DEL a", True),
        ("DEL a *", "DEL a b c", True),
        ("DEL a,b,c", "del a,b,c", True),
        ("EXEC", "exec", True),
        ("EXEC", "EXEC now", False),
        ("ZADD board *", "ZADD board NX CH 1 ada", True),
        ("ZADD board 1 ada CH", "ZADD board NX CH 1 ada", False),  # a pattern that is no syntax means its words
        ("ZADD board CH 1 ada", "ZADD board ch nx 1 ada", True),
        ("ZADD tutorials postgres *", "ZADD tutorials postgres 9", True),
        ("ZRANGE board 2 4 *", "zrange board 2 4 withscores rev", True),
        ("ZRANGE board 0 9 LIMIT 0 *", "ZRANGE board 0 9 BYSCORE LIMIT 0 5", True),
        ("ZRANGE board 0 9 LIMIT 1 *", "ZRANGE board 0 9 BYSCORE LIMIT 0 5", False),
        ("GEOSEARCH sicily FROMMEMBER Agrigento *", "GEOSEARCH sicily FROMMEMBER Agrigento BYRADIUS 90 km", True),
        ("GEOSEARCH sicily FROMMEMBER Agrigento", "GEOSEARCH sicily FROMMEMBER Agrigento BYRADIUS 90 km ASC", False),
        ("XREADGROUP GROUP team bert *", "XREADGROUP GROUP team bert COUNT 1 STREAMS jobs >", True),
        ("SCAN 0 MATCH page:* COUNT 100", "SCAN 0 COUNT 100 MATCH page:x", True),
        ("CONFIG SET save *", "config set save ''", True),
        ("CONFIG GET *", "CONFIG GET port", True),
        ("CONFIG GET *", "CONFIG SET port 1", False),
        ("REPLICAOF NO ONE", "slaveof no one", True),
        ("EVAL * 0 red green", "EVAL_RO 'return 1' 0 red green", True),
        ("EVAL *", "EVALSHA abc 0", True),
        ("EVAL *HGET* 0", "EVALSHA abc 0", False),
        ("EVALSHA *", "EVAL x 0", False),
        ("FUNCTION LOAD REPLACE *", "function load replace x", True),
        ("SHUTDOWN SAVE", "shutdown save now", True),
        ("SHUTDOWN SAVE", "shutdown nosave", False),
        ("GETEX session:42 *", "GETEX session:42 EX 10", True),
        ("BLPOP todo", "BLPOP todo", True),
        ("BLPOP todo", "BLPOP todo 5", False),
        ("SET colour blue", "redis-cli SET colour blue", True),
        ("SET colour blue", "redis-cli -h redis01 -n 3 SET colour blue EX 9", True),
        ("SHUTDOWN SAVE", "sudo redis-cli SHUTDOWN SAVE", True),
        ("redis-cli *", "redis-cli INFO | grep sync", True),
        ("INFO *", "redis-cli INFO stats | grep sync", True),
        ("pkill *", "pkill -9 redis-server", True),
        ("*", "anything at all", False),
        ("SET x 1", "", False),
    ],
)  # fmt: skip
def test_patterns(pattern, line, fitting):
    assert typed.fits(pattern, argv(line)) is fitting


@pytest.mark.parametrize(
    "line, lacking",
    [
        ("SET k v", True),
        ("SET k v EX 5", True),
        ("SET k v PX 5 nx", False),
        ("SET k v NOX", False),  # not understood: nothing is proved
        ("SET k", False),
        ("FOO k v", False),
        ("SET k NX", True),  # a value
        ("redis-cli SET k v", True),
        ("", False),
    ],
)
def test_only_a_command_that_was_understood_lacks_an_option(line, lacking):
    assert typed.lacks(argv(line), ["NX"]) is lacking


def attempt(line, failed=False):
    return Attempt("redis", argv(line), "OK\n", failed=failed)


@pytest.mark.parametrize(
    "condition, line, holds",
    [
        ({"reads": "price"}, "GET price", True),
        ({"reads": "price"}, "MGET a price", True),
        ({"reads": "price"}, "GETRANGE price 0 -1", True),
        ({"reads": "price"}, "SET price 1", False),
        ({"reads": "price"}, "GET prices", False),
        ({"reads": "*"}, "HGETALL user:1", True),
        ({"reads": "*"}, "PING", False),
        ({"writes": "price"}, "INCRBY price 3", True),
        ({"writes": "price"}, "MSET a 1 price 3", True),
        ({"writes": "price"}, "GETDEL price", True),
        ({"writes": "price"}, "GET price", False),
        ({"writes": "price"}, "redis-cli INCR price", True),
    ],
)
def test_reads_and_writes(condition, line, holds):
    found = checks.check([CheckCondition(**condition)], lambda argv, db: None, [attempt(line)])
    assert found.holds is holds
    assert not checks.check([CheckCondition(**condition)], lambda argv, db: None, [attempt(line, failed=True)]).holds


def conditions(lesson):
    """Yield every condition of a lesson, with the task that it belongs to."""
    for step in lesson.steps:
        for task in step.tasks:
            waiting = [*task.conditions, *(wrong.when for wrong in task.wrong if wrong.when)]
            while waiting:
                each = waiting.pop()
                waiting += [*(each.any or ()), *(each.all or ()), *([each.not_] if each.not_ else [])]
                yield task, each


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_no_shipped_pattern_depends_on_the_order_of_options(lesson):
    """A pattern with options is one that can be parsed, so that no right answer is refused for its order."""
    tokens = {"NX", "XX", "EX", "PX", "GET", "GT", "LT", "CH", "REV", "BYSCORE", "BYLEX", "LIMIT", "WITHSCORES"}
    for task, condition in conditions(lesson):
        patterns = condition.typed or []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            words = pattern.split()
            if tokens & set(words[2:]) and words[0] != "redis-cli":  # a shell's line is no command of Redis
                assert typed.parse(words, pattern=True) is not None, f"{lesson.path}:{task.spec_line}: {pattern}"


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_every_command_of_a_solution_can_be_parsed(lesson):
    """What the matcher cannot read it cannot compare by its parts."""
    for step in lesson.steps:
        for task in step.tasks:
            for line in task.solution:
                words = [word.decode() for word in words_of(line)]
                if "> " not in line and typed.CommandDocs.load().find(words):
                    assert typed.parse(words) is not None, line
