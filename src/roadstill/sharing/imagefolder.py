"""The set as it is: class folders, which torchvision, timm, the hub's library, FiftyOne and LightlyStudio open."""

import json
import shutil
from pathlib import Path

import numpy as np

from roadstill.imagesets.card import Layout
from roadstill.imagesets.records import METADATA
from roadstill.imagesets.streams import SetStream
from roadstill.imagesets.values import FILE, Values
from roadstill.runs import digest_file, read_json, write_json
from roadstill.sharing.pictures import PictureFolder


def write(stream: SetStream, folder: Path) -> Layout:
    """Copies the set; facts get the names that they have today, and its digest stays.

    Args:
        stream: the set.
        folder: folder to write into.
    """
    record = stream.record
    pictures = PictureFolder(folder, stream)
    with (folder / METADATA).open("w", encoding="utf-8") as lines:
        for facts, png in stream.pictures():
            pictures.put(facts, png)
            lines.write(json.dumps(facts) + "\n")
    if record.values is not None:
        Values(stream.root / FILE, record.values, record.size_px, np.arange(0)).check()
        shutil.copyfile(stream.root / FILE, folder / FILE)
    told = read_json(stream.root / "set.json")
    write_json(folder / "set.json", told | {"about": record.about, "metadata": digest_file(folder / METADATA)})
    return Layout()
