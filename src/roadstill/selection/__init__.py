"""Picking images: baselines with the same signature as a generator."""

from roadstill.selection.base import Selector, select
from roadstill.selection.confident import Confident
from roadstill.selection.medoids import Medoids
from roadstill.selection.per_drive import PerDriveRandom
from roadstill.selection.random import Random

__all__ = ["Confident", "Medoids", "PerDriveRandom", "Random", "Selector", "select"]
