"""How the report draws: figures as inline SVG, without global plot state, the same bytes for the same input.

Ink and grid lines are drawn in two marker colours that become CSS variables, so that a figure follows the page's
light or dark colours; series colours are mid tones that are legible on both. What a mark stands for is told by a
``<title>`` inside it, which browsers show when one points at it.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape

from matplotlib import rc_context, rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, GRID = "#010203", "#040506"  # stand for var(--ink) and var(--line)
BRAKE, OTHER = "#d9622b", "#3f88c5"
SERIES = ("#3f88c5", "#d9622b", "#2a9d6f", "#b8860b", "#a05fb4", "#6b7f8c", "#c2527a", "#4aa5a5")
_CLASS_COLOURS = (BRAKE, OTHER, *SERIES[2:])
WIDTH_IN = 4.7
# All of matplotlib's own values: a matplotlibrc in the working folder would change figures, or have them set by LaTeX.
_DEFAULTS = {name: rcParamsDefault[name] for name in rcParamsDefault if not name.startswith("backend")}
_STYLE = _DEFAULTS | {
    "svg.hashsalt": "roadstill",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 8.5,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
}


def colour_of(place: int) -> str:
    """The colour of a class, by its place in the tables' order."""
    return _CLASS_COLOURS[place % len(_CLASS_COLOURS)]


class Sketch:
    """A figure in the making.

    Args:
        figure: the figure, which must not have been shown or saved.

    Attributes:
        figure: the figure.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._told: dict[str, tuple[str, Sequence[str]]] = {}

    def tell(self, artist: Artist, texts: Sequence[str]) -> None:
        """Says what marks stand for: a text for each marker of a line, or one for a patch."""
        name = f"mark{len(self._told)}"
        artist.set_gid(name)
        self._told[name] = ("use" if isinstance(artist, Line2D) else "path", texts)

    def svg(self, name: str, alt: str) -> str:
        """The figure as an ``<svg>`` element with a text alternative.

        Args:
            name: beginning of all its ids, so that a page can hold several figures.
            alt: text alternative.
        """
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
        svg = buffer.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
        for mark, (element, texts) in self._told.items():
            before, at, after = svg.partition(f'<g id="{mark}">')
            svg = before + at + _titled(after, element, texts)
        svg = re.sub(r'\bid="', f'id="{name}-', svg)
        svg = re.sub(r"url\(#", f"url(#{name}-", svg)
        svg = re.sub(r'href="#', f'href="#{name}-', svg)
        return svg.replace(INK, "var(--ink)").replace(GRID, "var(--line)")


def _titled(svg: str, element: str, texts: Sequence[str]) -> str:
    """The first elements of a kind with a title each."""
    waiting = iter(texts)
    return re.sub(
        rf"<{element} ([^>]*)/>",
        lambda found: f"<{element} {found[1]}><title>{escape(next(waiting))}</title></{element}>",
        svg,
        count=len(texts),
    )


@contextmanager
def sketched(height_in: float, rows: int = 1, columns: int = 1) -> Iterator[tuple[Sketch, list[Axes]]]:
    """A figure of the page's width in the page's style, and its axes, row by row."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        yield Sketch(figure), list(figure.subplots(rows, columns, squeeze=False).flat)


def rows_named(axes: Axes, labels: Sequence[str]) -> None:
    """Names rows from the top; long names get several lines."""
    axes.set_yticks(range(len(labels)), ["\n".join(textwrap.wrap(label, 20)[:3]) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
