"""Which towns, in which light and weather, make which set of drives, and which worlds are kept for confirmation.

Towns for pretraining and towns for the demonstration are disjoint, and their light and weather hardly overlap: a
generator that was pretrained on one group must not have seen the other.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from roadstill.errors import UserError
from roadstill.world.towns import TOWNS

DEMO_TOWNS: tuple[str, ...] = ("brickfield", "palmstrip", "gardenia", "millhill", "harbourside", "orchardrow")
PRETRAIN_TOWNS: tuple[str, ...] = ("slateport", "redmesa", "terrazza", "steelgate", "whitecliff")
CONFIRM_TOWNS: tuple[str, ...] = ("northgate", "goldspur")
"""Towns that no development has seen: they stand only in worlds that are kept for confirmation."""


@dataclass(frozen=True)
class Group:
    """Towns (equally often) and the shares of (light, weather) pairs of one set of drives."""

    towns: tuple[str, ...]
    skies: Mapping[tuple[str, str], float]

    def round_of_towns(self, rng: random.Random) -> list[str]:
        """All towns once, in a random order in which each location comes before any comes again."""
        towns = rng.sample(self.towns, len(self.towns))
        places = [TOWNS[town].location for town in towns]
        return [towns[at] for at in sorted(range(len(towns)), key=lambda at: places[:at].count(places[at]))]

    def sky(self, rng: random.Random) -> tuple[str, str]:
        """Light and weather of a drive."""
        return rng.choices(list(self.skies), weights=list(self.skies.values()))[0]


RESERVED_SEED = 9000
"""Worlds from this seed on are kept for confirmation."""
_DEMO_SKIES = {
    ("day", "clear"): 0.35,
    ("day", "overcast"): 0.30,
    ("dusk", "clear"): 0.15,
    ("dusk", "overcast"): 0.10,
    ("day", "rain"): 0.10,
}
WORLD_GROUPS: dict[str, Group] = {
    "demo": Group(DEMO_TOWNS, _DEMO_SKIES),
    "confirm": Group(DEMO_TOWNS + CONFIRM_TOWNS, _DEMO_SKIES),
    "pretrain": Group(
        PRETRAIN_TOWNS,
        {
            ("day", "fog"): 0.22,
            ("day", "rain"): 0.14,
            ("day", "clear"): 0.10,
            ("night", "clear"): 0.20,
            ("night", "rain"): 0.16,
            ("dusk", "fog"): 0.10,
            ("dusk", "rain"): 0.08,
        },
    ),
}


def group_of(name: str) -> Group:
    """The group of a name.

    Raises:
        UserError: there is none.
    """
    if name not in WORLD_GROUPS:
        raise UserError(f"there is no world group {str(name)[:80]!r}; choose one of {', '.join(sorted(WORLD_GROUPS))}")
    return WORLD_GROUPS[name]


def require_kept(what: str, seed: int, group: str, *, reserved: bool) -> None:
    """Keeps the reserved worlds, and the towns that only they have, for the confirmation.

    Args:
        what: name of the seed in messages.
        seed: seed of the world.
        group: key of ``WORLD_GROUPS``.
        reserved: whether the user has said that this is the confirmation.

    Raises:
        UserError: no such group; a reserved seed where it is not, or another one where it is; new towns elsewhere.
    """
    group_of(group)
    if seed >= RESERVED_SEED and not reserved:
        raise UserError(
            f"{what} is {seed}; worlds from {RESERVED_SEED} on are kept for confirmation: take a lower one, or "
            "--reserved for the one confirmation"
        )
    if reserved and seed < RESERVED_SEED:
        raise UserError(f"{what} is {seed}; the reserved worlds begin at {RESERVED_SEED}")
    if group == "confirm" and not reserved:
        raise UserError("the group 'confirm' has towns that are kept for confirmation; take 'demo', or --reserved")
