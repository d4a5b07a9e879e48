"""The README's pictures show the program as it is; `make pictures` draws them again."""

import re
from pathlib import Path

import pytest

from tests.screens.pictures import DOCS, PICTURES, drawn

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.long
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name: str) -> None:
    """A busy machine may draw a moment of the recording late, so it is drawn up to three times."""
    current = (DOCS / f"{name}.svg").read_text()
    assert any(drawn(name) == current for _ in range(3)), "run `make pictures`, and look at them"


def test_the_readme_shows_them_all() -> None:
    assert sorted(re.findall(r"\(docs/(\w+)\.svg\)", README.read_text())) == sorted(PICTURES)
