"""The floor plan of the package in one picture, each room a link to its page."""

from __future__ import annotations

import html

# floors from the roof down, as docs/architecture.md has them: rooms, and what they are
FLOORS = (
    (("cli", "the command line"),),
    (("evaluate", "how stable is Φ"), ("bilevel", "learning θ of û(θ)"), ("learned", "Φ, R, prox from networks")),
    (("comparison", "several Φ"), ("reconstruct", "Φ as functions"), ("choose", "λ by a rule"), ("measured", "counts")),
    (("problems", "A, b, x, info"), ("io", "files"), ("bayes", "samples of exp(-F)"), ("distributed", "MPI")),
    (("solvers", "configuration, state, one loop"),),
    (("functionals", "D(Au, b) and R(u)"),),
    (("operators", "A"),),
    (("kernels", "fused loops"), ("metrics", "PSNR, SSIM"), ("plot", "pictures"), ("groups", "isometries")),
    (("backend", "NumPy and CuPy"), ("checks", "arguments"), ("parallel", "threads"), ("files", "atomic writing")),
)
WITHOUT_A_PAGE = {"cli", "kernels", "checks", "parallel", "files"}
ON_TOOLS = {"comparison", "metrics", "plot", "backend"}
WIDTH, HEIGHT, GAP = 720, 54, 6


def svg() -> str:
    """Inline, so that the links work; colours follow the page's text."""
    tall = len(FLOORS) * (HEIGHT + GAP) + GAP
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {tall}" width="100%" style="max-width: {WIDTH}px" role="img" '
        'aria-label="Floor plan: each floor imports from those below it" xmlns="http://www.w3.org/2000/svg">',
        "<title>Floor plan: each floor imports from those below it</title>",
    ]
    for level, rooms in enumerate(FLOORS):
        wide = (WIDTH - GAP * (len(rooms) + 1)) / len(rooms)
        for k, (room, what) in enumerate(rooms):
            lines += _room(room, what, GAP + k * (wide + GAP), GAP + level * (HEIGHT + GAP), wide)
    return "\n".join([*lines, "</svg>", ""])


def _room(room: str, what: str, x: float, y: float, wide: float) -> list[str]:
    middle, style = x + wide / 2, 'text-anchor="middle" fill="currentColor"'
    box = f'<rect x="{x:.0f}" y="{y}" width="{wide:.0f}" height="{HEIGHT}" rx="4" fill="none" stroke="currentColor"/>'
    name = f'<text x="{middle:.0f}" y="{y + 23}" {style} font-weight="bold" font-size="15">{room}</text>'
    said = f'<text x="{middle:.0f}" y="{y + 42}" {style} font-size="12">{html.escape(what)}</text>'
    if room in WITHOUT_A_PAGE:
        return [box, name, said]
    return [f'<a href="{"tools" if room in ON_TOOLS else room}.html">', box, name, said, "</a>"]
