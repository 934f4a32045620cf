"""Episodes at crossroads and crosswalks: crossing traffic, red lights, people and roadworks."""

import random
from dataclasses import replace

from roadstill.world.episodes import Episode, Traffic
from roadstill.world.scene import TrafficLight
from roadstill.world.traffic import FOREVER_S, Car, Passer, crossing, person, track_of

CROSS_KINDS = ("car", "car", "car", "van", "van", "truck", "bus")


class Crossroads(Episode):
    """Crossing traffic at a crossroads without a signal: he has to let it pass."""

    cause = "cross_traffic"
    notice_s = 0.5
    after_m = 30.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crossroads_m = site_m + 11.5
        self.stop_line_m = site_m + 0.8
        self.turns_in = rng.random() < 0.45
        self.far_m = rng.uniform(48.0, 80.0) if rng.random() < 0.6 else FOREVER_S

    def begin(self, run: Traffic) -> None:
        """The stream crosses; he goes behind the last one."""
        last = run.t + self.rng.uniform(2.6, 5.0)
        last = self._cross(run, run.t + 0.3, last)
        self.free_s, self.clear_s = last + 1.0 - run.delay_s, last + 1.5
        self._wait(run, self.free_s)

    def tick(self, run: Traffic) -> None:
        """Also lets traffic cross while he is still far, and a car turn in ahead of him when he may go."""
        room = self.site_m - run.front_m
        if self.far_m < room < self.far_m + 5.0:
            self.far_m = FOREVER_S
            self._cross(run, run.t + 0.8, run.t + self.rng.uniform(1.5, 2.6))
        if self.turns_in and self.free_s - 0.8 < run.t < self.free_s and run.v < 6.0 and room > -1.0:
            self.turns_in = False
            self._turn_in(run)
        super().tick(run)

    def _wait(self, run: Traffic, from_s: float) -> None:
        """The next ones on the crossing road arrive too late and stand at their stop line."""
        for direction in (-1, 1):
            if self.rng.random() < 0.6:
                stop, edge = from_s + self.rng.uniform(0.3, 1.5), run.half_m + self.rng.uniform(4.8, 6.0)
                car = crossing(self.rng, self.crossroads_m or 0.0, stop + edge / 4.0, direction, 4.0, "car")
                run.passers.append(replace(car, stop_s=stop, to_s=FOREVER_S))

    def _turn_in(self, run: Traffic) -> None:
        """A car from the side street is ahead of him when he starts, lamps off."""
        place = (self.crossroads_m or 0.0) + self.rng.uniform(4.0, 9.0)
        if any(abs(car.p - place) < 12 for car in run.lanes[run.lane]):
            return
        car = Car(self.rng, self.rng.choice(("car", "car", "van")), place, run.lane_d(run.lane) - 2.6, 4.0, "turned_in")
        car.want, car.acc, car.d_to, car.d_rate = 17.0, self.rng.uniform(2.6, 3.2), run.lane_d(run.lane), 1.8
        run.lanes[run.lane].append(car)

    def _cross(self, run: Traffic, first_s: float, last_s: float) -> float:
        latest = first_s
        for direction in (-1, 1):
            speed, t = self.rng.uniform(5.0, 8.5), first_s + self.rng.uniform(0.0, 0.8)
            while t < last_s:
                kind = self.rng.choice(CROSS_KINDS)
                vehicle = crossing(self.rng, self.crossroads_m or 0.0, t, direction, speed, kind)
                run.passers.append(vehicle)
                latest = max(latest, t)
                t += (14.0 if kind in ("truck", "bus") else 8.0) / speed + self.rng.uniform(0.2, 0.7)
        return latest


class RedLight(Crossroads):
    """A signal turns red: traffic crosses, people walk; then it turns green."""

    cause = "red_light"
    notice_s = 0.0
    after_m = 34.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crossroads_m = site_m + 15.5
        self.stop_line_m = site_m + 0.8
        self.crosswalks_m = (site_m + 4.0, site_m + 27.0)
        self.far_m = FOREVER_S
        self.amber_s = 0.8
        self.green_s = FOREVER_S
        rng.randrange(10_000, 99_999)  # once a number of the light; without it all that follows would be another world
        self.early_m = rng.uniform(48, 58) if rng.random() < 0.35 else 0.0
        self.people: list[Passer] = []

    def prepare(self, run: Traffic) -> None:
        """People wait at the crosswalk."""
        for _ in range(self.rng.randrange(1, 6)):
            side = self.rng.choice((-1, 1))
            s = self.crosswalks_m[0] + self.rng.uniform(-1.2, 1.2)
            standing = person(self.rng, "crosser", s, side * (run.half_m + 0.7), 0.0, -side * 0.01)
            standing.go_s = standing.stop_s = FOREVER_S
            self.people.append(standing)
        run.passers.extend(self.people)

    def tick(self, run: Traffic) -> None:
        """Begins late (the amber catches him) or early (red from afar)."""
        if self.early_m and not self.passive and self.begun_s == FOREVER_S:
            room = self.site_m - run.front_m
            self.wary = room < self.early_m + 12.0
            lead = run.lead()
            if room < self.early_m and run.v > 6.0 and (lead is None or lead.p - 3 > self.site_m + 12):
                self.begun_s = run.t
                self.begin(run)
            if room > 40.0:
                return
        super().tick(run)

    def begin(self, run: Traffic) -> None:
        """Red for about as long as he needs to brake."""
        v, room = run.v, self.site_m - run.front_m
        coast = max(0.0, (room - v * v / (2 * self.brake_mps2)) / max(v, 1.0) - 0.8)
        red = max(3.2, coast + v / self.brake_mps2 * self.rng.uniform(0.7, 1.35))
        self.green_s = run.t + red
        if self.rng.random() < 0.7:
            self._cross(run, run.t + 0.9, self.green_s - 0.7)
        self._walk(run, self.people, run.t + 0.3, self.green_s, all_go=True)
        self.free_s, self.clear_s = self.green_s - run.delay_s + 0.1, self.green_s
        self._wait(run, self.green_s)

    def signals(self, t_s: float) -> tuple[TrafficLight, ...]:
        """One signal beyond the crossroads."""
        state = "green"
        if self.begun_s <= t_s < self.green_s:
            state = "amber" if t_s < self.begun_s + self.amber_s else "red"
        s = (self.crossroads_m or 0.0) + 9.5
        return (TrafficLight(s, self.stop_line_m or 0.0, state),)


class Pedestrians(Episode):
    """People step onto a crosswalk, or a flagger with a barrier onto the lane."""

    cause = "pedestrian"
    notice_s = 0.6

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.works = rng.random() < 0.35
        if not self.works:
            self.crosswalks_m = (site_m + 3.5,)
        self.people: list[Passer] = []
        self.things: list[Passer] = []

    def prepare(self, run: Traffic) -> None:
        """People wait at the kerb, or the things of the roadworks lie there."""
        kerb = run.half_m + 0.7
        for index in range(2 if self.works else self.rng.randrange(3, 8)):
            side = -1 if self.works or index == 0 or self.rng.random() < 0.6 else 1
            s = self.site_m + 3.5 + self.rng.uniform(-1.3, 1.3)
            walker = person(self.rng, "flagger" if self.works else "crosser", s, side * kerb, 0.0, -side * 0.01)
            walker.go_s = walker.stop_s = FOREVER_S
            self.people.append(walker)
        if self.works:
            edge = -run.half_m - 0.5
            for index in range(9):
                kind = "barrier" if index < 4 else ("cone", "sign")[index == 4]
                s = self.site_m + (2.6 if index < 4 else 4.5 + 2.5 * (index - 4))
                colour = (0.95, 0.45, 0.08)
                yaw = 1.57 if index < 4 else 0.0
                self.things.append(Passer(track_of(self.rng), kind, "works", colour, s, edge, 0.0, 0.0, yaw_rad=yaw))
        run.passers.extend(self.people + self.things)

    def begin(self, run: Traffic) -> None:
        """They step out."""
        if self.works:
            self._close_lane(run)
            return
        free = self._walk(run, self.people, run.t, run.t + self.rng.uniform(4.5, 7.0), all_go=True)
        self.free_s, self.clear_s = free - run.delay_s + 0.1, free + 1.5

    def _close_lane(self, run: Traffic) -> None:
        """Two workers carry barriers across our half and back again."""
        stay, reach = self.rng.uniform(2.5, 5.0), run.half_m - 0.2
        self.free_s = run.t
        for index, mover in enumerate([*self.people, *self.things[:4]]):
            goal = reach * (0.35 + 0.5 * index if index < 2 else 0.25 * (index - 1))
            pace, go = 2.2, run.t
            out = replace(mover, across_mps=pace, go_s=go, stop_s=go + goal / pace, to_s=run.t + stay)
            _, d, _ = out.place(out.to_s)
            home = out.to_s + (d - mover.d_m) / pace
            back = replace(mover, d_m=d, across_mps=-pace, go_s=out.to_s, stop_s=home, from_s=out.to_s)
            run.passers.remove(mover)
            run.passers += [out, back]
            self.free_s = max(self.free_s, home - 0.4)
        self.clear_s = self.free_s
