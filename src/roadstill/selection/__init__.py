"""Picking real frames: baselines with the same signature as a generator."""

from roadstill.selection.base import Selector, select
from roadstill.selection.per_drive import PerDriveRandom
from roadstill.selection.random import Random

__all__ = ["PerDriveRandom", "Random", "Selector", "select"]
