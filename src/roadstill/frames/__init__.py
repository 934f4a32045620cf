"""Frames: facts of camera frames as tables, without opening a picture."""

from roadstill.frames.columns import COMMANDS, SCHEMA, leaves_folder
from roadstill.frames.labels import CLASS_NAMES, BrakeLabel
from roadstill.frames.table import (
    PICTURE_FACTS,
    FrameTable,
    FrameWriter,
    PictureFacts,
    frame_writers,
    open_frames,
    stream_frames,
)

__all__ = [
    "CLASS_NAMES",
    "COMMANDS",
    "PICTURE_FACTS",
    "SCHEMA",
    "BrakeLabel",
    "FrameTable",
    "FrameWriter",
    "PictureFacts",
    "frame_writers",
    "leaves_folder",
    "open_frames",
    "stream_frames",
]
