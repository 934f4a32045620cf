"""Small copies of CIFAR-10 in every form, with made-up pictures."""

import io
import json
import struct
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from roadstill.sources.cifar10.batch import CLASS_NAMES
from roadstill.sources.cifar10.parts import TEST, TRAIN


def rows(batch, n=20):
    """Records ``[n, 3073]`` of one batch: every class ``n / 10`` times."""
    rng = np.random.default_rng([*TRAIN, *TEST].index(batch))
    labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
    return np.concatenate([labels[:, None], rng.integers(0, 256, (n, 3072), np.uint8)], 1)


def picture(record):
    """The picture of one record, written out pixel by pixel."""
    red, green, blue = record[1:1025], record[1025:2049], record[2049:]
    return np.array([[[red[32 * y + x], green[32 * y + x], blue[32 * y + x]] for x in range(32)] for y in range(32)])


def binary(folder, n=20):
    folder.mkdir(parents=True)
    for name in (*TRAIN, *TEST):
        (folder / f"{name}.bin").write_bytes(rows(name, n).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join([*CLASS_NAMES, "", ""]))
    return folder


class Python2:
    """A pickle as Python 2 and numpy 1 wrote it: one type for text and bytes, a memo that begins at 1."""

    def __init__(self):
        self.count = 0

    def put(self):
        self.count += 1
        return b"q" + bytes([self.count]) if self.count < 256 else b"r" + struct.pack("<I", self.count)

    @staticmethod
    def text(value):
        return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<I", len(value)) + value

    def noted(self, value):
        return self.text(value) + self.put()

    def listed(self, items):
        return b"]" + self.put() + b"(" + b"".join(items) + b"e"

    def array(self, values):
        """Of bytes, two dimensions."""
        shape = b"".join(b"M" + struct.pack("<H", side) for side in values.shape) + b"\x86"
        start = b"cnumpy.core.multiarray\n_reconstruct\n" + self.put() + b"cnumpy\nndarray\n" + self.put()
        start += b"K\x00\x85" + self.text(b"b") + b"\x87R" + self.put()
        kind = b"cnumpy\ndtype\n" + self.put() + self.text(b"u1") + b"K\x00K\x01\x87R" + self.put()
        kind += b"(K\x03" + self.text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        return start + b"(K\x01" + shape + kind + b"\x89" + self.text(values.tobytes()) + b"tb"

    def mapping(self, **entries):
        """Of what gives each value when it is its turn, since the memo is numbered in the file's order."""
        start = b"\x80\x02}" + self.put() + b"("
        return start + b"".join(self.noted(name.encode()) + value() for name, value in entries.items()) + b"u."


def python_batch(records):
    made = Python2()
    labels = [b"K" + bytes([label]) for label in records[:, 0].tolist()]
    names = [made.text(b"cat_s_%06d.png" % index) for index in range(len(records))]
    return made.mapping(
        batch_label=lambda: made.text(b"training batch 1 of 5"),
        labels=lambda: made.listed(labels),
        data=lambda: made.array(records[:, 1:]),
        filenames=lambda: made.listed(names),
    )


def python(folder, n=20):
    folder.mkdir(parents=True)
    for name in (*TRAIN, *TEST):
        (folder / name).write_bytes(python_batch(rows(name, n)))
    made = Python2()
    names = [made.text(name.encode()) for name in CLASS_NAMES]
    about = made.mapping(num_cases_per_batch=lambda: b"M\x10'", label_names=lambda: made.listed(names))
    (folder / "batches.meta").write_bytes(about)
    return folder


def packed(folder, archive, extra=()):
    """The folder as a .tar.gz, backwards, with further members."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir(), reverse=True):
            tar.add(path, f"{folder.name}/{path.name}")
        for member, data in extra:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(folder, n=20, names=CLASS_NAMES):
    (folder / "plain_text").mkdir(parents=True)
    about = {"info": {"features": {"label": {"names": list(names or ()), "_type": "ClassLabel"}}}}
    for part, batches in (("train", TRAIN), ("test", TEST)):
        records = np.concatenate([rows(batch, n) for batch in batches])
        images = [{"bytes": png(picture(record)), "path": None} for record in records]
        table = pa.table({"img": images, "label": records[:, 0].astype(np.int64)})
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)} if names else None)
        pq.write_table(table, folder / "plain_text" / f"{part}-00000-of-00001.parquet")
    return folder
