"""Image sets: pictures with labels and facts, kept in a folder and checked when they are read."""

from roadstill.imagesets.footprints import Footprint, read_footprint
from roadstill.imagesets.records import class_folder
from roadstill.imagesets.sets import ImageSet, open_imageset
from roadstill.imagesets.writing import ImageSetWriter

__all__ = ["Footprint", "ImageSet", "ImageSetWriter", "class_folder", "open_imageset", "read_footprint"]
