"""Distil a driving data set into a few stills, and judge honestly whether they beat picked real frames."""

from roadstill.moved import install as _install

__version__ = "0.1.0"

_install()
