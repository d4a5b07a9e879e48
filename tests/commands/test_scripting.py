"""Scripts: what is propagated, who sees it, and the checks that a script's own flags ask for."""

import pytest

from tests.commands.drive import Drive


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
    assert drive.node.scripting.sources() == [source]
    drive(b"FLUSHALL")
    assert drive(b"FCALL F 0") == b":1\r\n"
    drive(b"FUNCTION FLUSH")
    assert drive.node.scripting.sources() == []


def test_a_failed_replacement_leaves_the_library(drive):
    drive([b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"])
    bad = b"#!lua name=lib\nredis.register_function('f', function() return 2 end) error('x')"
    assert drive([b"FUNCTION", b"LOAD", b"REPLACE", bad]).startswith(b"-ERR Error registering functions")
    assert drive(b"FCALL f 0") == b":1\r\n"


def test_scripts_are_counted(drive):
    run(drive, b"return 1")
    drive([b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"])
    told = drive.node.scripting.memory()
    assert (told.cached, told.functions, told.libraries) == (1, 1, 1)
    assert told.scripts > 0 and told.function_bytes > 0


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 1000])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_keys_and_arguments_arrive_however_many_they_are(drive, count, share):
    words = [b"w%d" % n for n in range(count)]
    nkeys = int(count * share)
    expected = b"%d %d %b|%b" % (nkeys, count - nkeys, b",".join(words[:nkeys]), b",".join(words[nkeys:]))
    script = b"return #KEYS .. ' ' .. #ARGV .. ' ' .. table.concat(KEYS, ',') .. '|' .. table.concat(ARGV, ',')"
    reply = drive([b"EVAL", script, b"%d" % nkeys, *words])
    assert reply == b"$%d\r\n%b\r\n" % (len(expected), expected)
    # Scripts may change both, and the next one sees nothing of it.
    assert drive([b"EVAL", b"KEYS[1] = 'x' ARGV[1] = 'y' return #KEYS", b"0"]) == b":1\r\n"
    assert drive([b"EVAL", b"return #KEYS + #ARGV", b"0"]) == b":0\r\n"


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 5000])
def test_tables_come_back_however_long_they_are(drive, count):
    items = b"".join(b":%d\r\n" % n for n in range(1, count + 1))
    script = b"local t = {} for i = 1, %d do t[i] = i end return t" % count
    assert run(drive, script) == b"*%d\r\n%b" % (count, items)


def test_a_script_sees_nothing_of_the_one_before(drive):
    run(drive, b"redis.setresp(3) redis.call('select', 5)")
    assert run(drive, b"redis.call('hset', 'h', 'f', 'v') return redis.call('hgetall', 'h')").startswith(b"*2\r\n")
    assert drive(b"EXISTS h") == b":1\r\n"


def test_a_restricted_user_stays_so_in_scripts(drive):
    drive(b"ACL SETUSER bob on nopass +eval +get ~*")
    drive(b"AUTH bob x")
    assert b"ACL failure in script" in run(drive, b"return redis.call('set', KEYS[1], 1)", b"k")
    assert run(drive, b"return redis.call('get', KEYS[1])", b"k") == b"$-1\r\n"


def test_rewritten_functions_keep_those_within_them(drive):
    """Calls of the sandbox's functions keep their line, and functions without such a call stay as they are."""
    script = b"""
        local base = 40
        local function plain(a) local b = a if b > 1 then b = b + base end return b end
        local function outer()
          local function inner(x) for i = 1, 2 do x = x + i end return x + plain(2) end
          return tonumber(inner(1))
        end
        local function fails()
          return error('here')
        end
        local chunks = {}
        for i = 1, 3 do chunks[i] = loadstring('local n = ... \\n return error(n)', '=chunk') end
        local texts = {}
        for i, chunk in ipairs(chunks) do texts[i] = select(2, pcall(chunk, 'e' .. i)) end
        return {outer(), select(2, pcall(fails)), unpack(texts)}
    """
    expected = [b"user_script:9: here", *[b"chunk:2: e%d" % i for i in (1, 2, 3)]]
    reply = b"*5\r\n:46\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in expected)
    assert run(drive, script) == reply
