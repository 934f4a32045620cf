"""What happens beside the ego's way and is no reason to brake: it shows what a reason looks like, and is none.

Neighbours stand with brake lamps lit while the own lane is free, a bus stands at its stop, a van delivers with hazard
lights, an ambulance stands at the kerb, people wait at a crosswalk and talk.
"""

import random
from collections.abc import Sequence

from roadstill.world.episodes import AWAY_MPS, KERB_M, Traffic
from roadstill.world.following import InLane
from roadstill.world.orders import lay_works
from roadstill.world.passers import CLOTHES, FOREVER_S, Passer, person
from roadstill.world.routes import CAR_COLOURS, SIZES_M, track_of
from roadstill.world.traffic import Car

_STANDS_FROM_M = (60.0, 110.0)  # a row of neighbours comes to stand while the ego is that far
_GOES_BEHIND_M = 12.0
_STRIP_M = 1.15  # middle of the strip for parked cars, from the outermost lane
_KERB_ROOM_M = 5.0
_AWAY_M = 4.0  # so far somebody walks away from the kerb
_FAR_LEAD_M = 20.0  # before the site
_WHITE, _FIRE = (0.92, 0.92, 0.92), (0.75, 0.08, 0.07)


class Sideshow(InLane):
    """Something to see that asks for nothing."""

    after_m = 0.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.begun_s = 0.0

    def tick(self, traffic: Traffic) -> None:
        """Nothing to be wary of."""

    def cruise(self, traffic: Traffic) -> float | None:
        """No say."""
        return None

    def stand(self, traffic: Traffic, kind: str, colour: tuple[float, float, float], **shows: str | bool) -> Passer:
        """Puts a vehicle at the kerb, seen from behind."""
        thing = Passer(
            track_of(self.rng), kind, "kerbside", colour, self.site_m, -(traffic.half_road_m + _STRIP_M), 0.0, 0.0,
            yaw_rad=0.0, **shows,  # type: ignore[arg-type]
        )  # fmt: skip
        traffic.passers.append(thing)
        return thing

    def gather(self, traffic: Traffic, count: int, s_m: Sequence[float], edge_m: float) -> None:
        """Puts people there who stand and look along the road."""
        for _ in range(count):
            place_m, aside_m = self.rng.uniform(*s_m), edge_m + self.rng.uniform(0.0, 1.2)
            pace_mps = self.rng.choice((-0.01, 0.01))
            traffic.passers.append(person(self.rng, "bystander", place_m, -aside_m, pace_mps, 0.0))

    @property
    def kerb_m(self) -> tuple[float, float]:
        """The stretch that it takes."""
        return self.site_m - _KERB_ROOM_M, self.site_m + _KERB_ROOM_M


class BusStop(Sideshow):
    """A bus at its stop: brake lamps or hazard lights, people beside it."""

    def prepare(self, traffic: Traffic) -> None:
        """The bus and those who wait."""
        red = self.rng.choice((_FIRE, (0.10, 0.30, 0.55), (0.85, 0.85, 0.82), (0.12, 0.42, 0.24)))
        shows = {"braking": True} if self.rng.random() < 0.6 else {"turning": "both"}
        self.stand(traffic, "bus", red, **shows)
        half_m = SIZES_M["bus"][0] / 2
        around = (self.site_m - half_m, self.site_m + half_m)
        self.gather(traffic, self.rng.randrange(1, 5), around, traffic.half_road_m + 2 * _STRIP_M + 0.5)

    @property
    def kerb_m(self) -> tuple[float, float]:
        """A bus is long."""
        return self.site_m - 10.0, self.site_m + 10.0


class Delivery(Sideshow):
    """A van or truck with hazard lights, or a car that has just stopped."""

    def prepare(self, traffic: Traffic) -> None:
        """The vehicle alone."""
        kind = self.rng.choice(("van", "van", "truck", "car"))
        shows = {"turning": "both"} if self.rng.random() < 0.5 else {"braking": True}
        self.stand(traffic, kind, self.rng.choice(CAR_COLOURS), **shows)


class Emergency(Sideshow):
    """An ambulance or a fire engine at the kerb, its beacons on."""

    def prepare(self, traffic: Traffic) -> None:
        """The vehicle and two of its crew."""
        kind = self.rng.choice(("van", "van", "truck"))
        self.stand(traffic, kind, self.rng.choice((_WHITE, _FIRE)), beacon="blue", turning="both")
        self.gather(traffic, 2, (self.site_m - 6, self.site_m + 4), traffic.half_road_m + 2 * _STRIP_M + 0.4)


class Talkers(Sideshow):
    """People at the kerb by a crosswalk who do not want to cross."""

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crosswalks_m = (site_m,)

    def prepare(self, traffic: Traffic) -> None:
        """A group on either side, some walking away."""
        for side in (-1, 1):
            for _ in range(self.rng.randrange(0, 4)):
                walks = self.rng.random() < 0.4
                pace_mps = self.rng.choice((-1, 1)) * (self.rng.uniform(0.8, 1.5) if walks else 0.01)
                edge_m = traffic.half_road_m + KERB_M + self.rng.uniform(0.2, 2.4)
                place_m = self.site_m + self.rng.uniform(-2.0, 2.0)
                walker = person(self.rng, "bystander", place_m, side * edge_m, pace_mps, 0.0)
                walker.colour = self.rng.choice(CLOTHES)
                if walks:  # it has been at the crosswalk when the ego is near
                    walker.origin_s = self.rng.uniform(0.0, 60.0)
                traffic.passers.append(walker)
        self.leaves_m = self.rng.uniform(14.0, 34.0)

    def tick(self, traffic: Traffic) -> None:
        """When the ego comes near, somebody walks away from the kerb, or up to it and stops there."""
        if self.site_m - traffic.front_m < self.leaves_m:
            self.leaves_m = -FOREVER_S
            side, comes = self.rng.choice((-1, -1, 1)), self.rng.random() < 0.5
            pace_mps, place_m = self.rng.uniform(1.2, 1.8), self.site_m + self.rng.uniform(-1.5, 1.5)
            edge_m = traffic.half_road_m + KERB_M + (_AWAY_M if comes else 0.0)
            walker = person(self.rng, "bystander", place_m, side * edge_m, 0.0, side * pace_mps * (-1 if comes else 1))
            walker.go_s = walker.from_s = traffic.time_s
            walker.stop_s = walker.go_s + _AWAY_M / pace_mps
            traffic.passers.append(walker)


class FarLead(Sideshow):
    """A car far ahead in our lane brakes for a moment; there is ample room."""

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.car: Car | None = None
        self.tried = False
        self.brakes_s = self.goes_s = FOREVER_S
        self.far_m = rng.uniform(52.0, 78.0)

    def tick(self, traffic: Traffic) -> None:
        """It pulls out where nobody else is in between, brakes, and drives off."""
        if not self.tried and traffic.front_m > self.site_m - _FAR_LEAD_M:
            self.tried = True
            lead = traffic.lead()
            if lead is None or lead.tail_m > traffic.front_m + self.far_m + 14.0:
                self._pull_out(traffic)
        elif self.car is not None and traffic.time_s > self.goes_s:
            self.car.brake_held, self.car.desired_mps = False, AWAY_MPS
        elif self.car is not None and traffic.time_s > self.brakes_s:
            self.car.brake_held = True

    def _pull_out(self, traffic: Traffic) -> None:
        lane_m = traffic.lane_offset_m(traffic.lane)
        kind = self.rng.choice(("car", "car", "van", "truck"))
        car = Car(self.rng, kind, traffic.front_m + self.far_m, lane_m - 2.4, 7.0, "lead")
        car.desired_mps, car.target_offset_m, car.lateral_mps = self.rng.uniform(8.0, 11.0), lane_m, 1.4
        traffic.lanes[traffic.lane].append(car)
        self.car = car
        self.brakes_s = traffic.time_s + self.rng.uniform(0.0, 1.5)
        self.goes_s = self.brakes_s + self.rng.uniform(1.5, 3.5)


class WorksAside(Sideshow):
    """Roadworks at the kerb that leave the lane free."""

    def prepare(self, traffic: Traffic) -> None:
        """Two rows of barriers beside our lanes."""
        edge_m = -traffic.half_road_m
        lay_works(self.rng, traffic, self.site_m, [(edge_m - 0.4, -1), (edge_m - 1.9, 1)])

    @property
    def kerb_m(self) -> tuple[float, float]:
        """The works take the strip where cars are parked."""
        return self.site_m - 3.0, self.site_m + 20.0


class NeighboursBrake(Sideshow):
    """The neighbouring lanes stand, as before a turn or a closed lane; ours is free."""

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.cars: list[Car] = []
        self.done = False

    def prepare(self, traffic: Traffic) -> None:
        """Where there is no neighbouring lane, a row of cars stands at the kerb instead."""
        if len(traffic.lanes) == 1:
            self.done = True
            self.stand(traffic, self.rng.choice(("car", "car", "van")), self.rng.choice(CAR_COLOURS), braking=True)

    def tick(self, traffic: Traffic) -> None:
        """Comes to stand while the ego is far, goes when it has passed."""
        room_m = self.site_m - traffic.front_m
        low_m, high_m = _STANDS_FROM_M
        if not self.done and not self.cars and low_m < room_m < high_m:
            for number in range(len(traffic.lanes)):
                if number != traffic.lane:
                    self._row(traffic, number)
        elif self.cars and room_m < -_GOES_BEHIND_M:
            for car in self.cars:
                car.desired_mps, car.brake_held = 9.0, False
            self.cars, self.done = [], True
        elif room_m < low_m and not self.cars:
            self.done = True

    def _row(self, traffic: Traffic, number: int) -> None:
        lane, tail_m = traffic.lanes[number], self.site_m + self.rng.uniform(-3.0, 3.0)
        lane[:] = [car for car in lane if not tail_m - 40.0 < car.progress_m < tail_m + 60.0]
        for row in range(self.rng.randrange(1, 4)):
            kind = self.rng.choice(("car", "car", "van", "truck" if row else "car"))
            car = Car(self.rng, kind, 0.0, traffic.lane_offset_m(number), 0.0, "neighbour")
            car.progress_m = tail_m + car.half_m
            tail_m += car.length_m + self.rng.uniform(1.6, 3.0)
            car.desired_mps, car.braking, car.brake_held = 0.0, True, True
            lane.append(car)
            self.cars.append(car)
