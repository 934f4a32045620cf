"""Who decides in a closed loop: agents, and those that know what agents should not."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadstill.agents import Agent
from roadstill.agents.quantities import QUANTITIES
from roadstill.agents.status import status_rows
from roadstill.driving.plan import Driver
from roadstill.errors import UserError

_WISHES = {"throttle": 1.0, "not_brake": 1.0, "hold": 0.0, "brake": -1.0}
_FOOT_DOWN_MPS2 = -0.5  # a driver who wants to slow down by more than this presses the brake
_OPEN_END_MPS2 = 1.0  # a class without an end counts as so wide


class Sight(NamedTuple):
    """What a decision may rest on.

    Attributes:
        pixels: picture, uint8 ``[s, s, 3]``.
        speed_mps: speed now.
        command: driving command: left, straight, right or unknown.
        wish_mps2: acceleration that the world's own driver would want: for the oracle alone.
    """

    pixels: NDArray[np.uint8]
    speed_mps: float
    wish_mps2: float
    command: str = "unknown"


Decide = Callable[[Sight], float]
"""From what is seen to a wish as of `Driver.profile`: -1 brakes, 0 holds, 1 accelerates."""


def decided_by(agent: Agent, driver: Driver) -> Decide:
    """The decisions of an agent: its most probable class; of bins of acceleration the mean; or the acceleration itself.

    Raises:
        UserError: classes that name no command and no accelerations.
    """
    names, ego = agent.class_names, agent.config.ego

    def given(sight: Sight) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        return sight.pixels[None], status_rows([sight.speed_mps], [sight.command]) if ego else None

    quantity = QUANTITIES.get(agent.config.target)
    if quantity is not None:
        return lambda sight: wish_of(float(quantity.accel_mps2(agent.values(*given(sight)))[0]), driver)
    commands = all(name in _WISHES for name in names)
    table = np.array([_WISHES[name] if commands else _middle_mps2(name) for name in names])

    def decide(sight: Sight) -> float:
        (chances,) = agent.predict(*given(sight))
        if commands:
            return float(table[int(chances.argmax())])
        return wish_of(float(chances @ table), driver)

    return decide


def wish_of(accel_mps2: float, driver: Driver) -> float:
    """The wish by which a driver comes to an acceleration."""
    most = driver.brake_mps2 if accel_mps2 < 0 else driver.throttle_mps2
    return max(-1.0, min(1.0, accel_mps2 / most))


def _middle_mps2(name: str) -> float:
    """Middle acceleration of a class that is named by its ends, as `BrakeLabel` names it."""
    try:
        if name.startswith("above_"):
            return float(name.removeprefix("above_")) + _OPEN_END_MPS2 / 2
        if name.startswith("below_"):
            return float(name.removeprefix("below_")) - _OPEN_END_MPS2 / 2
        low, high = name.split("_to_")
        return (float(low) + float(high)) / 2
    except ValueError:
        raise UserError(f"the class {name!r} says nothing about driving; take an agent of brakes, commands or bins of "
                        "acceleration") from None  # fmt: skip


def _oracle(sight: Sight) -> float:
    return -1.0 if sight.wish_mps2 < _FOOT_DOWN_MPS2 else 1.0


GUARDS: Mapping[str, Decide] = {
    "always-brake": lambda sight: -1.0,
    "never-brake": lambda sight: 1.0,
    "oracle": _oracle,
}
"""Controls of the measure itself: the first two should score badly, and the oracle, which is told what the world's own
driver wants, well."""
