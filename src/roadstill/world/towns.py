"""The towns of the built-in world, and which of them, in which light and weather, make which set of drives.

Towns for pretraining and towns for the demonstration are disjoint, and their light and weather hardly overlap: a
generator that was pretrained on one group must not have seen the other.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from roadstill.errors import UserError
from roadstill.world.scene import Town

PARKING_STRIP_M = 2.3
"""Width of the strip for parked cars between the outermost lane and the kerb, on both sides."""

_TOWNS = (
    Town(
        name="brickfield",
        location="us-ma-boston",
        asphalt=(0.27, 0.27, 0.29),
        pavement=(0.55, 0.50, 0.46),
        ground=(0.33, 0.40, 0.22),
        marking=(0.92, 0.91, 0.86),
        walls=((0.55, 0.25, 0.19), (0.47, 0.21, 0.17), (0.62, 0.33, 0.24), (0.70, 0.60, 0.50)),
        leaves=((0.22, 0.42, 0.16), (0.30, 0.46, 0.18)),
        building_share=0.9,
        building_height_m=(9.0, 16.0),
        setback_m=(0.5, 2.5),
        tree_spacing_m=24.0,
        parked_share=0.45,
        lanes_each_way=1,
        lane_width_m=3.5,
        pavement_width_m=2.6,
        mast_arm=False,
    ),
    Town(
        name="palmstrip",
        location="us-nv-las-vegas-strip",
        asphalt=(0.36, 0.35, 0.34),
        pavement=(0.74, 0.69, 0.60),
        ground=(0.72, 0.60, 0.43),
        marking=(0.95, 0.94, 0.88),
        walls=((0.86, 0.76, 0.60), (0.80, 0.62, 0.45), (0.90, 0.84, 0.74), (0.62, 0.66, 0.72)),
        leaves=((0.33, 0.45, 0.22), (0.42, 0.48, 0.25)),
        building_share=0.55,
        building_height_m=(6.0, 30.0),
        setback_m=(4.0, 14.0),
        tree_spacing_m=16.0,
        parked_share=0.08,
        lanes_each_way=2,
        lane_width_m=3.6,
        pavement_width_m=3.6,
        mast_arm=True,
    ),
    Town(
        name="gardenia",
        location="sg-one-north",
        asphalt=(0.23, 0.24, 0.25),
        pavement=(0.60, 0.60, 0.58),
        ground=(0.20, 0.42, 0.16),
        marking=(0.94, 0.94, 0.92),
        walls=((0.84, 0.86, 0.86), (0.72, 0.78, 0.80), (0.88, 0.84, 0.78), (0.60, 0.68, 0.70)),
        leaves=((0.12, 0.38, 0.13), (0.16, 0.46, 0.17), (0.22, 0.50, 0.16)),
        building_share=0.6,
        building_height_m=(12.0, 38.0),
        setback_m=(5.0, 11.0),
        tree_spacing_m=10.0,
        parked_share=0.12,
        lanes_each_way=2,
        lane_width_m=3.4,
        pavement_width_m=3.0,
        mast_arm=False,
    ),
    Town(
        name="millhill",
        location="us-pa-pittsburgh-hazelwood",
        asphalt=(0.31, 0.30, 0.30),
        pavement=(0.50, 0.50, 0.49),
        ground=(0.40, 0.42, 0.25),
        marking=(0.88, 0.86, 0.76),
        walls=((0.62, 0.62, 0.58), (0.52, 0.36, 0.27), (0.74, 0.71, 0.62), (0.42, 0.46, 0.50)),
        leaves=((0.36, 0.44, 0.18), (0.52, 0.42, 0.16)),
        building_share=0.5,
        building_height_m=(5.5, 9.5),
        setback_m=(3.0, 8.0),
        tree_spacing_m=18.0,
        parked_share=0.3,
        lanes_each_way=1,
        lane_width_m=3.6,
        pavement_width_m=2.0,
        mast_arm=True,
    ),
    Town(
        name="slateport",
        location="us-ma-boston",
        asphalt=(0.21, 0.22, 0.24),
        pavement=(0.44, 0.46, 0.49),
        ground=(0.30, 0.34, 0.28),
        marking=(0.90, 0.90, 0.90),
        walls=((0.38, 0.42, 0.47), (0.48, 0.52, 0.57), (0.30, 0.33, 0.38), (0.58, 0.56, 0.52)),
        leaves=((0.18, 0.33, 0.20), (0.24, 0.38, 0.22)),
        building_share=0.95,
        building_height_m=(18.0, 45.0),
        setback_m=(0.0, 1.5),
        tree_spacing_m=40.0,
        parked_share=0.2,
        lanes_each_way=2,
        lane_width_m=3.3,
        pavement_width_m=4.0,
        mast_arm=False,
    ),
    Town(
        name="redmesa",
        location="us-nv-las-vegas-strip",
        asphalt=(0.40, 0.36, 0.34),
        pavement=(0.66, 0.55, 0.46),
        ground=(0.66, 0.42, 0.28),
        marking=(0.93, 0.86, 0.62),
        walls=((0.72, 0.44, 0.30), (0.82, 0.58, 0.40), (0.66, 0.50, 0.42)),
        leaves=((0.46, 0.50, 0.28), (0.50, 0.46, 0.26)),
        building_share=0.35,
        building_height_m=(4.0, 7.0),
        setback_m=(5.0, 12.0),
        tree_spacing_m=45.0,
        parked_share=0.15,
        lanes_each_way=1,
        lane_width_m=3.8,
        pavement_width_m=1.8,
        mast_arm=True,
    ),
    Town(
        name="terrazza",
        location="sg-one-north",
        asphalt=(0.30, 0.29, 0.27),
        pavement=(0.70, 0.64, 0.56),
        ground=(0.46, 0.44, 0.28),
        marking=(0.93, 0.92, 0.88),
        walls=((0.88, 0.70, 0.42), (0.84, 0.52, 0.40), (0.56, 0.70, 0.66), (0.90, 0.86, 0.76), (0.72, 0.48, 0.56)),
        leaves=((0.20, 0.40, 0.18), (0.26, 0.44, 0.24)),
        building_share=0.88,
        building_height_m=(7.0, 13.0),
        setback_m=(0.5, 3.0),
        tree_spacing_m=20.0,
        parked_share=0.35,
        lanes_each_way=1,
        lane_width_m=3.3,
        pavement_width_m=2.4,
        mast_arm=False,
    ),
    Town(
        name="steelgate",
        location="us-pa-pittsburgh-hazelwood",
        asphalt=(0.25, 0.25, 0.26),
        pavement=(0.42, 0.41, 0.40),
        ground=(0.38, 0.35, 0.30),
        marking=(0.84, 0.82, 0.74),
        walls=((0.48, 0.30, 0.24), (0.36, 0.34, 0.34), (0.56, 0.50, 0.42), (0.30, 0.38, 0.44)),
        leaves=((0.34, 0.36, 0.18), (0.42, 0.38, 0.20)),
        building_share=0.7,
        building_height_m=(8.0, 20.0),
        setback_m=(1.0, 7.0),
        tree_spacing_m=32.0,
        parked_share=0.28,
        lanes_each_way=2,
        lane_width_m=3.4,
        pavement_width_m=2.4,
        mast_arm=True,
    ),
    Town(
        name="whitecliff",
        location="us-ma-boston",
        asphalt=(0.34, 0.35, 0.37),
        pavement=(0.72, 0.72, 0.72),
        ground=(0.36, 0.50, 0.28),
        marking=(0.96, 0.96, 0.95),
        walls=((0.90, 0.89, 0.86), (0.80, 0.80, 0.78), (0.70, 0.78, 0.84), (0.84, 0.78, 0.70)),
        leaves=((0.26, 0.46, 0.22), (0.34, 0.52, 0.26)),
        building_share=0.65,
        building_height_m=(5.0, 11.0),
        setback_m=(2.0, 6.0),
        tree_spacing_m=14.0,
        parked_share=0.25,
        lanes_each_way=1,
        lane_width_m=3.4,
        pavement_width_m=2.2,
        mast_arm=False,
    ),
    Town(
        name="harbourside",
        location="us-ma-boston",
        asphalt=(0.25, 0.26, 0.29),
        pavement=(0.58, 0.55, 0.52),
        ground=(0.34, 0.42, 0.30),
        marking=(0.93, 0.93, 0.90),
        walls=((0.44, 0.24, 0.20), (0.66, 0.64, 0.60), (0.36, 0.40, 0.46), (0.78, 0.72, 0.62)),
        leaves=((0.24, 0.40, 0.18), (0.44, 0.34, 0.14)),
        building_share=0.8,
        building_height_m=(12.0, 28.0),
        setback_m=(0.5, 4.0),
        tree_spacing_m=28.0,
        parked_share=0.25,
        lanes_each_way=2,
        lane_width_m=3.4,
        pavement_width_m=3.2,
        mast_arm=True,
    ),
    Town(
        name="orchardrow",
        location="sg-one-north",
        asphalt=(0.28, 0.28, 0.28),
        pavement=(0.66, 0.63, 0.58),
        ground=(0.26, 0.44, 0.20),
        marking=(0.95, 0.95, 0.93),
        walls=((0.90, 0.88, 0.84), (0.70, 0.74, 0.66), (0.86, 0.66, 0.50), (0.58, 0.62, 0.72)),
        leaves=((0.14, 0.36, 0.14), (0.24, 0.46, 0.18)),
        building_share=0.75,
        building_height_m=(7.0, 15.0),
        setback_m=(1.0, 5.0),
        tree_spacing_m=13.0,
        parked_share=0.3,
        lanes_each_way=1,
        lane_width_m=3.4,
        pavement_width_m=2.6,
        mast_arm=False,
    ),
    Town(
        name="northgate",
        location="us-pa-pittsburgh-hazelwood",
        asphalt=(0.29, 0.28, 0.27),
        pavement=(0.48, 0.46, 0.44),
        ground=(0.36, 0.40, 0.24),
        marking=(0.90, 0.88, 0.80),
        walls=((0.58, 0.46, 0.34), (0.46, 0.26, 0.20), (0.68, 0.68, 0.66), (0.38, 0.36, 0.34)),
        leaves=((0.40, 0.40, 0.16), (0.28, 0.42, 0.18), (0.56, 0.34, 0.12)),
        building_share=0.7,
        building_height_m=(7.0, 14.0),
        setback_m=(1.0, 5.0),
        tree_spacing_m=22.0,
        parked_share=0.35,
        lanes_each_way=1,
        lane_width_m=3.5,
        pavement_width_m=2.3,
        mast_arm=True,
    ),
    Town(
        name="goldspur",
        location="us-nv-las-vegas-strip",
        asphalt=(0.33, 0.32, 0.31),
        pavement=(0.70, 0.64, 0.55),
        ground=(0.62, 0.54, 0.40),
        marking=(0.94, 0.92, 0.84),
        walls=((0.82, 0.70, 0.52), (0.56, 0.60, 0.68), (0.74, 0.56, 0.44), (0.90, 0.86, 0.80)),
        leaves=((0.36, 0.46, 0.24), (0.30, 0.42, 0.20)),
        building_share=0.6,
        building_height_m=(5.0, 22.0),
        setback_m=(3.0, 10.0),
        tree_spacing_m=24.0,
        parked_share=0.12,
        lanes_each_way=2,
        lane_width_m=3.5,
        pavement_width_m=3.0,
        mast_arm=True,
    ),
)

TOWNS: dict[str, Town] = {town.name: town for town in _TOWNS}
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
