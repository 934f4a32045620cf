"""Which kinds of episodes there are, and how often each occurs: the one list to which a new kind is added."""

from roadstill.world.crossings import Crossroads, Pedestrians, RedLight
from roadstill.world.episodes import Episode
from roadstill.world.following import Curve, CutIn, Queue, SlowLead

KINDS: dict[type[Episode], float] = {
    RedLight: 0.20,
    Pedestrians: 0.17,
    Queue: 0.20,
    SlowLead: 0.13,
    CutIn: 0.09,
    Crossroads: 0.12,
    Curve: 0.20,
}
"""Weights of the draw, by kind. The order counts: with another one, each seed gives another world."""
