"""The README's pictures show the program as it is; `make pictures` draws them again."""

import re
from pathlib import Path

import pytest

from tests.screens.pictures import DOCS, PICTURES, drawn

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.long
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name: str) -> None:
    assert drawn(name) == (DOCS / f"{name}.svg").read_text(), "run `make pictures`, and look at them"


def test_the_readme_shows_them_all() -> None:
    assert sorted(re.findall(r"\(docs/(\w+)\.svg\)", README.read_text())) == sorted(PICTURES)
