"""Numbers as the page writes them: the filters of its templates."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_VALUES = 30


def percent(share: float | None) -> str:
    """0.744 -> ``74.4``; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}"


def spread(score: Mapping[str, Any] | None) -> str:
    """``74.4 ± 2.4``, or only the mean without a standard deviation."""
    if not score or score.get("mean") is None:
        return "–"
    return percent(score["mean"]) + (f" ± {percent(score['sd'])}" if score.get("sd") is not None else "")


def plainly(score: Mapping[str, Any] | None) -> str:
    """``0.74 ± 0.02``: numbers as they are, not in percent."""
    return "–" if not score else f"{score['mean']:.2f} ± {score.get('sd', 0.0):.2f}"


def each(score: Mapping[str, Any] | None) -> str:
    """The values behind a mean in percent, for those who point at it; empty if they are not recorded."""
    values = (score or {}).get("values") or []
    if len(values) < 2:
        return ""
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return f"{len(values)} runs: {', '.join(percent(value) for value in values[:_MOST_VALUES])}{more}"


def chance(p: float) -> str:
    """A p value with three digits, or ``p < 0.001``."""
    return f"p\u00a0=\u00a0{p:.3f}" if p >= 0.001 else "p\u00a0<\u00a00.001"


def signed(share: float) -> str:
    """0.042 -> ``+4.2``: a difference in points."""
    return f"{100 * share:+.1f}".replace("-", "−")


def points(verdict: Mapping[str, Any]) -> str:
    """``+4.2 (−1.0 to +9.4)``: a difference with its interval, in points."""
    difference, low, high = (signed(verdict[name]) for name in ("difference", "low", "high"))
    return f"{difference} ({low} to {high})"


def minutes(value: float) -> str:
    """Minutes with one digit behind the point, fewer than a tenth as such."""
    return f"{value:,.1f}" if value >= 0.05 or value == 0 else "< 0.1"


def listed(names: Sequence[str]) -> str:
    """Names in a row, of more than four the first three and the number of the others."""
    shown = names if len(names) <= 4 else names[:3]
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return ("; " if any("," in name for name in shown) else ", ").join(shown) + more


def cell(value: Any) -> str:
    """A value of the ledger as short text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:159] + "…"


FILTERS = {
    "percent": percent,
    "spread": spread,
    "plainly": plainly,
    "each": each,
    "chance": chance,
    "signed": signed,
    "points": points,
    "minutes": minutes,
    "listed": listed,
    "cell": cell,
}
