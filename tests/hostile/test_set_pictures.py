"""Bad pictures of image sets, and training sets that leak."""

import json
import os
import shutil
import zlib

from hostile import Case, check, copied, each
from made import unseal_set, unsealed
from PIL import Image

FILE = "1_brake/000001.png"
SELECT = ("select", "set", "out", "--per_class", 1, "--method", "medoids", "--features", "pixels")
AGENT = ("--agent.network", "convnet", "--agent.steps", 1)
TRAIN = ("train", "set", "out", *AGENT)


def with_picture(name, says, change, *, verb=SELECT, sums=True):
    """A case in which one picture of a set is changed; without sums, as sets before 0.2 were."""

    def command(folder, good):
        path = copied(good, "set", folder) / FILE
        if "agent" in verb:
            copied(good, "agent", folder)
        change(path)
        if not sums:
            rows = [json.loads(line) for line in (folder / "set" / "metadata.jsonl").read_text().splitlines()]
            lines = [json.dumps({key: value for key, value in row.items() if key != "crc32"}) for row in rows]
            (folder / "set" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
            unseal_set(folder / "set")
        return verb

    return Case(name, command, says)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replace(path):
    shutil.copyfile(path.parent / "000000.png", path)


def link_out(path):
    path.rename(path.parents[2] / "elsewhere.png")
    path.symlink_to(path.parents[2] / "elsewhere.png")


def instead(make):
    def change(path):
        path.unlink()
        make(path)

    return change


def bomb(path):
    Image.new("1", (20_000, 20_000)).save(path)


def grow(path):
    with path.open("r+b") as file:
        file.truncate(10**12)


def link_class(path):
    path.parent.rename(path.parents[2] / "elsewhere")
    path.parent.symlink_to(path.parents[2] / "elsewhere")


def twice(path):
    """One picture under both classes, its sums and the set's digest as they would be."""
    from roadstill.imagesets.writing import digest_rows

    folder = path.parents[1]
    shutil.copyfile(folder / "0_not_brake" / "000000.png", path)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    known = {row["file_name"]: row for row in rows}
    known[FILE] |= {key: known["0_not_brake/000000.png"][key] for key in ("digest", "crc32")}
    assert zlib.crc32(path.read_bytes()) == known[FILE]["crc32"]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    unseal_set(folder)
    record = json.loads((folder / "set.json").read_text())
    record["digest"] = digest_rows(record["class_names"], rows)
    (folder / "set.json").write_text(json.dumps(record))


def leaking(name, says, verb):
    """A case in which an agent or a set meets a test part that it has seen something of."""

    def command(folder, good):
        for part in ("agent", "set", "other", "judged"):
            copied(good, part, folder)
        return verb(folder)

    return Case(name, command, says)


def mark_as_test(folder, name):
    path = folder / name / "set.json"
    record = unsealed(path)
    record["about"]["split"] = "test"
    path.write_text(json.dumps(record))


def seen_by_agent(folder):
    mark_as_test(folder, "set")
    return "evaluate", "agent", "set"


def seen_by_set(folder):
    from roadstill.imagesets import open_imageset

    open_imageset(folder / "judged").subset(range(6)).save(folder / "part")
    return "compare", "set", "part", "--test", "judged", "--seeds", 3, *AGENT


CASES = [
    with_picture("flipped", rf"{FILE} is not the picture", flip),
    with_picture("flipped-older", rf"{FILE} is not the picture", flip, sums=False),
    with_picture("replaced", rf"{FILE} is not the picture", replace),
    with_picture("replaced-older", rf"{FILE} is not the picture", replace, sums=False),
    with_picture("cut", rf"{FILE} is not the picture", lambda path: path.write_bytes(path.read_bytes()[:60])),
    with_picture("empty", rf"{FILE} is not the picture", lambda path: path.write_bytes(b"")),
    with_picture("missing", rf"{FILE}: missing", lambda path: path.unlink()),
    with_picture("missing-in-train", rf"{FILE}: missing", lambda path: path.unlink(), verb=TRAIN),
    with_picture("flipped-in-encode", rf"{FILE} is not the picture", flip, verb=("encode", "set", "o")),
    with_picture("flipped-in-evaluate", rf"{FILE} is not the picture", flip, verb=("evaluate", "agent", "set")),
    with_picture("folder", rf"{FILE}", instead(lambda path: path.mkdir())),
    with_picture("pipe", rf"{FILE} is not a file", instead(os.mkfifo)),
    with_picture("device", rf"{FILE} is a link that leads out", instead(lambda path: path.symlink_to("/dev/zero"))),
    with_picture("link-out", rf"{FILE} is a link that leads out", link_out),
    with_picture("link-loop", rf"{FILE}", instead(lambda path: path.symlink_to(path.name))),
    with_picture("class-link-out", r"1_brake is a link that leads out", link_class),
    with_picture("bomb", rf"{FILE} is not the picture", bomb),
    with_picture("grown", rf"{FILE} is too large", grow),
    leaking("agent-has-seen-it", r"agent: the training set .*shares 2 logs.*--allow_leak", seen_by_agent),
    leaking("set-has-it", r"part: the training set .*shares 2 logs.*6 pictures", seen_by_set),
]


@each(CASES)
def test_a_bad_picture(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)


def test_a_picture_under_two_classes_is_told_of(good, tmp_path, capfd, monkeypatch, caplog):
    from roadstill.cli import main

    monkeypatch.chdir(tmp_path)
    twice(copied(good, "set", tmp_path) / FILE)
    assert main(["train", "set", "out", *map(str, AGENT)]) == 0
    assert "WARNING: set: 1 picture is under two classes" in caplog.text
