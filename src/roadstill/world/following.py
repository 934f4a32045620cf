"""Episodes in the own lane: the tail of a jam, slow and cutting-in cars, and sharp curves."""

import random

from roadstill.world.driver import Hazard
from roadstill.world.episodes import Episode, Traffic
from roadstill.world.routes import Bend
from roadstill.world.traffic import FOREVER_S, Car


class InLane(Episode):
    """What is ahead in the lane is there as a car or as the road itself; nobody else has to stop."""

    def wall(self, t_s: float) -> float | None:
        """None: the cars themselves are in the way."""
        return None

    def oncoming_wall(self, t_s: float) -> float | None:
        """None."""
        return None


class Queue(InLane):
    """The tail of a jam over all our lanes, brake lamps lit; after a while it dissolves."""

    cause = "queue"
    after_m = 20.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.cars: list[Car] = []
        self.release_mps = rng.uniform(0.5, 4.5)

    def tick(self, run: Traffic) -> None:
        """Stands when he is far, dissolves front first when he is slow."""
        room = self.site_m - run.front_m
        if self.begun_s == FOREVER_S and not self.passive:
            if room < 115.0:
                lead = run.lead()
                self.passive = room < 55.0 or (lead is not None and lead.p < self.site_m + 70.0)
                if not self.passive:
                    self.begun_s = run.t
                    self._stand(run)
            return
        if self.cars and self.free_s == FOREVER_S and run.v < self.release_mps and room < 60:
            self.free_s = run.t
        for index, car in enumerate(self.cars):
            car.want = 0.0 if run.t < self.free_s + 0.25 * (self.rows - 1 - index % self.rows) else 16.5
            car.foot = car.want == 0.0 or (car.v < 3.0 and car.accel < 0.8)

    def _stand(self, run: Traffic) -> None:
        self.rows = self.rng.randrange(3, 5)
        for k, lane in enumerate(run.lanes):
            s = self.site_m + 2.5 + self.rng.uniform(-1.0, 1.0) * (k != run.lane)
            lane[:] = [car for car in lane if not s - 40 < car.p < s + 60]
            for row in range(self.rows):
                kind = self.rng.choice(("car", "car", "car", "van", "truck" if row else "car"))
                car = Car(self.rng, kind, 0.0, run.lane_d(k), 0.0, "queue")
                car.p = s + car.half_m
                s += car.length_m + self.rng.uniform(1.6, 2.8)
                car.cause = self.cause
                car.want, car.acc, car.lit = 0.0, self.rng.uniform(2.6, 3.2), True
                lane.append(car)
                self.cars.append(car)


class SlowLead(InLane):
    """A car pulls out far ahead, he comes up to it, it brakes; then it pulls away."""

    cause = "lead_brakes"
    after_m = 25.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.car: Car | None = None
        self.brake_s = FOREVER_S
        self.low_mps, self.hold_s = rng.uniform(0.0, 3.0), rng.uniform(2.0, 4.0)

    def tick(self, run: Traffic) -> None:
        """Pulls out, brakes when he is near, pulls away when he has slowed down."""
        if self.passive:
            return
        if self.car is None:
            self._pull_out(run)
            return
        car, gap = self.car, self.car.p - self.car.half_m - run.front_m
        if self.brake_s == FOREVER_S:
            near = gap < 9.0 + 0.9 * run.v
            self.wary = gap < 14.0 + 1.6 * run.v
            car.foot = car.foot or (gap < 45.0 and run.v > car.v + 1.0 and run.t > self.begun_s + 1.5)
            if near or run.t > self.begun_s + 9.0:
                self.brake_s = run.t
                car.want, car.dec, car.foot = self.low_mps, self.rng.uniform(2.6, 4.0), True
            return
        self.wary = False
        calm = run.v < car.v + 1.0 or run.t > self.brake_s + self.hold_s + 3.0
        if calm and run.t > self.brake_s + self.hold_s and self.free_s == FOREVER_S:
            self.free_s, car.want, car.acc, car.foot = run.t, 17.0, self.rng.uniform(2.9, 3.6), False

    def _pull_out(self, run: Traffic) -> None:
        room = self.site_m - run.front_m
        if room > 50.0:
            return
        if run.lead() is not None and run.lead().p < run.front_m + 90:  # type: ignore[union-attr]
            self.passive = True
            return
        side = run.half_m + 1.1 if run.lane == len(run.lanes) - 1 else -run.lane_d(run.lane + 1)
        car = Car(self.rng, self.rng.choice(("car", "car", "van", "truck")), self.site_m + 4, -side, 3.0, "lead")
        car.want, car.acc, car.d_to, car.d_rate = self.rng.uniform(4.5, 7.0), 2.0, run.lane_d(run.lane), 1.6
        run.lanes[run.lane].append(car)
        self.car, self.begun_s = car, run.t


class CutIn(SlowLead):
    """A car from the neighbouring lane or the kerb cuts in close ahead and brakes; then it pulls away."""

    cause = "cut_in"

    def _pull_out(self, run: Traffic) -> None:
        room = self.site_m - run.front_m
        v = run.v
        reach = 6.0 + v * v / (2 * 2.4) + (run.delay_s - 0.2) * v
        self.wary = room < reach + 0.8 * v
        if room > reach:
            return
        if v < 5.0 or (run.lead() is not None and run.lead().p < run.front_m + 60):  # type: ignore[union-attr]
            self.passive = True
            self.wary = False
            return
        side = run.half_m + 0.2 if run.lane == len(run.lanes) - 1 else -run.lane_d(run.lane + 1)
        car = Car(self.rng, self.rng.choice(("car", "car", "van")), self.site_m + 1, -side, 3.2, "cut_in")
        car.want, car.dec, car.d_to, car.d_rate = self.rng.uniform(0.5, 2.2), 1.2, run.lane_d(run.lane), 2.2
        car.foot = car.lit = True
        car.cause = self.cause
        run.lanes[run.lane].append(car)
        self.car, self.begun_s, self.brake_s = car, run.t, run.t


class Curve(InLane):
    """The road bends sharply: he slows down before it and speeds up after it."""

    cause = "curve"

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.sign = 1
        self.cruise_mps = min(cruise_mps, rng.uniform(8.5, 10.5))
        self.radius_m, self.angle_rad = rng.uniform(16.0, 22.0), rng.uniform(0.9, 1.5)
        self.corner_mps = rng.uniform(3.2, 4.6)
        self.begun_s = 0.0

    @property
    def after_m(self) -> float:  # type: ignore[override]
        """Up to where the road is straight again."""
        return (self.bend().end_m - self.site_m) + 3.0

    def bend(self) -> Bend:
        """The curve itself."""
        return Bend(self.site_m - 1.0, self.radius_m, self.sign * self.angle_rad)

    def tick(self, run: Traffic) -> None:
        """He knows the road."""
        self.wary = 0.0 < self.site_m - run.front_m < 50.0

    def turn(self, last: int) -> int:
        """To the other side than the curve before."""
        self.sign = -last
        return self.sign

    def hazards(self, run: Traffic) -> list[Hazard]:
        """The curve's beginning, once it is worth braking for."""
        room = self.site_m - run.front_m
        if room <= 0:
            return []
        need = (run.v**2 - self.corner_mps**2) / (2 * max(room, 0.5))
        if need > 1.5 or (run.cause == self.cause and run.accel < -0.8):
            return [Hazard(self.site_m, self.corner_mps, self.cause, -1.0, fixed=True)]
        return []

    def cruise(self, run: Traffic) -> float | None:
        """Slowly through the curve, up to its last third."""
        if self.site_m <= run.front_m and run.s < self.bend().end_m - 9.0:
            return self.corner_mps + 0.6
        return super().cruise(run)
