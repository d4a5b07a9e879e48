"""Codes and tokens, and how often a code can be guessed."""

from tutor.classroom.codes import ALPHABET, GuessLimit, code_digest, grouped, new_code, read_code, same, token_digest


def test_a_code_is_read_as_people_type_it() -> None:
    code = new_code(12)
    assert read_code(f" {grouped(code).lower()} ") == code
    assert read_code(" ".join(code)) == code
    assert not {"0", "O", "1", "I", "L"} & set(ALPHABET)


def test_codes_are_shown_in_groups() -> None:
    assert grouped("ABCDEF") == "ABC-DEF"
    assert grouped("ABCDEFGHJKMN") == "ABCD-EFGH-JKMN"


def test_digests_tell_nothing_and_are_stable() -> None:
    assert token_digest("secret") == token_digest("secret") != token_digest("secres")
    assert code_digest("ABC", "salt") == code_digest("ABC", "salt") != code_digest("ABC", "other")
    assert same("a", "a") and not same("a", "b") and not same("é", "e")


def test_of_ten_thousand_guesses_from_one_address_ten_are_looked_at() -> None:
    limit = GuessLimit(lambda: 0.0)
    looked = 0
    for _ in range(10_000):
        if not limit.wait_s("10.0.0.9"):
            looked += 1
            limit.failed("10.0.0.9")
    assert looked == 10
    assert not limit.wait_s("10.0.0.10"), "others can still join"


def test_guesses_from_many_addresses_are_limited_together() -> None:
    now = 0.0
    limit = GuessLimit(lambda: now, most=50)
    looked = 0
    for number in range(10_000):
        if not limit.wait_s(f"10.0.{number // 256}.{number % 256}"):
            looked += 1
            limit.failed(f"10.0.{number // 256}.{number % 256}")
        now += 0.01
    assert looked <= limit.all_burst + 100 * limit.all_per_second + 1
    assert len(limit._buckets) <= 52


def test_after_some_time_a_code_is_looked_at_again() -> None:
    now = 0.0
    limit = GuessLimit(lambda: now)
    for _ in range(10):
        limit.failed("a")
    wait = limit.wait_s("a")
    assert 0 < wait <= 6
    now += wait + 0.001
    assert not limit.wait_s("a")
