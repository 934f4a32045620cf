"""FiftyOne's own layout of classified pictures: a folder, and a JSON file of labels with the facts as attributes."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from roadstill.imagesets.card import Layout
from roadstill.imagesets.streams import SetStream
from roadstill.sharing.lists import pair, write_entries
from roadstill.sharing.pictures import PictureFolder

LABELS = "labels.json"
_TAKEN = ("id", "label", "confidence", "logits", "tags", "attributes")  # FiftyOne's own fields of a classification


def write(stream: SetStream, folder: Path) -> Layout:
    """Writes ``data/`` and ``labels.json``.

    Args:
        stream: the set.
        folder: folder to write into.
    """
    names, columns = stream.record.class_names, [name for name in stream.tally.columns if name not in _TAKEN]
    pictures = PictureFolder(folder / "data", stream)

    def entries() -> Iterator[str]:
        for facts, png in stream.pictures():
            pictures.put(facts, png)
            known = {name: facts[name] for name in columns if facts.get(name) is not None}
            key = PurePosixPath(facts["file_name"]).with_suffix("").as_posix()
            yield pair(key, {"label": names[facts["label"]], "attributes": known})

    with (folder / LABELS).open("w", encoding="utf-8") as file:
        file.write(f'{{"classes": {json.dumps(names)},\n"labels": ')
        write_entries(file, entries(), "{}")
        file.write("}\n")
    usage = (
        "import fiftyone\n\n"
        'data = fiftyone.Dataset.from_dir("FOLDER", dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)'
    )
    return Layout((), usage)
