"""A log without a road: what episodes may know of it, set by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from roadstill.world.driver import FRONT_M
from roadstill.world.episodes import Episode
from roadstill.world.passers import Passer
from roadstill.world.traffic import DT_S, Car

LANE_M = 3.5


@dataclass
class FakeTraffic:
    """The ego drives at a constant speed in the innermost of its lanes; nothing else moves by itself."""

    front_m: float = 0.0
    speed_mps: float = 10.0
    time_s: float = 0.0
    accel_mps2: float = 0.0
    cause: str = "open_road"
    delay_s: float = 0.4
    lane: int = 0
    lanes: list[list[Car]] = field(default_factory=lambda: [[], []])
    passers: list[Passer] = field(default_factory=list)

    @property
    def rear_axle_m(self) -> float:
        return self.front_m - FRONT_M

    @property
    def half_road_m(self) -> float:
        return len(self.lanes) * LANE_M

    def lane_offset_m(self, lane: int) -> float:
        return -(lane + 0.5) * LANE_M

    def lead(self) -> Car | None:
        ahead = [car for car in self.lanes[self.lane] if car.tail_m > self.front_m]
        return min(ahead, key=lambda car: car.progress_m, default=None)

    def change_lane(self, lane: int) -> None:
        self.lane = lane

    def ticks(self, episode: Episode, seconds: float) -> Iterator[float]:
        """Lets an episode tick while the ego drives; yields the time after each tick."""
        for _ in range(round(seconds / DT_S)):
            episode.tick(self)
            self.front_m += self.speed_mps * DT_S
            self.time_s += DT_S
            yield self.time_s

    def run(self, episode: Episode, seconds: float) -> None:
        """Lets an episode tick for a while."""
        for _ in self.ticks(episode, seconds):
            pass
