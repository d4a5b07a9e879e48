"""The inspector: what a command did, what is in the server, what crossed the wire, what happened.

Four panes of rows under one border, whose title is the tabs. Marks are a glyph and a word, never a color alone.
"""

from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.reactive import var
from textual.timer import Timer

from tutor.lesson import messages as m
from tutor.lesson.view import KeyEntry, KeysView, WireEntry
from tutor.pictures.picture import PictureView
from tutor.prompt.rows import Row, Span, clean, row
from tutor.widgets.focus import focus_soon
from tutor.widgets.news import shows
from tutor.widgets.rows import RowView

MARKS = {"new": "+", "changed": "~", "gone": "-", "same": "=", "": " "}
LEGEND = {"new": "new", "changed": "changed", "gone": "gone", "same": "looked at, not changed"}
MARK_STYLE = {"new": "new", "changed": "changed", "gone": "gone", "same": "note", "": "plain"}
TYPE_WIDTH = 7
CHANGES = ("new", "changed", "gone")  # styles of what changed in a picture
FLASH_SECONDS = 0.3
TICK_SECONDS = 0.5


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


class KeysPane(RowView):
    """The keys, one a line, with what the last command did to them. A click opens a key."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.view = KeysView()
        self.open: set[tuple[int, str]] = set()

    @shows(m.KeysShown)
    def show(self, news: m.KeysShown) -> None:
        """Show the key space."""
        self.view = news.keys
        self._show()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Open or close a key."""
        message.stop()
        self.open ^= {message.data}
        self._show()

    def on_resize(self, event) -> None:  # type: ignore[no-untyped-def]
        """Fit the columns to the width."""
        super().on_resize(event)
        self._show()

    def _show(self) -> None:
        view = self.view
        width = max(30, self._width or 60)
        if not view.keys and not view.total:
            self.replace([row("No keys yet.", "dim")])
            return
        names = min(max((len(clean(key.name)) for key in view.keys), default=8) + 2, max(12, width // 3))
        ttl = max((len(key.ttl) for key in view.keys), default=0)
        encoding = max((len(key.encoding) for key in view.keys), default=0) if width >= 60 else 0
        size = max((len(key.size) for key in view.keys), default=0)
        rows: list[Row] = []
        dbs = {key.db for key in view.keys}
        shown_db: int | None = None
        for key in view.keys:
            if len(dbs) > 1 and key.db != shown_db:
                shown_db = key.db
                rows.append(row(f"database {key.db}", "dim"))
            rows.append(self._key_row(key, names, encoding, size, ttl))
            if (key.db, key.name) in self.open:
                rows += [row("      " + clean(detail), "dim", indent=6) for detail in key.details]
        if view.total > len(view.keys):
            rows.append(row(f"  … and {view.total - len(view.keys):,} more", "dim"))
        if marks := [mark for mark in LEGEND if any(key.mark == mark for key in view.keys)]:
            rows.append(row(""))
            legend = ",  ".join(f"{MARKS[mark]} {LEGEND[mark]}" for mark in marks)
            rows.append(row(f"{legend}  by  {clean(view.after)}" if view.after else legend, "dim", indent=2))
        self.replace(rows)

    def _key_row(self, key: KeyEntry, names: int, encoding: int, size: int, ttl: int) -> Row:
        style = MARK_STYLE[key.mark]
        spans: list[Span] = [
            (MARKS[key.mark] + " ", style),
            (_fit(clean(key.name), names), style if key.mark in ("new", "changed", "gone") else "strong"),
            (_fit(key.type, TYPE_WIDTH), "dim"),
        ]
        if encoding:
            spans.append((_fit(key.encoding, encoding + 2), "dim"))
        if size:
            spans.append((key.size.rjust(size) + "  ", "dim"))
        if ttl:
            spans.append((_fit(key.ttl, ttl + 2), "changed" if key.ttl else "dim"))
        room = (self._width or 60) - sum(len(text) for text, _ in spans)
        if room > 3:
            spans.append((_fit(clean(key.preview), room).rstrip(), "string" if key.mark != "gone" else "dim"))
        return Row(tuple(spans), (key.db, key.name) if key.details else None)


class WirePane(RowView):
    """Bytes left, meaning right, frame by frame."""

    FOLLOWS: ClassVar[bool] = True

    def __init__(self, id: str) -> None:
        super().__init__(id=id, wrapped=False)
        self.entries: list[WireEntry] = []
        self.replace([row("The bytes of every request and reply appear here.", "dim")])

    @shows(m.WireShown)
    def add(self, news: m.WireShown) -> None:
        """Show more traffic."""
        if not self.entries:
            self.clear()
        self.entries = (self.entries + list(news.entries))[-200:]
        for entry in news.entries:
            self.append(self._entry_rows(entry))

    @shows(m.Cleared)
    def reset(self, _: m.Cleared) -> None:
        """Forget all traffic."""
        self.entries = []
        self.clear()

    def on_resize(self, event) -> None:  # type: ignore[no-untyped-def]
        """Fit the columns to the width."""
        super().on_resize(event)
        if self.entries:
            self.replace([each for entry in self.entries for each in self._entry_rows(entry)])
            self.scroll_end(animate=False, immediate=True)

    def _entry_rows(self, entry: WireEntry) -> list[Row]:
        width = max(40, self._width or 60)
        left = min(max((len(frame.bytes) for frame in entry.frames), default=10) + 3, width // 2)
        arrow, way, style = ("▶", "request", "title") if entry.to_server else ("◀", "reply", "good")
        size = f"{entry.size:,} byte{'' if entry.size == 1 else 's'}"
        rows = [Row(((f"{arrow} {way}", style), (f"  {entry.who}  {size}", "dim")))]
        for frame in entry.frames:
            bytes_text = _fit(frame.bytes, left - 2)
            rows.append(Row((("  ", "plain"), (bytes_text, "string"), ("  " * frame.depth + frame.meaning, "plain"))))
        return rows


class EventsPane(RowView):
    """What the server did, as it happens."""

    FOLLOWS: ClassVar[bool] = True

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._empty = True
        self.replace([row("What happens in the server appears here.", "dim")])

    @shows(m.EventsShown)
    def add(self, news: m.EventsShown) -> None:
        """Show more events."""
        if self._empty:
            self.clear()
            self._empty = False
        self.append(
            Row(
                (
                    (entry.time + "  ", "dim"),
                    (_fit(entry.kind, 10), "title" if entry.kind == "command" else "changed"),
                    (f"{entry.who}  " if entry.who else "", "dim"),
                    (clean(entry.text), "plain"),
                ),
                indent=len(entry.time) + 12,
            )
            for entry in news.entries
        )

    @shows(m.Cleared)
    def reset(self, _: m.Cleared) -> None:
        """Forget all events."""
        self._empty = True
        self.replace([row("What happens in the server appears here.", "dim")])


class PicturePane(RowView):
    """What the last command was about, drawn as it is now.

    What changed is shown inverted for a moment, where animations are on. A time to live gets shorter by itself.
    """

    NOTHING = "What you type about is drawn here."

    def __init__(self, id: str) -> None:
        super().__init__(id=id, wrapped=False)
        self.view: PictureView | None = None
        self._since = 0.0
        self._ticking: Timer | None = None
        self.replace([row(self.NOTHING, "dim")])

    @shows(m.PictureShown)
    def show(self, news: m.PictureShown) -> None:
        """Show a picture from now on."""
        view = self.view = news.view
        self._since = monotonic()
        if self._ticking is not None:
            self._ticking.stop()
        self._ticking = self.set_interval(TICK_SECONDS, self._draw) if view.ticks else None
        moves = view.fresh and self.app.animation_level != "none"
        self._draw(inverted=moves)
        if moves:
            self.set_timer(FLASH_SECONDS, self._draw)
        self.scroll_home(animate=False, immediate=True)

    def on_resize(self, event) -> None:  # type: ignore[no-untyped-def]
        """Draw for the width."""
        super().on_resize(event)
        self._draw()

    def _draw(self, inverted: bool = False) -> None:
        if self.view is None or not self._width:
            return
        picture = self.view.draw(self._width, (monotonic() - self._since) * 1000)
        self.replace(
            Row(tuple((text, "cursor" if inverted and style in CHANGES else style) for text, style in line))
            for line in picture.lines
        )


class Inspector(Container):
    """Picture, Keys, Wire and Events, one at a time."""

    BINDINGS: ClassVar = [("left", "turn(-1)", "tab before"), ("right", "turn(1)", "next tab")]
    TABS: ClassVar[tuple[str, ...]] = ("picture", "keys", "wire", "events")
    tab: var[str] = var("picture")

    DEFAULT_CSS = """
    Inspector { border: round $rule; border-title-color: $muted; padding: 0 0 0 1; }
    Inspector:focus-within { border: round $primary; border-title-color: $foreground; }
    Inspector > RowView { height: 1fr; }
    """

    def compose(self) -> ComposeResult:
        """Make the panes."""
        yield PicturePane("picture")
        yield KeysPane("keys")
        yield WirePane("wire")
        yield EventsPane("events")

    def on_mount(self) -> None:
        """Show the first tab."""
        self.watch_tab()

    def watch_tab(self) -> None:
        """Show one pane, and say so in the border."""
        if not self.children:
            return
        for name in self.TABS:
            self.query_one(f"#{name}").display = name == self.tab  # a class would cost a look at every rule
        self.border_title = " ─ ".join(
            f"[b]▸{name.title()}[/b]" if name == self.tab else f"[@click=choose('{name}')]{name.title()}[/]"
            for name in self.TABS
        )

    def choose(self, tab: str) -> None:
        """Show a tab; the focus stays in the inspector if it was there."""
        inside = self.has_focus_within
        self.tab = tab
        if inside:
            focus_soon(self.query_one(f"#{tab}"))

    def action_choose(self, tab: str) -> None:
        """Show a tab: it was clicked."""
        self.choose(tab)

    def action_turn(self, step: int) -> None:
        """Go to the next tab, or the one before."""
        self.choose(self.TABS[(self.TABS.index(self.tab) + step) % len(self.TABS)])

    @property
    def picture(self) -> PicturePane:
        """The pane of the picture."""
        return self.query_one("#picture", PicturePane)

    @property
    def keys(self) -> KeysPane:
        """The pane of keys."""
        return self.query_one("#keys", KeysPane)

    @property
    def wire(self) -> WirePane:
        """The pane of bytes."""
        return self.query_one("#wire", WirePane)

    @property
    def events(self) -> EventsPane:
        """The pane of events."""
        return self.query_one("#events", EventsPane)
