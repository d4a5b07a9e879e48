"""List, hash, set and sorted set commands: replies, events, what is propagated, and waiting."""

import pytest

from tests.commands.drive import Drive


@pytest.fixture
def drive():
    driven = Drive()
    yield driven
    driven.check()


# Each line: a command, then what it replies; then, where given, its events and the stream of changes.
TRANSCRIPT = [
    (b"RPUSH l a b c", b":3\r\n", [b"rpush l"], [b"RPUSH l a b c"]),
    (b"LPUSHX missing a", b":0\r\n", [], []),
    (b"LPOP l", b"$1\r\na\r\n", [b"lpop l"], [b"LPOP l"]),
    (b"LPOP l 0", b"*0\r\n", [], []),
    (b"LPOP missing 1", b"*-1\r\n", [], []),
    (b"LPOP l x", b"-ERR value is out of range, must be positive\r\n", [], []),
    (b"LPOP l 1 2", b"-ERR wrong number of arguments for 'lpop' command\r\n", [], []),
    (b"RPOP l 9", b"*2\r\n$1\r\nc\r\n$1\r\nb\r\n", [b"rpop l", b"del l"], [b"RPOP l 9"]),
    (b"RPUSH l a b a c a", b":5\r\n", [b"rpush l"], [b"RPUSH l a b a c a"]),
    (b"LPOS l a RANK -1 COUNT 2", b"*2\r\n:4\r\n:2\r\n", [], []),
    (b"LREM l -1 a", b":1\r\n", [b"lrem l"], [b"LREM l -1 a"]),
    (b"LINSERT l BEFORE x y", b":-1\r\n", [], []),
    (b"LINSERT l after b y", b":5\r\n", [b"linsert l"], [b"LINSERT l after b y"]),
    (b"LSET l 9 x", b"-ERR index out of range\r\n", [], []),
    (b"LSET l 2147483648 x", b"-ERR index out of range\r\n", [], []),
    (b"LSET l 4294967296 a", b"+OK\r\n", [b"lset l"], [b"LSET l 4294967296 a"]),
    (b"LINDEX l 4294967296", b"$-1\r\n", [], []),
    (b"LSET missing x x", b"-ERR no such key\r\n", [], []),
    (b"LTRIM l 0 -1", b"+OK\r\n", [b"ltrim l"], []),
    (
        b"LMPOP 2 missing l RIGHT COUNT 2",
        b"*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\na\r\n",
        [b"rpop l"],
        [b"RPOP l 2"],
    ),
    (b"LMOVE l d LEFT RIGHT", b"$1\r\na\r\n", [b"rpush d", b"lpop l"], [b"LMOVE l d LEFT RIGHT"]),
    (b"BRPOPLPUSH l d 0", b"$1\r\ny\r\n", [b"lpush d", b"rpop l"], [b"RPOPLPUSH l d"]),
    (b"BLMOVE l d LEFT LEFT 0", b"$1\r\nb\r\n", [b"lpush d", b"lpop l", b"del l"], [b"LMOVE l d LEFT LEFT"]),
    (b"BLPOP l d 0", b"*2\r\n$1\r\nd\r\n$1\r\nb\r\n", [b"lpop d"], [b"LPOP d"]),
    (b"LTRIM d 5 9", b"+OK\r\n", [b"ltrim d", b"del d"], [b"LTRIM d 5 9"]),
    (b"HSET h f 1 g 2", b":2\r\n", [b"hset h"], [b"HSET h f 1 g 2"]),
    (b"HSET h f", b"-ERR wrong number of arguments for 'hset' command\r\n", [], []),
    (b"HMSET h f 1", b"+OK\r\n", [b"hset h"], [b"HMSET h f 1"]),
    (b"HSETNX h f 2", b":0\r\n", [], []),
    (b"HINCRBY h f 41", b":42\r\n", [b"hincrby h"], [b"HINCRBY h f 41"]),
    (b"HINCRBYFLOAT h f 0.1", b"$4\r\n42.1\r\n", [b"hincrbyfloat h"], [b"HSET h f 42.1"]),
    (b"HINCRBYFLOAT h f inf", b"-ERR value is NaN or Infinity\r\n", [], []),
    (b"HINCRBY h f 1", b"-ERR hash value is not an integer\r\n", [], []),
    (b"HGETALL h", b"*4\r\n$1\r\nf\r\n$4\r\n42.1\r\n$1\r\ng\r\n$1\r\n2\r\n", [], []),
    (b"HRANDFIELD h 5 WITHVALUES", b"*4\r\n$1\r\nf\r\n$4\r\n42.1\r\n$1\r\ng\r\n$1\r\n2\r\n", [], []),
    (b"HSCAN h 0 MATCH g", b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\ng\r\n$1\r\n2\r\n", [], []),
    (b"HDEL h f x", b":1\r\n", [b"hdel h"], [b"HDEL h f x"]),
    (b"HDEL h g", b":1\r\n", [b"hdel h", b"del h"], [b"HDEL h g"]),
    (b"SADD s 3 1 2", b":3\r\n", [b"sadd s"], [b"SADD s 3 1 2"]),
    (b"SADD s 1", b":0\r\n", [], []),
    (b"SMEMBERS s", b"*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n", [], []),
    (b"SMOVE s t 2", b":1\r\n", [b"srem s", b"sadd t"], [b"SMOVE s t 2"]),
    (b"SPOP t", b"$1\r\n2\r\n", [b"spop t", b"del t"], [b"SREM t 2"]),
    (b"SPOP s 5", b"*2\r\n$1\r\n1\r\n$1\r\n3\r\n", [b"spop s", b"del s"], [b"DEL s"]),
    (b"SPOP s 5", b"*0\r\n", [], []),
    (b"SADD a 1 2 x", b":3\r\n", [b"sadd a"], [b"SADD a 1 2 x"]),
    (b"SADD b 2 3", b":2\r\n", [b"sadd b"], [b"SADD b 2 3"]),
    (b"SINTERCARD 2 a b LIMIT 0", b":1\r\n", [], []),
    (b"SINTERCARD 3 a b", b"-ERR Number of keys can't be greater than number of args\r\n", [], []),
    (b"SDIFF a b", b"*2\r\n$1\r\n1\r\n$1\r\nx\r\n", [], []),
    (b"SUNIONSTORE u a b", b":4\r\n", [b"sunionstore u"], [b"SUNIONSTORE u a b"]),
    (b"SINTERSTORE u a missing", b":0\r\n", [b"del u"], [b"SINTERSTORE u a missing"]),
    (b"SDIFFSTORE u missing a", b":0\r\n", [], []),
    (b"ZADD z 1 a 2 b 3 c", b":3\r\n", [b"zadd z"], [b"ZADD z 1 a 2 b 3 c"]),
    (b"ZADD z CH GT 0 a 9 b", b":1\r\n", [b"zadd z"], [b"ZADD z CH GT 0 a 9 b"]),
    (b"ZADD z NX XX 1 a", b"-ERR XX and NX options at the same time are not compatible\r\n", [], []),
    (b"ZADD z INCR inf a", b"$3\r\ninf\r\n", [b"zincr z"], [b"ZADD z INCR inf a"]),
    (b"ZINCRBY z -inf a", b"-ERR resulting score is not a number (NaN)\r\n", [], []),
    (b"ZADD z XX INCR 1 none", b"$-1\r\n", [], []),
    (
        b"ZRANGE z 0 -1 WITHSCORES",
        b"*6\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nb\r\n$1\r\n9\r\n$1\r\na\r\n$3\r\ninf\r\n",
        [],
        [],
    ),
    (b"ZRANGE z (3 +inf BYSCORE LIMIT 0 1", b"*1\r\n$1\r\nb\r\n", [], []),
    (b"ZRANK z b WITHSCORE", b"*2\r\n:1\r\n$1\r\n9\r\n", [], []),
    (b"ZRANGESTORE w z 0 0", b":1\r\n", [b"zrangestore w"], [b"ZRANGESTORE w z 0 0"]),
    (b"ZUNION 2 z a WEIGHTS 1 2 WITHSCORES", None, [], []),
    (b"ZINTERSTORE w 2 z missing", b":0\r\n", [b"del w"], [b"ZINTERSTORE w 2 z missing"]),
    (b"ZUNIONSTORE w 0 z", b"-ERR at least 1 input key is needed for 'zunionstore' command\r\n", [], []),
    (b"BZPOPMIN missing z 0", b"*3\r\n$1\r\nz\r\n$1\r\nc\r\n$1\r\n3\r\n", [b"zpopmin z"], [b"ZPOPMIN z"]),
    (
        b"ZMPOP 1 z MAX COUNT 9",
        b"*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\na\r\n$3\r\ninf\r\n*2\r\n$1\r\nb\r\n$1\r\n9\r\n",
        [b"zpopmax z", b"del z"],
        [b"ZPOPMAX z 2"],
    ),
    (b"ZPOPMIN z", b"*0\r\n", [], []),
    (b"ZADD a 1 x", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", [], []),
]


def test_transcript(drive):
    for line, reply, events, changes in TRANSCRIPT:
        got = drive(line)
        assert reply is None or got == reply, line
        assert (line, drive.events(), drive.changes()) == (line, events, changes)
        drive.check()


def test_pairs_are_nested_in_resp3(drive):
    drive(b"HELLO 3")
    drive(b"ZADD z 1 a 2 b")
    drive(b"HSET h f v")
    drive(b"SADD s a")
    assert drive(b"ZRANGE z 0 -1 WITHSCORES") == b"*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2\r\n"
    assert drive(b"HRANDFIELD h 1 WITHVALUES") == b"*1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
    assert drive(b"HGETALL h") == b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
    assert drive(b"HGETALL none") == b"%0\r\n"
    assert drive(b"SMEMBERS s") == b"~1\r\n$1\r\na\r\n"
    assert drive(b"ZPOPMIN z") == b"*2\r\n$1\r\na\r\n,1\r\n"
    assert drive(b"ZPOPMIN z 1") == b"*1\r\n*2\r\n$1\r\nb\r\n,2\r\n"
    assert drive(b"LPOP none 1") == b"_\r\n"


def test_spop_is_propagated_as_the_members_that_went(drive):
    members = [b"m%d" % i for i in range(3000)]
    drive([b"SADD", b"s", *members])
    drive.changes()
    drive(b"SPOP s 2500")
    first, *srems, last = drive.changes()
    assert (first, last) == (b"MULTI", b"EXEC")
    assert [len(srem.split()) - 2 for srem in srems] == [1024, 1024, 452]
    assert drive(b"SCARD s") == b":500\r\n"
    assert drive(b"OBJECT ENCODING s") == b"$9\r\nhashtable\r\n"
    drive(b"SPOP s 490")  # nearly all: what remains is a new, small set
    assert drive(b"OBJECT ENCODING s") == b"$8\r\nlistpack\r\n"
    assert drive(b"SCARD s") == b":10\r\n"


def test_clients_wait_in_order(drive):
    assert drive(b"BLPOP a l 0", link=2) == b""
    assert drive(b"BLMPOP 0 1 l RIGHT COUNT 2", link=3) == b""
    assert drive(b"BRPOP l 1", link=4) == b""
    assert drive(b"RPUSH l 1 2 3") == b":3\r\n"
    assert drive.take(2) == b"*2\r\n$1\r\nl\r\n$1\r\n1\r\n"
    assert drive.take(3) == b"*2\r\n$1\r\nl\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n"
    assert drive.take(4) == b""
    assert drive.changes() == [b"RPUSH l 1 2 3", b"LPOP l", b"RPOP l 2"]
    drive.wait(1000)
    assert drive.take(4) == b"*-1\r\n"


def test_a_moved_element_wakes_the_next(drive):
    drive(b"BLMOVE a b LEFT RIGHT 0", link=2)
    drive(b"BRPOPLPUSH b c 0", link=3)
    drive(b"BZPOPMIN z 0", link=4)
    drive(b"LPUSH a x")
    assert drive.take(2) == drive.take(3) == b"$1\r\nx\r\n"
    assert drive(b"LRANGE c 0 -1") == b"*1\r\n$1\r\nx\r\n"
    drive(b"LPUSH z wrong-type")
    assert drive.take(4) == b""
    drive(b"DEL z")
    drive(b"ZADD z 1.5 m")
    assert drive.take(4) == b"*3\r\n$1\r\nz\r\n$1\r\nm\r\n$3\r\n1.5\r\n"


@pytest.mark.parametrize(
    "line",
    [b"BLPOP k -1", b"BLPOP k x", b"BLPOP k 1e30", b"BZPOPMAX k -inf", b"BLMPOP x 1 k LEFT", b"BLMOVE a b LEFT UP 0"],
)
def test_bad_timeouts_do_not_block(drive, line):
    assert drive(line).startswith(b"-ERR")
    assert drive(b"PING") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"BLPOP k 0", b"*-1\r\n"),
        (b"BLMOVE k j LEFT LEFT 0", b"$-1\r\n"),
        (b"BZMPOP 0 1 k MIN", b"*-1\r\n"),
    ],
)
def test_nothing_blocks_inside_a_transaction(drive, line, reply):
    drive(b"MULTI")
    drive(line)
    assert drive(b"EXEC") == b"*1\r\n" + reply


def test_encodings_follow_the_configuration():
    drive = Drive(
        list_max_listpack_size=2, hash_max_listpack_entries=2, zset_max_listpack_value=3, set_max_intset_entries=2
    )
    drive(b"RPUSH l 1 2")
    drive(b"HSET h a 1 b 2")
    drive(b"ZADD z 1 abc")
    drive(b"SADD s 1 2")
    small = [drive(b"OBJECT ENCODING " + key).split(b"\r\n")[1] for key in (b"l", b"h", b"z", b"s")]
    assert small == [b"listpack", b"listpack", b"listpack", b"intset"]
    drive(b"RPUSH l 3")
    drive(b"HSET h c 3")
    drive(b"ZADD z 1 abcd")
    drive(b"SADD s 3")
    large = [drive(b"OBJECT ENCODING " + key).split(b"\r\n")[1] for key in (b"l", b"h", b"z", b"s")]
    assert large == [b"quicklist", b"hashtable", b"skiplist", b"hashtable"]
    drive.check()
