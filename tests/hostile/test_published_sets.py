"""Bad files of tensors that claim to be distilled sets, and files beside them."""

import json
import math
import os
import shutil
import struct
import zipfile

import torch
from hostile import Case, check, copied, each

PICTURES, CLASSES = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
TOLD = {"scale": "unit", "class_names": ["a", "b"]}


class Calls:
    def __reduce__(self):
        return os.system, ("touch trace",)


def given(name, says, value, *words, scale="unit", **files):
    """A case of a file that `torch.save`, or a function of its path, writes; ``files`` are saved beside it."""

    def command(folder, good):
        for file, content in {"x": value, **files}.items():
            path = folder / f"{file}.pt"
            content(path) if callable(content) else torch.save(content, path)
        return "prepare", "x.pt", "out", *(("--pt.scale", scale) if scale else ()), *words

    return Case(name, command, says)


def own(name, says, **told):
    """A case of what a file tells as ours do."""
    return given(f"own-{name}", says, {"data": [[PICTURES, CLASSES]], "roadstill": TOLD | told}, scale=None)


def with_real(name, says, change, *words):
    """A case of the real set that the user names."""

    def command(folder, good):
        torch.save([PICTURES, CLASSES], folder / "x.pt")
        change(copied(good, "set", folder))
        return "prepare", "x.pt", "out", "--pt.scale", "unit", "--pt.real", "set", *words

    return Case(f"real-{name}", command, says)


def sparse(path):
    """A file of 5 GB of zeros that begins as a zip archive, and needs no room."""
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(5 * 2**30)


def claiming(*sides):
    """A tensor of these sides over four numbers."""

    def write(path):
        packed = b"".join(b"\x8a\x08" + struct.pack("<q", side) for side in sides)
        steps = b"\x8a\x08" + bytes(8)
        pickled = (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
            b"0X\x03\0\0\0cpuK\x04tQK\x00(" + packed + b"t(" + steps * len(sides) + b"t\x89}tR."
        )
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickled)
            archive.writestr("a/data/0", bytes(16))

    return write


def deep(path):
    torch.save({"data": [[PICTURES, CLASSES]], "roadstill": TOLD | {"about": "[" * 10_000}}, path)


CASES = [
    given("os.system", r"x\.pt: it names '.*system'", [PICTURES, Calls()]),
    given("os.system-in-accuracies", r"it names '.*system'", {"data": [[PICTURES, CLASSES]], "accs_all_exps": Calls()}),
    given("os.system-in-labels", r"y\.pt: it names '.*system'", PICTURES, "--pt.labels", "y.pt", y=Calls()),
    given("os.system-in-rate", r"y\.pt: it names '.*system'", [PICTURES, CLASSES], "--pt.rate_file", "y.pt", y=Calls()),
    given("5-GB", r"x\.pt: 5,368,709,120 bytes are more than the 4,294,967,296", sparse),
    given("5-GB-of-labels", r"y\.pt: 5,368,709,120 bytes", PICTURES, "--pt.labels", "y.pt", y=sparse),
    given("a-petabyte-from-four-numbers", r"x\.pt: a tensor of shape", claiming(2**20, 3, 2**14, 2**14)),
    given("two-million-pictures", "2,097,152 pictures of 1 x 1 pixels; read are at most 1,048,576",
          torch.zeros(2**21, 3, 1, 1, dtype=torch.uint8)),
    given("a-folder", r"y\.pt: a folder, a pipe or a device", PICTURES, "--pt.labels", "y.pt", y=os.mkdir),
    given("a-pipe", r"x\.pt: a folder, a pipe or a device", os.mkfifo),
    given("a-web-page", "it is a web page", lambda path: path.write_text("<!DOCTYPE html><html></html>")),
    given("a-letter", r"x\.pt: not a pickle", lambda path: path.write_bytes(b"x")),
    given("nothing", r"it is empty \(0 bytes\)", lambda path: path.touch()),
    given("no-labels-file", r"y\.pt: No such file", PICTURES, "--pt.labels", "y.pt"),
    given("nan", "pixels that are not finite", [PICTURES * math.nan, CLASSES]),
    given("infinity-as-half", "pixels that are not finite", [PICTURES.half() - math.inf, CLASSES]),
    given("beyond-single-precision", "pixels that are not finite", [PICTURES.double() - 1e300, CLASSES]),
    given("complex-numbers", r"it names 'torch\.ComplexFloatStorage'", [PICTURES + 0j, CLASSES]),
    given("bytes", "pixels of type uint8", [PICTURES.byte(), CLASSES]),
    given("grey", r"no pictures \[n, 3, s, s\]", [PICTURES[:, :1], CLASSES]),
    given("oblong", "2 pictures of 8 x 4 pixels", [PICTURES[:, :, :4], CLASSES]),
    given("no-number", "no label for each", [PICTURES, torch.tensor(1)]),
    given("labels-of-text", "no label for each", [PICTURES, ["a", "b"]]),
    given("labels-of-numbers", r"labels \[2\] of type float32", [PICTURES, CLASSES.float()]),
    given("negative-labels", "labels from -1 to 0", [PICTURES, CLASSES - 1]),
    given("a-billion-classes", "labels from 0 to 1000000000; they should lie in 0..9999", [PICTURES, CLASSES * 10**9]),
    given("a-million-classes", "labels of 2 x 1,000,000 numbers", [PICTURES, torch.zeros(2, 10**6)]),
    given("nan-labels", "labels that are not finite", [PICTURES, torch.full((2, 2), math.nan)]),
    given("rate-nan", r"y\.pt holds no learning rate", [PICTURES, CLASSES], "--pt.rate_file", "y.pt", y=math.nan),
    given("rate-of-many", r"y\.pt holds no learning rate", [PICTURES, CLASSES], "--pt.rate_file", "y.pt", y=PICTURES),
    given("rate-of-1e9", "learning_rate: ", [PICTURES, CLASSES], "--pt.rate_file", "y.pt", y=1e9),
    given("rate-typed-nan", r"--pt\.learning_rate is nan", [PICTURES, CLASSES], "--pt.learning_rate", "nan"),
    given("class-that-climbs", r"class name '\.\./up' cannot name a folder", [PICTURES, CLASSES],
          "--pt.class_names", "a", "../up"),
    given("no-such-set", "holds 1 sets; there is no number 1", [PICTURES, CLASSES], "--pt.which", "1"),
    given("whitened-by-nothing", r"give pt\.whitening and pt\.real", [PICTURES, CLASSES], scale="whitened"),
    given("no-scale", "does not tell in which scale", [PICTURES, CLASSES], scale=None),
    given("another-scale", "no scale from 0 to 1", [PICTURES - 1, CLASSES]),
    given("own-is-a-list", r"x\.pt, roadstill: ", {"data": [[PICTURES, CLASSES]], "roadstill": [1]}, scale=None),
    given("own-is-deep", "cannot be read as JSON: its lists lie too deep", deep, scale=None),
    own("scale", r"roadstill, scale: ", scale="cifar10"),
    own("class-that-climbs", r"class name '/etc' cannot name a folder", class_names=["a", "/etc"]),
    own("one-name", "labels of 2 classes, and there are 1 names", class_names=["a"]),
    own("two-of-one-name", "two classes have one name", class_names=["a", "a"]),
    own("names-of-numbers", r"roadstill, class_names", class_names=[1, 2]),
    own("about-is-no-text", r"roadstill, about: ", about={}),
    own("about-is-no-record", r"roadstill, about: ", about="[]"),
    own("about-twice", "cannot be read as JSON", about='{"a": 1, "a": 2}'),
    own("about-nan", "cannot be read as JSON", about='{"a": NaN}'),
    own("recipe-augment", r"x\.pt, recipe, augment: ", about=json.dumps({"recipe": {"augment": "my.Code"}})),
    own("recipe-patches", "recipe, patches: ", about=json.dumps({"recipe": {"patches": 10**9}})),
    own("whitening-of-others", "a whitening or targets of other pictures", whitening=[CLASSES, CLASSES]),
    own("whitening-nan", "or not finite", whitening=[torch.full((192,), math.nan), torch.eye(192)]),
    own("targets-of-others", "a whitening or targets of other pictures", targets=torch.zeros(3, 2)),
    own("targets-of-text", "a whitening or targets of other pictures", targets="a"),
    with_real("gone", "set does not exist", shutil.rmtree),
    with_real("damaged", "cannot be read as JSON", lambda path: (path / "set.json").write_text("{")),
    with_real("other-size", r"pictures of 8 px, and set of 32 px", lambda path: None, "--pt.whitening", "absolute"),
    Case("onto-a-set-of-others", lambda folder, good: (
        torch.save([PICTURES, CLASSES], folder / "x.pt"), (folder / "out").mkdir(), (folder / "out" / "mine").touch()
    ) and ("prepare", "x.pt", "out", "--pt.scale", "unit"), "out holds other things"),
    Case("onto-the-real-set", lambda folder, good: (
        torch.save([PICTURES, CLASSES], folder / "x.pt"), copied(good, "set", folder)
    ) and ("prepare", "x.pt", "set", "--pt.scale", "unit", "--pt.real", "set"), "set is what the call reads"),
    Case("onto-itself", lambda folder, good: torch.save([PICTURES, CLASSES], folder / "x.pt") or (
        "prepare", "x.pt", "x.pt", "--pt.scale", "unit"), r"x\.pt is what the call reads"),
]  # fmt: skip


@each(CASES)
def test_bad_published_sets(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
