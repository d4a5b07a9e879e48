"""Symbols in ASCII: one character for each, in every screen and in what is printed."""

import io
import re
import unicodedata
from pathlib import Path

import pytest
from rich.cells import cell_len

from tutor.commandline import _choose_symbols
from tutor.symbols import TABLE, ascii_only, in_ascii, shows_unicode

TUTOR = Path(__file__).parents[1] / "tutor"


def test_nothing_moves() -> None:
    for code, ascii in TABLE.items():
        assert cell_len(chr(code)) == len(ascii) == 1 and ascii.isascii()
    assert in_ascii("a → b … é 中") == "a > b . é 中"
    assert in_ascii("a → b … é 中 ✅", strict=True) == "a > b . e ?? ??"


def test_the_letters_of_replication_ids_stay_apart() -> None:
    from tutor.pictures.letters import LETTERS

    assert len(set(in_ascii(LETTERS))) == len(LETTERS)


@pytest.mark.parametrize(
    "environment, choice, wanted",
    [
        ({}, "", False),
        ({"LANG": "en_US.UTF-8"}, "", False),
        ({"LANG": "en_US"}, "", False),
        ({"LANG": "C"}, "", True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "", True),
        ({"LC_ALL": "de_DE.ISO-8859-1@euro"}, "", True),
        ({"TERM": "linux"}, "", True),
        ({"TERM": "linux"}, "unicode", False),
        ({"TERM": "xterm-256color"}, "ascii", True),
        ({"REDIS_TUTOR_ASCII": "0", "LANG": "C"}, "ascii", False),
        ({"REDIS_TUTOR_ASCII": "1"}, "unicode", True),
    ],
)
def test_when_ascii_is_chosen(environment: dict[str, str], choice: str, wanted: bool) -> None:
    assert ascii_only(choice, environment) == wanted


def test_an_output_with_another_encoding_is_no_unicode_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "iso-8859-1"))
    assert not shows_unicode({})


def test_every_symbol_of_the_screens_is_known() -> None:
    """Letters of other scripts, as the diagnosis has them, are not symbols."""
    found = {
        character
        for path in [*TUTOR.rglob("*.py"), *TUTOR.rglob("*.txt")]
        for character in re.findall(r"[^\x00-\x7f]", path.read_text())
        if unicodedata.category(character)[0] not in "LM"
    }
    assert sorted(each for each in found if ord(each) not in TABLE) == []


def test_what_is_printed_is_ascii_and_bytes_of_file_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_ASCII", "0")  # restored at the end
    for command, expected in (("list", b"a > b e \xff"), ("cli", "a → b é ".encode() + b"\xff")):
        output = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(output, "utf-8"))
        _choose_symbols(True, command)
        print("a → b é \udcff", end="", flush=True)
        assert output.getvalue() == expected
