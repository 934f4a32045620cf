"""A jam before a traffic light: it stands although the light has just turned green."""

import random

from roadstill.world.episodes import KERB_M, Traffic
from roadstill.world.following import Queue
from roadstill.world.passers import FOREVER_S, waiting
from roadstill.world.scene import TrafficLight

_ROW_M = 7.6  # a car and its gap
_LINE_M = 3.0
_MIDDLE_M, _SIGNAL_M = 14.7, 24.2  # from the stop line
_STARTS_S = 0.9  # from green to the first car's start
_ROW_DELAY_S = 0.8
_EARLY_SHARE = 0.5


class SignalQueue(Queue):
    """Cars wait at a red light and are slow to start when it is green."""

    after_m = 62.0
    stop_line_m: float

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.rows, self.row_delay_s = rng.randrange(2, 5), _ROW_DELAY_S
        self.stop_line_m = site_m + self.rows * _ROW_M + _LINE_M
        self.crossroads_m = self.stop_line_m + _MIDDLE_M
        self.crosswalks_m = (self.stop_line_m + 3.2,)
        self.green_s = FOREVER_S
        # it turns green while the ego is this far from the last car
        self.green_m = rng.uniform(14.0, 48.0) if rng.random() < _EARLY_SHARE else 0.0

    def prepare(self, traffic: Traffic) -> None:
        """People who wait while the cars may go."""
        for _ in range(self.rng.randrange(0, 5)):
            side = self.rng.choice((-1, 1))
            s_m = self.crosswalks_m[0] + self.rng.uniform(-1.2, 1.2)
            traffic.passers.append(waiting(self.rng, "crosser", s_m, side, traffic.half_road_m + KERB_M))

    def _dissolves_s(self, traffic: Traffic, room_m: float) -> float:
        slow_s = super()._dissolves_s(traffic, room_m)
        if slow_s < FOREVER_S or room_m < self.green_m:
            self.green_s = min(self.green_s, traffic.time_s)
        return self.green_s + _STARTS_S if self.green_s < FOREVER_S else FOREVER_S

    def signals(self, time_s: float) -> tuple[TrafficLight, ...]:
        """One signal beyond the crossroads."""
        state = "red" if self.begun_s <= time_s < self.green_s else "green"
        return (TrafficLight(self.stop_line_m + _SIGNAL_M, self.stop_line_m, state, "", "red"),)
