"""Rules of users: which are refused, and that those accepted can be shown again."""

import pytest

from engine.protocol.errors import ReplyError
from tests.inprocess import InProcess


@pytest.fixture
def node() -> InProcess:
    return InProcess()


@pytest.mark.parametrize(
    "rule", [b"%", b"%~", b"%~x", b"%~~", b"%X~a", b"%RR~a", b"%R W~a", b"%RWR~a", b"(%~x)", b"(%)"]
)
def test_key_permissions_that_allow_neither_reading_nor_writing_are_refused(node: InProcess, rule: bytes) -> None:
    error = b"-ERR Error in ACL SETUSER modifier '%b': Syntax error" % rule
    assert node.run(1, b"ACL", b"SETUSER", b"u", b"on", rule) == [error]
    assert node.run(1, b"ACL", b"GETUSER", b"u") == [b"$-1"]
    assert len(node.run(1, b"ACL", b"LIST")[0]) == 2  # the array and the default user


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (b"%R~a", b"%R~a"),
        (b"%w~a", b"%W~a"),
        (b"%RW~a", b"~a"),
        (b"%Wr~~", b"~~"),
        (b"%R~", b"%R~"),
        (b"%R", b"%R~"),
    ],
)
def test_key_permissions_are_shown_as_they_were_given(node: InProcess, rule: bytes, shown: bytes) -> None:
    assert node.run(1, b"ACL", b"SETUSER", b"u", rule) == [b"+OK"]
    assert node.run(1, b"ACL", b"LIST")[0][2] == b"$user u off sanitize-payload %b resetchannels -@all" % shown


def test_a_file_of_users_with_such_a_rule_is_refused(node: InProcess) -> None:
    acl = node.node.acl
    assert set(acl.parse_file(b"user default on nopass ~* +@all\nuser u on %R~x", b"users.acl")) == {b"default", b"u"}
    with pytest.raises(ReplyError, match=r"users\.acl:2: Syntax error"):
        acl.parse_file(b"user default on nopass ~* +@all\nuser u on %~x", b"users.acl")
