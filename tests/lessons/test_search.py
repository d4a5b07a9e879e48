"""What people look for is found by the words that they would use."""

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.search import MOST, SYNONYMS, Index, _one_slip

INDEX = Index(installed_course())


def found(query, kind="lesson", history=()):
    return [each.target for each in INDEX.find(query, history) if each.kind == kind]


@pytest.mark.parametrize(
    "query, lessons",
    [
        ("leaderboard", {"leaderboards", "sorted-sets"}),
        ("leaderboards", {"leaderboards", "sorted-sets"}),
        ("expire", {"expiry"}),
        ("queue", {"lists"}),
        ("zadd", {"sorted-sets"}),
        ("race condition", {"counters"}),
        ("sorted set", {"sorted-sets"}),
        ("publish", {"pub-sub"}),
        ("append-only file", {"append-only-file"}),
    ],
)
def test_lessons_are_found_near_the_top(query, lessons):
    assert lessons <= set(found(query)[:4])


def test_a_chapters_title_finds_its_lessons():
    course = installed_course()
    high = {lesson.id for lesson in course.lessons if course.chapters[lesson.front.chapter] == "High availability"}
    assert high and high <= set(found("high availability"))


def test_commands_and_terms_are_found():
    assert found("zadd", "command")[0] == "ZADD"
    assert found("config g", "command")[0] == "CONFIG GET"
    assert "EXPIRE" in found("ttl", "command") or "TTL" in found("ttl", "command")
    assert found("backlog", "term")[0] == "backlog"


def test_every_word_has_to_be_found():
    assert INDEX.find("zadd xyzzy") == [] and INDEX.find("  ") == []
    assert len(INDEX.find("the")) <= MOST


@pytest.mark.parametrize(
    "query, lesson",
    [
        ("leaderbords", "leaderboards"), ("leaderboardd", "leaderboards"), ("laederboard", "leaderboards"),
        ("expirre", "expiry"), ("hyperlogog", "hyperloglog"), ("sorted sats", "sorted-sets"), ("pubilsh", "pub-sub"),
        ("sentinal", "setting-up-sentinel"),
    ],
)  # fmt: skip
def test_one_slip_in_a_word_is_forgiven_when_nothing_is_found(query, lesson):
    assert lesson in found(query)


def test_two_slips_and_short_words_are_not_guessed():
    assert INDEX.find("leederbords") == INDEX.find("zzd") == []


@pytest.mark.parametrize(
    "word, other, is_one",
    [
        ("list", "lists", True), ("lists", "list", True), ("lost", "list", True), ("lsit", "list", True),
        ("xlist", "list", True), ("tsil", "list", False), ("lasst", "list", False), ("li", "list", False),
    ],
)  # fmt: skip
def test_what_counts_as_one_slip(word, other, is_one):
    assert _one_slip(word, other) == is_one


def test_ones_own_lines_are_found_newest_first_and_once():
    history = ["SET a 1", "ZADD board 1 ann", "GET a", "ZADD board 2 bob", "ZADD board 1 ann"]
    assert found("zadd board", "history", history) == ["ZADD board 1 ann", "ZADD board 2 bob"]


def test_every_other_word_leads_somewhere():
    nowhere = [word for word in SYNONYMS if not INDEX.find(word)]
    assert nowhere == []
