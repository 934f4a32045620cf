"""The built-in world in a recipe: where its frames come from, and where its agents drive."""

from dataclasses import dataclass, field, replace

from roadstill.driving.plan import IN_TRAFFIC, Driver
from roadstill.runs import Range, check_ranges, later
from roadstill.world.groups import require_kept


@dataclass(frozen=True)
class World:
    """The built-in world as the source of frames.

    Attributes:
        drives: number of drives, several logs each.
        seed: seed of the world; 9000 and above are reserved for confirmation.
        group: "demo", "confirm" or "pretrain": towns, lights and weathers.
        height_px: height of the pictures, which are 16:9.
        reserved: whether this is the confirmation, on a reserved world; ``run --reserved SEED`` sets it.
    """

    drives: int = 24
    seed: int = 1
    group: str = "demo"
    height_px: int = 144
    reserved: bool = later(False)

    def __post_init__(self) -> None:
        check_ranges(self, "world.", seed=Range(0, 2**62, whole=True))
        require_kept("world.seed", self.seed, self.group, reserved=self.reserved)

    def confirming(self, seed: int) -> "World":
        """The reserved world of a seed: where this one has the towns of development, it has two more that are new."""
        return replace(self, seed=seed, group="confirm" if self.group == "demo" else self.group, reserved=True)


@dataclass(frozen=True)
class Drives:
    """Drives in a closed loop with the recipe's agents, in the built-in world: see `roadstill.driving.closed_loop`.

    Attributes:
        world: world whose logs are driven anew; of another seed than the one that the recipe learns from.
        scenarios: number of logs that are driven.
        seconds: length of each.
        seeds: seeds of each arm whose agents drive.
        arms: names of the arms that drive; all if empty.
        driver: how decisions are carried out.
    """

    world: World = field(default_factory=lambda: World(drives=34, seed=60))
    scenarios: int = 100
    seconds: float = 30.0
    seeds: int = 3
    arms: tuple[str, ...] = ()
    driver: Driver = IN_TRAFFIC

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))
        check_ranges(self, "drive.", seconds=Range(1, 600), scenarios=Range(1, 1_000_000, whole=True))
