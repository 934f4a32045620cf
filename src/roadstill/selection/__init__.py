"""Selecting images: baselines with the same signature as a generator."""

from roadstill.selection.base import Facts, JointSelector, Maker, Picker, Selector, pick, select
from roadstill.selection.confident import Confident
from roadstill.selection.distinct import Distinct
from roadstill.selection.dynamics import Dynamics
from roadstill.selection.facility_location import FacilityLocation
from roadstill.selection.features import CachedFeatures, Features, PixelFeatures
from roadstill.selection.forgetting import Forgetting
from roadstill.selection.herding import Herding
from roadstill.selection.k_center import KCenter
from roadstill.selection.learnability import Learnability
from roadstill.selection.medoids import Medoids
from roadstill.selection.minimax import Minimax
from roadstill.selection.moment_group import MomentGroup
from roadstill.selection.per_drive import PerDriveRandom
from roadstill.selection.random import Random
from roadstill.selection.rded import Rded, rded
from roadstill.selection.registry import SELECTORS, check_settings, make_selector, makes_pictures, needs
from roadstill.selection.s3 import S3
from roadstill.selection.uncertainty import Entropy, LeastConfidence, Margin

__all__ = [
    "S3", "SELECTORS", "CachedFeatures", "Confident", "Distinct", "Dynamics", "Entropy", "FacilityLocation",
    "Facts", "Features", "Forgetting", "Herding", "JointSelector", "KCenter", "Learnability", "LeastConfidence",
    "Maker", "Margin", "Medoids", "Minimax", "MomentGroup", "PerDriveRandom", "Picker", "PixelFeatures", "Random",
    "Rded", "Selector", "check_settings", "make_selector", "makes_pictures", "needs", "pick", "rded", "select",
]  # fmt: skip
