"""The cluster at the present moment and its last messages as an SVG picture: boxes, links, a sequence diagram."""

import math
from html import escape

from engine.simulation.actions import PROMPT
from engine.simulation.state import link_views, node_views
from tutor.lab.actions import shown
from tutor.lab.export.recorded import link_kind
from tutor.lab.format import Row, clock
from tutor.lab.session import LabSession

ROWS_MAX = 40
ROW, LANE, MAP = 18, 90, 300
TEXT_WIDTH = 740
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
STYLE = """
svg { color-scheme: light dark; background: #fbfbf9; --ground: #fbfbf9; --text: #1c1c1a; --muted: #6a6a64;
  --bad: #b3261e; --accent: #0b5fa5; }
@media (prefers-color-scheme: dark) { svg { background: #161614; --ground: #161614; --text: #e4e4de;
  --muted: #9a9a92; --bad: #ff8a80; --accent: #7ab8f0; } }
text { font: 13px FONTS; fill: var(--text); white-space: pre; }
.dim { fill: var(--muted); } .mid { text-anchor: middle; } .small { font-size: 10px; } .act { fill: var(--accent); }
line, rect, path { stroke: var(--muted); fill: none; }
rect { stroke: var(--text); fill: var(--ground); }
.down { stroke: var(--bad); stroke-dasharray: 4 3; } .paused { stroke-dasharray: 2 2; }
.follows { stroke: var(--text); stroke-width: 2; }
.cut { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 8 6; }
.half { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 2 6; }
.slow { stroke-width: 3; stroke-dasharray: 12 3; } .idle { stroke-dasharray: 1 4; }
.arrow { stroke: var(--text); } .ended { stroke: var(--bad); }
""".replace("FONTS", FONT)


def picture(session: LabSession) -> str:
    """Return the picture."""
    session.log.read(session.history)
    log, world = session.log, session.world
    rows = log.rows[max(0, log.count - ROWS_MAX) : log.count]
    names = [name for name in world.machines if not name.startswith(PROMPT)]
    speaking = {name for row in rows for name in (row[2], row[3])}
    lanes = [name for name in names if name in world.hosts or name in speaking]
    width = max(MAP * 2, 90 + LANE * len(lanes) + TEXT_WIDTH)
    height = 70 + MAP + 50 + ROW * len(rows)
    head = f"t {clock(world.now_us)} s   event {session.history.place}   seed {session.history.seed}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{escape(session.spec.title)}</title><style>{STYLE}</style>",
        f'<text x="20" y="28">{escape(session.spec.title)}</text><text x="20" y="48" class="dim">{head}</text>',
        *_map(session, names, width),
        *_sequence(session, rows, lanes, 70 + MAP + 20),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _map(session: LabSession, names: list[str], width: int) -> list[str]:
    views = node_views(session.world)
    by_address = {view.address: name for name, view in views.items()}
    places = {}
    for number, name in enumerate(names):
        turn = 2 * math.pi * number / len(names) - math.pi / 2
        spread = (min(width / 2 - 80, 320), MAP / 2 - 30) if len(names) > 1 else (0, 0)
        places[name] = (width / 2 + spread[0] * math.cos(turn), 70 + MAP / 2 + spread[1] * math.sin(turn))
    parts = []
    for link in link_views(session.world):
        kind = link_kind(link.states, link.latency_us, 1000, link.connected)
        if link.a in places and link.b in places:
            parts.append(_line(*places[link.a], *places[link.b], kind))
            if kind in ("cut", "half"):
                middle = [(one + other) / 2 for one, other in zip(places[link.a], places[link.b], strict=True)]
                sign = "✂" if kind == "cut" else "½"
                parts.append(f'<text x="{middle[0]:.0f}" y="{middle[1] + 5:.0f}" class="mid">{sign}</text>')
    for name, view in views.items():
        master = by_address.get(view.master, "")
        if master in places and name in places:
            parts.append(_line(*places[name], *places[master], "follows"))
    clients = dict.fromkeys(session.world.applications, "application")
    for name, (x, y) in places.items():
        node = views.get(name)
        state = node.state if node is not None else "up"
        role = node.role if node is not None else clients.get(name, "client")
        half = max(34, 5 * len(name))
        box = f'x="{x - half:.0f}" y="{y - 18:.0f}" width="{2 * half}" height="36"'
        parts.append(f'<rect {box} rx="{0 if role == "master" else 8}" class="{state}"/>')
        parts.append(f'<text x="{x:.0f}" y="{y - 1:.0f}" class="mid">{escape(name)}</text>')
        told = "down" if state == "down" else f"{role}, paused" if state == "paused" else role
        parts.append(f'<text x="{x:.0f}" y="{y + 12:.0f}" class="mid small dim">{told}</text>')
    return parts


def _sequence(session: LabSession, rows: list[Row], lanes: list[str], top: int) -> list[str]:
    at = {name: 110 + LANE * number for number, name in enumerate(lanes)}
    bottom = top + 20 + ROW * len(rows)
    parts = [f'<text x="{x}" y="{top}" class="mid">{escape(name)}</text>' for name, x in at.items()]
    parts += [_line(x, top + 6, x, bottom, "idle") for x in at.values()]
    left = 110 + LANE * len(lanes) - LANE // 2 + 20
    for number, (event, kind, source, target, text) in enumerate(rows):
        y = top + 26 + ROW * number
        parts.append(f'<text x="20" y="{y}" class="dim">{clock(session.history.trace[event].at_us)}</text>')
        if source in at and target in at:
            a, b = at[source], at[target]
            style = "ended" if kind == "x" else "idle" if kind == "+" else "arrow"
            parts.append(_line(a, y - 4, b, y - 4, style))
            tip = 7 if b < a else -7
            parts.append(f'<path d="M{b + tip} {y - 8}L{b} {y - 4}L{b + tip} {y}" class="{style}"/>')
        elif source in at:
            parts.append(f'<text x="{at[source]}" y="{y}" class="mid">{"●" if kind == "*" else "◆"}</text>')
        who = "" if source in at or not source else f"{shown(source)}: "
        style = ' class="act"' if kind == "!" else ""
        parts.append(f'<text x="{left}" y="{y}"{style}>{escape((who + text)[:90])}</text>')
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" class="{style}"/>'
