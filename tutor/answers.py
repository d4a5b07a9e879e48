"""Match an answer to an option of a prediction: by text, number or letter.

Texts are compared first, then labels, then texts without redis-cli's decoration (`(integer) 1`, `"Ada"`, `(nil)`).
If the text of an option could be mistaken for the number of another (`1. 2`, `2. 0`), the options get letters
instead, so that the learner cannot misread them either. An answer that matches nothing, or two options equally well,
is rejected, and the question is asked again.
"""

import re
from collections.abc import Callable, Sequence
from string import ascii_lowercase

AGAIN = "No option matches. Type the label or the text of an option."
SEVERAL = "Several options match: {labels}. Type the label of the one that you mean."

NUMBERS = {
    "none": "0", "nothing": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "twenty": "20",
}  # fmt: skip

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])")
_LABEL = re.compile(r"\(?(\d{1,3}|[a-z])\s*[.):]?|(?:option|number|no\.?|#)\s*(\d{1,3}|[a-z])", re.IGNORECASE)


def bare(text: str) -> str:
    """Return a text without Markdown, in lower case, with single spaces."""
    text = _LINK.sub(r"\1", text).replace("**", "").replace("`", "")
    return " ".join(_EMPHASIS.sub(r"\1", text).split()).rstrip(".").casefold()


def loose(text: str) -> str:
    """Return a text also without redis-cli's decoration and without separators between digits."""
    text = bare(text).replace('"', "").replace("(integer)", "").replace("(error)", "").strip()
    text = re.sub(r"^\((.*)\)$", r"\1", text)
    return re.sub(r"(?<=\d)[ _,'](?=\d{3}(\D|$))", "", text).strip()


def free(text: str) -> str:
    """Return a typed answer in its shortest form: without "about" and "%", and numbers as digits."""
    text = re.sub(r"^(about|around|roughly|approximately|~|\u2248)\s*", "", loose(text))
    text = re.sub(r"\s*(%|percent|per cent)$", "", text)
    return NUMBERS.get(text, text)


def labels(options: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of the options: numbers, or letters if the text of an option is one of these numbers."""
    numbers = tuple(str(number) for number in range(1, len(options) + 1))
    if any(bare(option) in numbers for option in options):
        return tuple(ascii_lowercase[: len(options)])
    return numbers


def choose(options: Sequence[str], said: str) -> int | None:
    """Return the index of the option that was meant, or None."""
    if not said.strip():
        return None
    for found in (
        _equal(options, said, bare),
        _labelled(options, said),
        _equal(options, said, loose),
        _beginning(options, said),
    ):
        if found is not None:
            return found
    return None


def again(options: Sequence[str], said: str) -> str:
    """Return why an answer was not taken: no option matches it, or several do."""
    found = _begun(options, said)
    if len(found) < 2:
        return AGAIN
    known = labels(options)
    *most, last = (known[index] for index in found)
    return SEVERAL.format(labels=f"{', '.join(most)} and {last}")


def _equal(options: Sequence[str], said: str, form: Callable[[str], str]) -> int | None:
    found = [index for index, option in enumerate(options) if form(option) == form(said)]
    return found[0] if len(found) == 1 else None


def _labelled(options: Sequence[str], said: str) -> int | None:
    match = _LABEL.fullmatch(said.strip())
    if match is None:
        return None
    label = (match[1] or match[2]).lower()
    if label in (known := labels(options)):
        return known.index(label)
    # A number is accepted as the position in the list, even if letters are shown.
    return int(label) - 1 if label.isdigit() and 1 <= int(label) <= len(options) else None


def _beginning(options: Sequence[str], said: str) -> int | None:
    found = _begun(options, said)
    return found[0] if len(found) == 1 else None


def _begun(options: Sequence[str], said: str) -> list[int]:
    """Return the options that begin with what was said."""
    start = loose(said)
    if len(start) < 2:
        return []
    return [index for index, option in enumerate(options) if re.match(rf"{re.escape(start)}\b", loose(option))]
