"""The report's figures as inline SVG: no global plot state, the same bytes for the same input.

Ink and grid lines are drawn in two marker colours that become CSS variables, so that a figure follows the page's
light or dark colours; series colours are mid tones that are legible on both.
"""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from roadstill.frames.filters import ACCEL_EDGES_MPS2, SPEED_EDGES_MPS

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


def _axes(height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element with a text alternative; ids contain ``name``, so a page can have several."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return svg.replace(INK, "var(--ink)").replace(GRID, "var(--line)")


def _labels(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), ["\n".join(textwrap.wrap(label, 20)[:3]) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def seed_dots(arms: Sequence[Mapping[str, Any]], chance: float, ids: str = "dots") -> str:
    """Balanced accuracy of every run (a dot each), mean and standard deviation per arm, and the line of no skill."""
    with rc_context(_STYLE):
        figure, axes = _axes(0.9 + 0.42 * len(arms))
        for row, arm in enumerate(arms):
            score = arm["balanced_accuracy"]
            values = 100 * np.asarray(score.get("values") or [score["mean"]], float)
            spread = 0.14 * np.cos(np.arange(len(values)) * 2.4)  # keeps equal values apart
            axes.plot(values, row + spread, "o", ms=3.4, alpha=0.55, mew=0, color=SERIES[row % len(SERIES)])
            mean, sd = 100 * score["mean"], 100 * (score.get("sd") or 0.0)
            axes.errorbar(mean, row, xerr=sd, fmt="d", ms=5.5, color=INK, elinewidth=1.2, capsize=3)
        axes.axvline(100 * chance, color=INK, lw=1, ls="--")
        axes.text(100 * chance, -0.5, " always one class", va="bottom", ha="left", fontsize=7.5)
        _labels(axes, [arm["label"] for arm in arms])
        axes.set_xlabel("balanced accuracy on the test part, %")
        means = "; ".join(f"{arm['label']} {100 * arm['balanced_accuracy']['mean']:.1f} %" for arm in arms)
        return _svg(figure, ids, f"Balanced accuracy of every run. Means: {means}. No skill: {100 * chance:.0f} %.")


def differences(verdicts: Sequence[Mapping[str, Any]], labels: Mapping[str, str], ids: str = "differences") -> str:
    """Difference of each arm to its baseline with the interval; an interval over zero cannot be told apart."""
    with rc_context(_STYLE):
        figure, axes = _axes(0.9 + 0.42 * len(verdicts))
        for row, verdict in enumerate(verdicts):
            low, high = 100 * verdict["low"], 100 * verdict["high"]
            axes.plot([low, high], [row, row], color=SERIES[0], lw=3, solid_capstyle="round")
            axes.plot([100 * verdict["difference"]], [row], "d", ms=6, color=INK)
        axes.axvline(0, color=INK, lw=1, ls="--")
        axes.locator_params(axis="x", nbins=6)  # ticks like -12.5 run into each other at more
        _labels(axes, [labels.get(verdict["arm"], verdict["arm"]) for verdict in verdicts])
        baselines = {labels.get(verdict["baseline"], verdict["baseline"]) for verdict in verdicts}
        axes.set_xlabel(f"points above {' or '.join(sorted(baselines))}, with 95 % interval"[:70])
        text = "; ".join(
            f"{labels.get(v['arm'], v['arm'])} {100 * v['difference']:+.1f} points, "
            f"{100 * v['low']:+.1f} to {100 * v['high']:+.1f}"
            for v in verdicts
        )
        return _svg(figure, ids, f"Difference to the baseline with interval: {text}.")


def class_bars(arms: Sequence[Mapping[str, Any]], class_names: Sequence[str], ids: str = "classes") -> str:
    """Share of each class that is recognised, one group of bars per arm, in the given order of classes."""
    with rc_context(_STYLE):
        figure, axes = _axes(1.1 + 0.5 * len(arms))
        thick = 0.8 / len(class_names)
        for place, name in enumerate(class_names):
            found = [arm["class_accuracy"].get(name, {}) for arm in arms]
            rows = np.arange(len(arms)) + (place - (len(class_names) - 1) / 2) * thick
            axes.barh(
                rows, [100 * score.get("mean", 0.0) for score in found], 0.92 * thick,
                xerr=[100 * (score.get("sd") or 0.0) for score in found], color=colour_of(place),
                error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 2}, label=name.replace("_", " "),
            )  # fmt: skip
        axes.set_xlim(0, 100)
        _labels(axes, [arm["label"] for arm in arms])
        axes.set_xlabel("recognised test images of the class, %")
        figure.legend(loc="outside upper right", ncols=len(class_names))
        text = "; ".join(
            f"{arm['label']}: "
            + ", ".join(
                f"{name.replace('_', ' ')} {100 * arm['class_accuracy'].get(name, {}).get('mean', 0.0):.1f} %"
                for name in class_names
            )
            for arm in arms
        )
        return _svg(figure, ids, f"Accuracy per class. {text}.")


def motion_heatmap(
    counts: NDArray[np.int64], min_abs_accel_mps2: float, min_speed_mps: float, *, names_areas: bool = True
) -> str:
    """Frames by speed and acceleration, log colours, with the two areas that the filters keep (thesis Fig. 4.2).

    Args:
        counts: frames per cell ``[len(SPEED_EDGES_MPS) - 1, len(ACCEL_EDGES_MPS2) - 1]``.
        min_abs_accel_mps2: weakest acceleration that is kept.
        min_speed_mps: lowest speed that is kept.
        names_areas: whether the area below zero is the class *brake* and the one above it *not brake*.
    """
    with rc_context(_STYLE):
        figure, axes = _axes(3.3)
        left, right, bottom, top = SPEED_EDGES_MPS[0], SPEED_EDGES_MPS[-1], ACCEL_EDGES_MPS2[0], ACCEL_EDGES_MPS2[-1]
        shown = np.ma.masked_equal(counts.T, 0)
        picture = axes.imshow(
            shown, extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="nearest",
            cmap=colormaps["viridis"], norm=LogNorm(1, max(2, int(counts.max()))),
        )  # fmt: skip
        width = right - min_speed_mps - 0.1
        for low, high, colour in ((bottom, -min_abs_accel_mps2, BRAKE), (min_abs_accel_mps2, top, OTHER)):
            box = (min_speed_mps, low + 0.05), width, high - low - 0.1
            axes.add_patch(Rectangle(*box, fill=False, ec=colour, lw=2))
        below, above = ("kept: brake", "kept: not brake") if names_areas else ("kept", "kept")
        axes.text(right - 0.5, bottom + 0.3, below, ha="right", va="bottom", color=BRAKE, weight="bold")
        axes.text(right - 0.5, top - 0.3, above, ha="right", va="top", color=OTHER, weight="bold")
        axes.set_xlabel("speed, m/s")
        axes.set_ylabel("longitudinal acceleration, m/s²")
        bar = figure.colorbar(picture, ax=axes, pad=0.02, format="%d")
        bar.ax.minorticks_off()
        bar.set_label("frames in the cell (log)")
        bar.outline.set_visible(False)
        alt = (
            f"Heatmap of {int(counts.sum())} frames by speed and acceleration before any filter. Boxes mark what the "
            f"filters keep: at least {min_speed_mps:g} m/s and at least {min_abs_accel_mps2:g} m/s² either way."
        )
        return _svg(figure, "heatmap", alt)


def schedule_curves(betas: Mapping[str, NDArray[np.float64]]) -> tuple[str, str]:
    """Noise schedules: beta over t (thesis Fig. 3.4), and the signal-to-noise ratio that follows from it."""
    with rc_context(_STYLE):
        figure, axes = _axes(2.9)
        second, below = _axes(2.9)
        colours = colormaps["plasma"](np.linspace(0.28, 0.82, max(1, len(betas) - 1)))
        for place, (label, beta) in enumerate(betas.items()):
            look: dict[str, Any] = {"color": INK, "ls": "--"} if place == 0 else {"color": colours[place - 1]}
            signal = np.cumprod(1 - beta)
            every = slice(None, None, 4)
            steps = np.arange(len(beta))[every]
            axes.plot(steps, beta[every], label=label, **look)
            below.plot(steps, 10 * np.log10(signal / (1 - signal))[every], label=label, **look)
        axes.set_ylabel("noise added in one step, beta")
        below.set_ylabel("signal to noise, dB")
        below.set_ylim(-30, 40)
        for each in (axes, below):
            each.set_xlabel("step t")
            each.legend(ncols=2, loc="upper left" if each is axes else "upper right")
        names = ", ".join(betas)
        return (
            _svg(figure, "betas", f"Beta over t = 0 to 999 for {names}: each spoon curve joins the linear one late."),
            _svg(second, "snr", f"Signal-to-noise ratio over t for {names}: spoon-cosine keeps more signal early on."),
        )


Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def metric_curves(name: str, what: str, runs: Mapping[str, Curve], order: Sequence[str]) -> str:
    """One metric over optimiser steps, a line per run: label -> (steps, values); ``order`` fixes each run's colour."""
    with rc_context(_STYLE):
        figure, axes = _axes(2.7)
        for label, (steps, values) in runs.items():
            marker = "o" if len(steps) < 3 else ""
            colour = SERIES[order.index(label) % len(SERIES)]
            axes.plot(steps, values, marker=marker, ms=3, label=label, color=colour)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(runs) <= 8:
            axes.legend(loc="upper right")
        ends = "; ".join(f"{label} ends at {values[-1]:.3g}" for label, (_, values) in runs.items())
        return _svg(figure, name, f"{what} over optimiser steps: {ends}.")
