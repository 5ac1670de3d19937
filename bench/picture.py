"""Draw docs/architecture.svg: the rooms of the house in their order, and who imports whom. `make picture`."""

from __future__ import annotations

import tomllib
from collections import Counter
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
WIDTH, LEFT, ROW, TOP = 910, 620, 40, 70
COLOURS = ("#0d9488", "#2563eb", "#9333ea", "#c2410c", "#4d7c0f", "#be185d", "#0369a1", "#a16207")


def rooms() -> list[str]:
    """Return the rooms from top to bottom: the page, then the layers that import-linter holds."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["pipeline"])
    inside = [name.strip() for layer in layers for name in layer.split("|")]
    return ["ui", *(f"pipeline.{name}" for name in inside), "pipeline.engines"]


def imports(names: list[str]) -> Counter[tuple[str, str]]:
    """Return how many modules of one room import from another, by pair of rooms."""
    graph = grimp.build_graph("pipeline", "ui")
    found: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        home = _room(module, names)
        others = {_room(other, names) for other in graph.find_modules_directly_imported_by(module)}
        found.update((home, other) for other in others if home and other and home != other)
    return found


def _room(module: str, names: list[str]) -> str:
    return next((name for name in names if module == name or module.startswith(f"{name}.")), "")


def _inside(room: str) -> tuple[int, str]:
    """Return a room's lines of code, and what it consists of."""
    path = ROOT / room.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return len(path.with_suffix(".py").read_text().splitlines()), ""
    lines = sum(len(file.read_text().splitlines()) for file in path.rglob("*.py"))
    parts = sorted(
        each.stem for each in path.iterdir() if each.name[0] not in "_." and (each.is_dir() or each.suffix == ".py")
    )
    return lines, " · ".join(parts)


def draw() -> str:
    """Return the picture as SVG."""
    names = rooms()
    arrows = imports(names)
    height = TOP + ROW * len(names) + 20
    style = "font-family:system-ui,sans-serif;font-size:12px"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="{style};background:#fff">',
        '<text x="20" y="28" font-size="17" font-weight="700">The rooms, top to bottom</text>',
        '<text x="20" y="48" fill="#64748b">An arc runs from a room to one below it that it imports; '
        "thicker: more modules do. No arc runs up.</text>",
    ]
    for row, name in enumerate(names):
        y, (lines, parts) = TOP + ROW * row, _inside(name)
        colour = COLOURS[row % len(COLOURS)]
        shown = parts if len(parts) < 104 else parts[:103].rpartition(" · ")[0] + " · …"
        out += [
            f'<rect x="20" y="{y}" width="{LEFT - 20}" height="{ROW - 8}" rx="6" fill="{colour}" opacity=".1"/>',
            f'<rect x="20" y="{y}" width="5" height="{ROW - 8}" rx="2" fill="{colour}"/>',
            f'<text x="34" y="{y + 14}" font-weight="600">{escape(name.replace(".", "/"))}'
            f'<tspan fill="#94a3b8" font-weight="400"> {lines:,} lines</tspan></text>',
            f'<text x="34" y="{y + 27}" font-size="10.5" fill="#475569">{escape(shown)}</text>',
        ]
    for (above, below), count in sorted(arrows.items()):
        out.append(_arc(names.index(above), names.index(below), count))
    return "\n".join([*out, "</svg>", ""])


def _arc(above: int, below: int, count: int) -> str:
    start, end = (TOP + ROW * row + (ROW - 8) / 2 for row in (above, below))
    reach = LEFT + 26 * abs(below - above) ** 0.95
    colour = COLOURS[above % len(COLOURS)]
    width = min(4.0, 0.8 + count / 6)
    return (
        f'<path d="M{LEFT} {start} C{reach:.0f} {start},{reach:.0f} {end},{LEFT + 4} {end}" fill="none" '
        f'stroke="{colour}" stroke-width="{width:.1f}" opacity=".55"/>'
        f'<circle cx="{LEFT + 3}" cy="{end}" r="2.4" fill="{colour}"/>'
    )


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(draw())
