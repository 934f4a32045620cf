"""Which kinds of episodes there are, and how often each occurs: the one list to which a new kind is added."""

from roadstill.world.crossings import Crossroads, Pedestrians, RedLight, SchoolBus
from roadstill.world.episodes import Episode
from roadstill.world.following import Curve, CutIn, LaneChange, Queue, SlowLead, TurnOff
from roadstill.world.orders import Narrows, SpeedBump, StopSign
from roadstill.world.sideshows import (
    BusStop,
    Delivery,
    Emergency,
    FarLead,
    NeighboursBrake,
    Sideshow,
    Talkers,
    WorksAside,
)
from roadstill.world.signalled import SignalQueue

KINDS: dict[type[Episode], float] = {
    RedLight: 0.22,
    Pedestrians: 0.16,
    SchoolBus: 0.08,
    Queue: 0.10,
    SignalQueue: 0.13,
    SlowLead: 0.16,
    CutIn: 0.06,
    Crossroads: 0.08,
    StopSign: 0.12,
    SpeedBump: 0.12,
    Narrows: 0.06,
    Curve: 0.10,
    TurnOff: 0.08,
    LaneChange: 0.14,
}
"""Weights of the draw among the kinds that the road has lanes for. The order counts: with another one, each seed gives
another world."""
SIDESHOWS: dict[type[Sideshow], float] = {
    NeighboursBrake: 0.28,
    BusStop: 0.14,
    Delivery: 0.14,
    Emergency: 0.09,
    Talkers: 0.15,
    FarLead: 0.12,
    WorksAside: 0.08,
}
"""Weights of what happens beside the way, where there is room between two episodes."""
