"""What plugs into NAVSIM's development kit; importing it does not need the kit, making an agent does."""

from roadstill.navsim.agent import BrakeAgent

__all__ = ["BrakeAgent"]
