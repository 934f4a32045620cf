"""Distil a driving data set into a few stills, and judge honestly whether they beat picked real frames."""

__version__ = "0.1.0"
