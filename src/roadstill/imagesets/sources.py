"""What a set stems from, data and weights, and the conditions that come with each; see NOTICE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import msgspec

from roadstill.errors import UserError

UNKNOWN = "unknown"
OF_PACKAGE = "roadstill-weights"
UNRECORDED = "unrecorded"
"""Stands for data or weights of which nothing was recorded."""
SOURCES = "sources"
"""Key of ``set.json``'s ``about``: names of the data and weights that generated pictures stem from."""
MOST_SOURCES = 32
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
SourceNames: TypeAlias = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MOST_SOURCES)]
"""Names of sources in a record."""


@dataclass(frozen=True)
class Source:
    """Data or weights that pictures stem from.

    Attributes:
        title: name in words.
        licence: identifier as the Hugging Face hub has it (SPDX in small letters), or "unknown".
        conditions: what follows for those who use the pictures.
        url: page with the licence's text; empty if there is none.
    """

    title: str
    licence: str
    conditions: str
    url: str = ""


_APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
_CC = "https://creativecommons.org/licenses/"
KNOWN: dict[str, Source] = {
    "world": Source(
        "roadstill's built-in driving world", "apache-2.0", "Rendered by this software; no camera, no person.", _APACHE
    ),
    "navsim": Source(
        "NAVSIM / OpenScene / nuPlan",
        "cc-by-nc-sa-4.0",
        "CC BY-NC-SA 4.0 and the nuPlan terms: name the source, no commercial use, share alike.",
        f"{_CC}by-nc-sa/4.0/",
    ),
    "cifar10": Source(
        "CIFAR-10 (A. Krizhevsky, 2009)", UNKNOWN, "It comes without a licence of its own; cite its author."
    ),
    "csv": Source("a table of camera frames", UNKNOWN, "Its owner's; not recorded."),
    "folder": Source("a folder of pictures", UNKNOWN, "Its owner's; not recorded."),
    UNRECORDED: Source("something that was not recorded", UNKNOWN, "Ask whoever made it."),
    OF_PACKAGE: Source(
        "weights that come with roadstill", "apache-2.0", "Learned from the built-in world or CIFAR-10 alone.", _APACHE
    ),
    "dit-weights": Source(
        "DiT weights of others (those that Meta published: CC BY-NC 4.0)",
        "cc-by-nc-4.0",
        "No commercial use of what was fine-tuned from them, nor of what it generates.",
        f"{_CC}by-nc/4.0/",
    ),
    "edm-weights": Source(
        "NVIDIA's EDM weights", "cc-by-nc-sa-4.0", "No commercial use, share alike.", f"{_CC}by-nc-sa/4.0/"
    ),
    "autoencoder-weights": Source("an autoencoder of others", UNKNOWN, "See its distributor."),
}
"""Sources by the names that records hold."""


def source_of(name: str) -> Source:
    """A source by name; of a name that is not known, one without a known licence."""
    return KNOWN.get(name, Source(name, UNKNOWN, "Not known to roadstill; ask whoever made it."))


def sources_of(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what a set stems from, in order; empty if its record does not tell.

    Args:
        about: ``about`` of ``set.json``.
    """
    told = about.get(SOURCES)
    if isinstance(told, Sequence) and not isinstance(told, str):
        return union(each for each in told[:MOST_SOURCES] if isinstance(each, str) and 0 < len(each) <= 200)
    if about.get("synthetic") is True:
        return ("world",)
    source = about.get("source")
    return (source,) if isinstance(source, str) and 0 < len(source) <= 200 else ()


def licences_of(names: Sequence[str]) -> list[str]:
    """All licences whose conditions hold, in order; "unknown" is one of them where one is not known."""
    return sorted({source_of(name).licence for name in names} or {UNKNOWN})


def recorded(*names: Iterable[str]) -> tuple[str, ...]:
    """All that several things stem from; where one does not tell it, that is said, too."""
    return union(*(tuple(each) or (UNRECORDED,) for each in names))


def union(*names: Iterable[str]) -> tuple[str, ...]:
    """Names of sources, each once, sorted."""
    return tuple(sorted({each for group in names for each in group}))


def require_sources(names: Sequence[str]) -> None:
    """Refuses names that a user gives for sources, but that have no known conditions.

    Raises:
        UserError: names it, and the known ones.
    """
    for name in names:
        if name not in KNOWN:
            raise UserError(f"source {name[:80]!r} is unknown; choose among {', '.join(KNOWN)}")
