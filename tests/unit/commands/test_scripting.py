"""Scripts: what is propagated, who sees it, and the gates that a script's own flags set."""

import pytest

from tests.unit.commands.drive import Drive


@pytest.fixture
def drive():
    driven = Drive()
    yield driven
    driven.check()


def run(drive, script, *keys, link=1):
    return drive([b"EVAL", script, b"%d" % len(keys), *keys], link=link)


def test_effects_are_propagated_as_one_unit(drive):
    run(drive, b"redis.call('set', KEYS[1], 1)", b"a")
    assert drive.changes() == [b"set a 1"]
    run(drive, b"redis.call('set', 'a', 1) redis.call('incr', 'a') return redis.call('get', 'a')")
    assert drive.changes() == [b"MULTI", b"set a 1", b"incr a", b"EXEC"]
    run(drive, b"return redis.call('get', 'a')")
    assert drive.changes() == []


def test_what_was_written_before_an_error_is_propagated(drive):
    assert b"nosuch" not in run(drive, b"redis.call('set', 'a', 1) redis.call('nosuch')")
    assert drive.changes() == [b"set a 1"]


def test_set_repl_keeps_changes_to_the_node(drive):
    run(
        drive,
        b"redis.set_repl(redis.REPL_NONE) redis.call('set', 'a', 1) redis.set_repl(3) redis.call('set', 'b', 1)",
    )
    assert drive.changes() == [b"set b 1"]
    assert drive(b"GET a") == b"$1\r\n1\r\n"


def test_a_script_in_a_transaction_is_part_of_its_unit(drive):
    drive(b"MULTI")
    run(drive, b"redis.call('incr', 'a')")
    drive(b"INCR a")
    assert drive(b"EXEC") == b"*2\r\n$-1\r\n:2\r\n"
    assert drive.changes() == [b"MULTI", b"incr a", b"INCR a", b"EXEC"]


def test_spop_is_propagated_as_what_it_removed(drive):
    drive(b"SADD s one")
    drive.changes()
    run(drive, b"return redis.call('spop', 's')")
    assert drive.changes() == [b"SREM s one"]


def test_select_within_a_script_stays_there(drive):
    run(drive, b"redis.call('select', 5) redis.call('set', 'a', 1)")
    assert drive(b"EXISTS a") == b":0\r\n"
    drive(b"SELECT 5")
    assert drive(b"EXISTS a") == b":1\r\n"


def test_blocking_commands_answer_at_once(drive):
    assert run(drive, b"return redis.call('blpop', 'l', 0)") == b"*-1\r\n".replace(b"*-1", b"$-1")


def test_a_push_from_a_script_serves_who_waits(drive):
    assert drive(b"BLPOP l 0", link=2) == b""
    run(drive, b"redis.call('rpush', 'l', 'a', 'b') return redis.call('llen', 'l')")
    assert drive.take(2) == b"*2\r\n$1\r\nl\r\n$1\r\na\r\n"
    assert drive.changes() == [b"rpush l a b", b"LPOP l"]


def test_monitor_shows_the_script_before_its_commands(drive):
    drive(b"MONITOR", link=3)
    run(drive, b"return redis.call('set', 'a', '1')")
    lines = drive.take(3).split(b"\r\n")
    assert b'"EVAL"' in lines[0] and lines[1].endswith(b'[0 lua] "set" "a" "1"')


def test_acl_holds_within_scripts(drive):
    drive(b"ACL SETUSER bob on nopass ~a* +eval +get +set -flushall")
    drive(b"AUTH bob x", link=2)
    assert run(drive, b"return redis.call('set', 'a1', 1)", link=2) == b"+OK\r\n"
    denied = run(drive, b"return redis.call('set', 'b', 1)", link=2)
    assert denied.startswith(b"-ERR ACL failure in script: No permissions to access a key")
    denied = run(drive, b"return redis.call('flushall')", link=2)
    assert denied.startswith(b"-ERR ACL failure in script: User bob has no permissions to run the 'flushall' command")
    assert run(drive, b"return redis.acl_check_cmd('set', 'a', 1)", link=2) == b":1\r\n"
    assert run(drive, b"return redis.acl_check_cmd('set', 'b', 1)", link=2) == b"$-1\r\n"


def test_read_only_scripts_do_not_write(drive):
    for call in (
        [b"EVAL_RO", b"return redis.call('set', 'a', 1)", b"0"],
        [b"EVAL", b"#!lua flags=no-writes\nreturn redis.call('set', 'a', 1)", b"0"],
        [b"EVAL_RO", b"return redis.call('publish', 'a', 1)", b"0"],
    ):
        assert drive(call).startswith(b"-ERR Write commands are not allowed from read-only scripts.")
    assert drive([b"EVAL_RO", b"#!lua\nreturn 1", b"0"]).startswith(b"-ERR Can not execute a script with write flag")


def test_memory_is_short(drive):
    drive(b"CONFIG SET maxmemory 1")
    assert run(drive, b"return redis.call('set', 'a', 1)").startswith(b"-OOM")
    assert run(drive, b"return redis.call('get', 'a')") == b"$-1\r\n"
    assert run(drive, b"#!lua\nreturn 1").startswith(b"-OOM")
    assert run(drive, b"#!lua flags=no-writes\nreturn 1") == b":1\r\n"
    assert run(drive, b"#!lua flags=allow-oom\nreturn redis.call('set', 'a', 1)") == b"+OK\r\n"
    assert run(drive, b"redis.call('del', 'a') return redis.call('set', 'a', 1)") == b"+OK\r\n"


def test_random_numbers_follow_redis(drive):
    script = b"math.randomseed(1) return {math.random(1000), math.random(5, 10), math.random() * 1e6}"
    assert run(drive, script) == run(drive, script)
    assert run(drive, b"return math.random(0)").startswith(b"-ERR user_script:1: bad argument #1 to 'random'")


def test_libraries_are_propagated_and_saved(drive):
    source = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"
    drive([b"FUNCTION", b"LOAD", source])
    assert drive.changes() == [b"FUNCTION LOAD " + source]
    assert drive.node.function_sources() == [source]
    drive(b"FLUSHALL")
    assert drive(b"FCALL F 0") == b":1\r\n"
    drive(b"FUNCTION FLUSH")
    assert drive.node.function_sources() == []


def test_a_failed_replacement_leaves_the_library(drive):
    drive([b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"])
    bad = b"#!lua name=lib\nredis.register_function('f', function() return 2 end) error('x')"
    assert drive([b"FUNCTION", b"LOAD", b"REPLACE", bad]).startswith(b"-ERR Error registering functions")
    assert drive(b"FCALL f 0") == b":1\r\n"


def test_scripts_are_counted(drive):
    run(drive, b"return 1")
    drive([b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"])
    told = drive.node.scripting_memory()
    assert (told.cached, told.functions, told.libraries) == (1, 1, 1)
    assert told.scripts > 0 and told.function_bytes > 0
