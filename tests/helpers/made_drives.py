"""A stranger's recordings: one folder of pictures and one JSON of rows per drive, and the source that reads them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from roadstill.frames import FrameTable
from roadstill.imagesets import ImageSetWriter, open_imageset


def record(root, drives=12, rows=4):
    """Drives whose pictures are red where the car brakes and green where it speeds up."""
    for drive in range(drives):
        (root / f"drive{drive}").mkdir(parents=True)
        found = []
        for row in range(rows):
            accel = 2.0 if (row + drive) % 2 else -2.0
            colour = (200, 20 + row, drive) if accel < 0 else (20 + row, 200, drive)
            Image.new("RGB", (24, 16), colour).save(root / f"drive{drive}" / f"{row}.png")
            found.append({"time_s": row / 2, "speed": 8.0, "accel": accel})
        (root / f"drive{drive}.json").write_text(json.dumps(found))
    return root


class Drives:
    """The frames of such recordings."""

    def __init__(self, data, *, location="unknown"):
        self.data, self.sensors, self.location = Path(data), data, location
        self.notes = [f"{len(list(self.data.glob('*.json')))} drives"]

    def tables(self):
        for path in sorted(self.data.glob("*.json")):
            rows = json.loads(path.read_text())
            yield FrameTable.of(
                token=[f"{path.stem}-{row}" for row in range(len(rows))],
                log=path.stem,
                timestamp_us=[int(1e6 * row["time_s"]) for row in rows],
                image=[f"{path.stem}/{row}.png" for row in range(len(rows))],
                vx_mps=[row["speed"] for row in rows],
                accel_mps2=[row["accel"] for row in rows],
                location=self.location,
            )


def with_commands(data):
    """A function that gives a source; its frames all turn left."""
    source = Drives(data)
    tables = [
        FrameTable(table.table.set_column(9, "command", [[0] * len(table)]))  # as `left`
        for table in source.tables()
    ]
    source.tables = lambda: tables
    return source


class Colours:
    """Pictures of three classes, which need no index."""

    names = ("red", "green", "blue")

    def __init__(self, data, *, count=4):
        self.count, self.notes = count, ["three colours"]

    def sets(self, out, request):
        for number, part in enumerate(request.parts):
            with ImageSetWriter(out / part, self.names, request.pictures.size_px) as writer:
                for label in range(3):
                    for row in range(min(self.count, request.max_per_class or self.count)):
                        picture = np.full((request.pictures.size_px,) * 2 + (3,), 10 * number + row, np.uint8)
                        picture[..., label] = 200
                        name = f"{part}-{label}-{row}"
                        writer.add(picture, label, {"log": name, "drive": name, "image": name})
                writer.about.update({"missing": 0, "synthetic": False})
        return {part: open_imageset(out / part) for part in request.parts}


class Broken(Drives):
    """Drives with one thing wrong."""

    def __init__(self, data, *, how):
        super().__init__(data)
        self.how = how

    def tables(self):
        first, second = list(super().tables())[:2]
        again = {
            name: second.column(name) for name in ("token", "image", "timestamp_us", "vx_mps", "accel_mps2", "log")
        }
        yield first
        if self.how == "raises":
            raise KeyError("speed\nunknown")
        if self.how == "frame":
            yield {"token": "a"}
        if self.how == "log":
            yield first
        if self.how == "token":
            yield FrameTable.of(**again | {"token": first.column("token")})
        if self.how == "picture":
            yield FrameTable.of(**again | {"image": first.column("image")})
        if self.how == "order":
            yield FrameTable.of(**again | {"timestamp_us": second.column("timestamp_us")[::-1]})
