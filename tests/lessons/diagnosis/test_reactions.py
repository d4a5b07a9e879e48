"""What the tutor says after lines typed in lessons: the mistake is named, exploration and right answers are not."""

import pytest

from tests.share import share
from tutor.lesson.catalogue import installed_course
from tutor.lesson.model import split_line
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.mutations import measure, misspelled
from tutor.lesson.session import Diagnosed, Foreseen, Nothing, Session, TaskDone

COURSE = installed_course()


def at_a_step(name, number, servers, examples=True):
    """Return a session at a step, its examples run."""
    lesson = COURSE.find(name)
    server = servers(lesson)
    server.renew(lesson.terminals)
    session = Session(lesson, server)
    session.open(number - 1)
    for example in session.step.examples if examples else ():
        if not example.arrives and not example.setup and example.line < session.step.tasks[0].line:
            session.run_example(example)
    return session


def told(session, *lines):
    """Return what is said unasked after lines."""
    events = [event for line in lines for event in session.submit(*split_line(line, session.lesson.terminals))]
    return [event.text for event in events if isinstance(event, Foreseen)]


@pytest.mark.parametrize(
    "lesson, step, line, said",
    [
        ("strings", 3, "SET Motto 'Redis is fast'", "upper and lower case count"),
        ("strings", 3, "SET mottto 'Redis is fast'", "you typed `mottto`"),
        ("strings", 4, "APEND note !", "Did you mean `APPEND`"),
        ("hashes", 3, "HINCRBY tutorialspoint visitors 50", "you typed `50`, but the task names `500`"),
        ("hashes", 3, "APPEND tutorialspoint 500", "holds a hash"),
        ("lists", 3, "RPOP job", "you typed `job`"),
        ("sets", 3, "SREM tutorials MongoDB", "upper and lower case"),
        ("sorted-sets", 2, "ZINCRBY board fifty alan", "must be a number"),
        ("expiry", 1, "SET otp:ada secret EX 2m", "without a unit"),
        ("expiry", 2, "PERSIST cod", "you typed `cod`"),
        ("counters", 1, "INCRBY visitors 80", "`visitors` holds `95`, but"),
        ("pub-sub", 1, "second> PUBLISH redisChat Learn redis by tutorials point", "quotes"),
        ("hash-slots", 1, "FCALL slot user:1000", "number of keys is missing"),
        ("passwords", 2, "AUTH password", "terminal"),
        ("what-redis-is", 2, "set shared hello world", '`"hello world"`'),
        ("what-redis-is", 2, "set 5 shared", "`5` and `shared` are in the wrong order: the key comes first"),
        ("what-redis-is", 2, "st shared 5", "Did you mean `SET`?"),
        ("what-redis-is", 2, "5 set shared", "A number before a command repeats it"),
        ("what-redis-is", 1, "hello echo", "put `echo` in front of `hello`"),
        ("counters", 1, "incrby 85 visitors", "are in the wrong order"),
        ("first-commands", 4, "SELECT 3 SET x 1", "`SET` is not an argument of `SELECT`"),
        ("first-commands", 4, "SET x 1", "the task is about database 3"),
        ("keys", 1, "DEL abc", "`abc` is a single word"),
        ("keys", 1, "DEL *", "takes names, not patterns"),
        ("strings", 2, "SETNX France country", "the key comes first"),
        ("sets", 1, "LPUSH visitors:today ada alan", "holds a list, but the task needs a set"),
        ("sets", 1, "SADD visitors ada alan", "you typed `visitors`"),
        ("sets", 4, "SINTERSTORE ask:alan likes:alan likes:ada", "does not do what the task asks for"),
        ("watch", 3, "SET seat:14 alice", "no transaction is open"),
        ("passwords", 3, "CONFIG SET requirepass longer", "fewer than 16 characters"),
        ("encodings", 2, "SADD primes 2, 3, 5", "Commas become part"),
        ("configuration", 2, "CONFIG SET maxmemory 64mbx maxmemory-policy allkeys-lru", "Look at the value"),
    ],
)
def test_a_near_miss_is_named(lesson, step, line, said, servers):
    texts = told(at_a_step(lesson, step, servers), line)
    assert len(texts) == 1
    assert said in texts[0]


EXPLORING = """
PING|ECHO hi|SET foo bar|GET foo|GET nothing|EXISTS foo|TYPE foo|TTL foo|KEYS *|DBSIZE|INFO server|TIME|SCAN 0
APPEND foo baz|STRLEN foo|INCR n|INCRBY n 5|MSET x 1 y 2|MGET x y z|EXPIRE foo 100|PERSIST foo|DEL x|DEL nothing
RPUSH l a b c|LRANGE l 0 -1|LLEN l|LPOP l|SADD s a b|SADD s a|SMEMBERS s|SISMEMBER s z|SREM s z|HSET h f 1|HSET h f 2
HGET h f|HGETALL h|HGET h nope|ZADD z 1 a 2 b|ZRANGE z 0 -1 WITHSCORES|ZSCORE z q|ZINCRBY z 1 a|PFADD p a|PFADD p a
SETBIT b 3 1|GETBIT b 3|BITCOUNT b|OBJECT ENCODING foo|CONFIG GET maxmemory|CLIENT ID|XADD st * a 1|XRANGE st - +
SET foo "two words"|SET foo '{"a":1}'|GETRANGE foo 0 3|RENAME foo foo2|COPY foo2 foo3|SETEX tmp 100 v|SET lock 1 NX
SET lock 1 NX|PUBLISH news hi|ACL WHOAMI|EVAL "return 1" 0|SORT l ALPHA|SLOWLOG GET|ROLE|SET url http://x/?a=b
""".strip().replace("\n", "|").split("|")  # fmt: skip


PLACES = (
    ("strings", 1), ("hashes", 4), ("lists", 1), ("sets", 3), ("sorted-sets", 3), ("expiry", 2),
    ("transactions", 2), ("scripting", 2), ("locks", 1), ("configuration", 2),
)  # fmt: skip


@pytest.mark.long
def test_free_exploration_is_not_commented_on(servers):
    lines = comments = 0
    places = share(PLACES, 3)
    for name, step in places:
        session = at_a_step(name, step, servers)
        for line in EXPLORING:
            events = session.submit(session.lesson.terminals[0], line)
            if not session.state.attempts[-1].failed:
                lines += 1
                comments += any(isinstance(event, Diagnosed) for event in events)
    assert lines >= 50 * len(places)
    assert comments <= lines // 50


@pytest.mark.long
@pytest.mark.parametrize("lesson", share(COURSE.lessons, 9), ids=lambda lesson: lesson.id)
def test_no_line_of_a_solution_is_accused(lesson, servers):
    if lesson.on_machines:
        server = MachinesServer(lesson, seed=1)
    else:
        server = servers(lesson)
        server.renew(lesson.terminals)
    session = Session(lesson, server)
    session.open()
    said = []
    for index, step in enumerate(lesson.steps):
        if index:
            session.next()
        first = min((task.line for task in step.tasks), default=0)
        for example in step.examples:
            if not example.arrives and not example.setup and example.line < first:
                session.run_example(example)
        said += [event for _ in step.tasks for event in session.show() if isinstance(event, Diagnosed)]
    if lesson.on_machines:
        server.close()
    assert said == []


def test_examples_that_a_task_needs_are_run_first(servers):
    session = at_a_step("lists", 1, servers, examples=False)
    events = session.submit("redis", "RPUSH tutorials postgres")
    assert [type(event) for event in events if isinstance(event, (Nothing, TaskDone))] == [Nothing, TaskDone]
    session.undo()
    assert session.server.inspect([b"EXISTS", b"tutorials"]) == 0


def test_the_database_is_kept_when_examples_are_run_first(servers):
    session = at_a_step("first-commands", 5, servers, examples=False)
    session.submit("redis", "SELECT 8")
    events = session.submit("redis", "FLUSHDB")
    assert any(isinstance(event, TaskDone) for event in events)
    assert session.server.inspect([b"EXISTS", b"precious"]) == 1


def test_a_command_that_was_refused_does_not_count(servers):
    session = at_a_step("scripting", 3, servers)
    session.submit("redis", f"EVALSHA {'f' * 40} 1 visits")
    session.submit("redis", "INCR visits")
    session.submit("redis", "INCR visits")
    assert not session.task_done(session.step.tasks[0])


def test_examples_are_run_before_a_transaction_that_has_begun(servers):
    session = at_a_step("transactions", 1, servers, examples=False)
    events = [
        event
        for line in ("MULTI", "DECRBY acc:a 30", "INCRBY acc:b 30", "EXEC")
        for event in session.submit("alice", line)
    ]
    assert [event for event in events if isinstance(event, TaskDone)]
    assert session.server.inspect([b"GET", b"acc:a"]) == b"70"


def test_what_a_task_does_not_need_is_not_run(servers):
    session = at_a_step("strings", 1, servers, examples=False)
    session.submit("redis", "SET user:1 Ada")
    assert session.server.inspect([b"EXISTS", b"tutorialspoint"]) == 0


def test_a_transaction_of_two_terminals_does_not_count(servers):
    session = at_a_step("transactions", 1, servers)
    texts = told(session, "alice> MULTI", "bob> DECRBY acc:a 30", "bob> INCRBY acc:b 30", "alice> EXEC")
    assert session.open_task is not None
    assert "in the terminal `alice`" in texts[0]
    assert "the transaction was empty" in texts[-1]


def test_why_is_about_the_last_command(servers):
    session = at_a_step("strings", 1, servers)
    session.submit("redis", "GTE x")
    assert "GTE x" in session.why() and "Did you mean `GET`" in session.why()
    session.submit("redis", "PING")
    assert session.why().startswith("`PING` did not fail. The task is not done yet: ")
    session.submit("redis", 'SET user:1 "Ada')
    assert "never closed" in session.why()


def test_an_option_that_excludes_the_wanted_one_is_not_a_missing_option(servers):
    session = at_a_step("expiry", 1, servers)
    session.submit("redis", "SET token x PX 30000")
    assert "Look at the option `PX`: the task needs another option, or another value." in session.why()
    session.submit("redis", "SET fresh x NX")
    assert "An option is missing." in session.why()


def test_why_says_nothing_twice(servers):
    session = at_a_step("what-redis-is", 2, servers)
    session.submit("redis", "st shared 5")
    assert session.why().upper().count("REDIS HAS NO COMMAND") == 1


def test_why_sends_nobody_to_a_key_that_does_not_exist(servers):
    session = at_a_step("counters", 1, servers)
    session.submit(session.lesson.terminals[0], "incrby 85 visitors")
    assert "wrong order" in session.why()
    assert "GET 85" not in session.why()


def test_why_does_not_blame_options_for_missing_quotes(servers):
    session = at_a_step("what-redis-is", 2, servers)
    session.submit("redis", "set shared hello world")
    assert "An option" not in session.why()


def test_a_hint_after_a_success_is_not_about_an_older_failure(servers):
    session = at_a_step("what-redis-is", 1, servers)
    session.submit("redis", "set shared")
    assert "missing after `shared`" in session.hint().text
    session.submit("redis", "set 5 shared")
    session.advice.begin()
    assert "missing after" not in session.hint().text


def test_a_foreseen_hint_about_one_command_is_not_given_for_the_error_of_another(servers):
    session = at_a_step("leaderboards", 1, servers)
    assert "increment" in told(session, "zincrby board bob 100")[0]
    assert told(session, "zadd board bob 580") == ["`bob` and `580` are in the wrong order: the score comes first."]


def test_the_name_of_a_master_is_missing():
    lesson = COURSE.find("setting-up-sentinel")
    server = MachinesServer(lesson, seed=1)
    try:
        session = Session(lesson, server)
        session.open()
        for line in ("sentinel master", "SENTINEL MASTER"):
            name = line.split()[1]
            assert told(session, f"sentinel1> {line}") == [f"The name of the master is missing after `{name}`."]
    finally:
        server.close()


@pytest.mark.parametrize("line", ["SET shared 5", "5 SET shared yes"])
def test_a_right_line_is_not_accused_of_a_wrong_order(line, servers):
    session = at_a_step("what-redis-is", 2, servers)
    assert told(session, line) == []
    assert session.open_task is None


def test_an_open_quote_is_an_attempt(servers):
    session = at_a_step("strings", 1, servers)
    assert told(session, 'SET user:1 "Ada') == [
        'The quote that opens at `"Ada` is never closed, so nothing was sent to Redis.'
    ]
    assert "never closed" in session.hint().text


def test_a_line_in_pieces(servers):
    session = at_a_step("strings", 1, servers)
    assert "belong on one line" in told(session, "SET", "user:1")[-1]


def test_a_foreseen_hint_needs_the_mistake_that_it_speaks_of(servers):
    session = at_a_step("lists", 1, servers)
    assert "postgre" in told(session, "RPUSH tutorials postgre")[0]


def test_a_huge_line_costs_nothing(servers):
    session = at_a_step("strings", 1, servers)
    events = session.submit("redis", "SET user:1, " + "x" * 500_000)
    assert all(len(getattr(event, "text", "")) < 2000 for event in events)
    assert not [event for event in events if isinstance(event, Diagnosed)]
    session.submit("redis", "\x00\udcff" * 100 + ' "')


@pytest.mark.parametrize("name", ["strings", "sets", "locks"])
def test_mistakes_in_solutions_are_named_and_other_ways_accepted(name, servers):
    lesson = COURSE.find(name)
    server = servers(lesson)
    server.renew(lesson.terminals)
    found = measure(lesson, server, every=4)
    assert found.refused == []
    tried = sum(found.tried.values())
    assert tried >= 10
    assert sum(found.named.values()) >= 0.9 * tried, found.missed


@pytest.mark.parametrize(
    "word, wrong", [("SADD", "SDAD"), ("user:1", "usre:1"), ("aab", "aba"), ("5", ""), ("EX", "")]
)
def test_a_typing_mistake(word, wrong):
    assert misspelled(word) == wrong
