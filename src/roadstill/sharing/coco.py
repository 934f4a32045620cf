"""COCO's layout with the boxes of the pictures' logs; FiftyOne and LightlyStudio open it, and so does pycocotools."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from roadstill.data.outlines import boxes_in
from roadstill.errors import UserError
from roadstill.imagesets.card import Layout
from roadstill.imagesets.streams import SetStream
from roadstill.runs import require_folder
from roadstill.sharing.fiftyone import LABELS
from roadstill.sharing.lists import write_entries
from roadstill.sharing.pictures import PictureFolder
from roadstill.sources.navsim.boxes import CLASSES

NOTE = (
    "Boxes are those of the logs: rectangles around the outlines of boxes in space, drawn into the picture. What hides "
    "behind something else has one, too."
)


def write(stream: SetStream, folder: Path, logs: Path) -> Layout:
    """Writes ``data/`` and ``labels.json``.

    Args:
        stream: a set of frames of logs.
        folder: folder to write into.
        logs: folder of ``<log>.pkl``.

    Raises:
        UserError: no folder of logs; a set that was not cropped as `prepare` does it, or is not of frames of logs.
    """
    record = stream.record
    require_folder(logs, "the folder of the logs' pickles")
    if record.about.get("crop") != "centre square":
        raise UserError(f"{stream.root}: it is not known how its pictures were cropped; take a prepared set")
    pictures = PictureFolder(folder / "data", stream)
    boxes = folder / "boxes.part"  # COCO's list of boxes stands behind that of pictures
    with (folder / LABELS).open("w", encoding="utf-8") as file:
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
        file.write(
            f'{{"info": {json.dumps({"description": NOTE})},\n"categories": {json.dumps(categories)},\n"images": '
        )
        with boxes.open("w", encoding="utf-8") as beside:
            write_entries(file, _images(pictures, logs, beside), "[]")
        file.write(',\n"annotations": ')
        with boxes.open(encoding="utf-8") as beside:
            write_entries(file, (line.rstrip("\n") for line in beside), "[]")
        file.write("}\n")
    boxes.unlink()
    usage = (
        "import fiftyone\n\n"
        'data = fiftyone.Dataset.from_dir("FOLDER", dataset_type=fiftyone.types.COCODetectionDataset)'
    )
    return Layout((), usage, more=(NOTE,))


def _images(pictures: PictureFolder, logs: Path, boxes: TextIO) -> Iterator[str]:
    """COCO's entries of the pictures, each of which is written; those of their boxes go into a file beside it."""
    stream, count = pictures.stream, 0
    side = stream.record.size_px
    for number, (facts, png) in enumerate(stream.pictures(), 1):
        pictures.put(facts, png)
        for name, box in boxes_in(facts, side, logs, stream.root):
            count += 1
            made: dict[str, Any] = {
                "id": count,
                "image_id": number,
                "category_id": CLASSES.index(name) + 1,
                "bbox": box,
            }
            boxes.write(json.dumps(made | {"area": round(box[2] * box[3], 2), "iscrowd": 0}) + "\n")
        label = stream.record.class_names[facts["label"]]
        told = {"id": number, "file_name": facts["file_name"], "width": side, "height": side, "label": label}
        yield json.dumps({name: facts[name] for name in stream.tally.columns if facts.get(name) is not None} | told)
