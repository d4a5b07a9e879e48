"""The program's own colors, dark and light, beside those that Textual brings.

Few colors, each with one meaning everywhere: red is Redis's and marks where you are, green what is there or done,
amber what changed or waits for you. No meaning is carried by color alone, so any theme works, and so does NO_COLOR.
"""

from textual.color import Color, ColorParseError
from textual.theme import Theme

DARK = Theme(
    name="redis-tutor-dark",
    primary="#e0625a",
    secondary="#7aa2c8",
    accent="#d9a441",
    warning="#d9a441",
    error="#e0625a",
    success="#86b87a",
    foreground="#d8d8d3",
    background="#16181c",
    surface="#1d2026",
    panel="#23272e",
    dark=True,
    variables={"footer-key-foreground": "#e0625a", "border": "#3a404a", "block-cursor-text-style": "bold"},
)

LIGHT = Theme(
    name="redis-tutor-light",
    primary="#b3362c",
    secondary="#2f5f8a",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#b3362c",
    success="#2d6e2b",
    foreground="#24262a",
    background="#faf9f6",
    surface="#f0eee8",
    panel="#e6e3db",
    dark=False,
    variables={"footer-key-foreground": "#b3362c", "border": "#c8c4b8", "block-cursor-text-style": "bold"},
)

THEMES = (DARK, LIGHT)
DEFAULT = DARK.name


def shades(variables: dict[str, str]) -> dict[str, str]:
    """Return `$muted`, `$faint` and `$rule`: the text color drawn towards the background, for any theme.

    Textual's own `$text-muted` is a translucent "auto" color, which a span of text cannot carry.
    """
    try:
        text, ground = Color.parse(variables["foreground"]), Color.parse(variables["background"])
    except (ColorParseError, KeyError):
        return dict(_ANSI)
    if text.ansi is not None or ground.ansi is not None:
        return dict(_ANSI)
    return {
        "muted": ground.blend(text, 0.78).hex6,
        "faint": ground.blend(text, 0.5).hex6,
        "rule": ground.blend(text, 0.24).hex6,
    }


_ANSI = {"muted": "ansi_default", "faint": "ansi_bright_black", "rule": "ansi_bright_black"}
