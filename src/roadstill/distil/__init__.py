"""Every family of dataset distillation behind one call: an objective times what moves times labels."""

from roadstill.distil.beginning import Tools
from roadstill.distil.config import METHODS, Distillation, method_of
from roadstill.distil.loop import distil
from roadstill.distil.objectives import OBJECTIVES, Objective

__all__ = ["METHODS", "OBJECTIVES", "Distillation", "Objective", "Tools", "distil", "method_of"]
