"""Sharing sets: copies in the layouts that other programs open, cards, and manifests that tell what was changed."""

from roadstill.sharing.manifest import Finding, examine
from roadstill.sharing.share import FORMATS, Published, share

__all__ = ["FORMATS", "Finding", "Published", "examine", "share"]
