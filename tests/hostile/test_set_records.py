"""Bad image sets."""

import json

from hostile import Case, check, copied, each, edited


def with_set(name, says, change, *, verb=("select", "set", "out", "--per_class", 1)):
    """A case whose set.json is changed."""
    return Case(name, lambda folder, good: (edited(copied(good, "set", folder) / "set.json", change), verb)[1], says)


def with_text(name, says, text, *, file="set.json"):
    """A case whose set.json, or another file of the set, has another text."""

    def command(folder, good):
        (copied(good, "set", folder) / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return "select", "set", "out", "--per_class", 1

    return Case(name, command, says)


def with_row(name, says, change):
    """A case whose second line of metadata.jsonl is changed."""

    def command(folder, good):
        path = copied(good, "set", folder) / "metadata.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        change(rows)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return "select", "set", "out", "--per_class", 1

    return Case(name, command, says)


PIXELS = ("select", "set", "out", "--per_class", 1, "--method", "medoids", "--features", "pixels")


def sized(side):
    return lambda record: record.update(size_px=side)


def named(names):
    return lambda record: record.update(class_names=list(names))


CASES = [
    with_set("size-1e9", r"set\.json, size_px: ", lambda record: record.update(size_px=10**9)),
    with_set("size-negative", r"set\.json, size_px: ", lambda record: record.update(size_px=-1)),
    with_set("size-inf", r"set\.json cannot .*: it holds Inf", lambda record: record.update(size_px=1e999)),
    with_set("size-text", r"set\.json, size_px: ", lambda record: record.update(size_px="32")),
    with_set("about-list", r"set\.json, about: ", lambda record: record.update(about=[])),
    with_set("names-missing", r"set\.json: .*class_names", lambda record: record.pop("class_names") and None),
    with_set("count-lies", r"set\.json counts 9", lambda record: record.update(num_images=9)),
    with_set("list", r"set\.json is not of format", lambda record: [record]),
    with_set("digest-other", r"metadata\.jsonl is not what", lambda record: record.update(digest="0" * 16)),
    with_set("digest-number", r"set\.json, digest: ", lambda record: record.update(digest=7)),
    with_text("deep", r"set\.json cannot be read as JSON: its lists", "[" * 100_000),
    with_text("digits", r"set\.json cannot be read as JSON: Exceeds", f'{{"size_px": {"9" * 6000}}}'),
    with_text("null", r"set\.json is not of format", "null"),
    with_text("number", r"set\.json is not of format", "1"),
    with_text("rows-null", r"metadata\.jsonl, line 1: Expected", "null\n", file="metadata.jsonl"),
    with_text("empty", r"set\.json cannot be read as JSON", ""),
    with_text("binary", r"set\.json cannot be read: it is no text", b"\xff\xfe\x00"),
    with_text("rows-deep", r"metadata\.jsonl, line 1 cannot be read as JSON", "[" * 100_000, file="metadata.jsonl"),
    with_text("rows-list", r"metadata\.jsonl, line 1: Expected", "[]\n", file="metadata.jsonl"),
    with_text("rows-none", r"set\.json counts 8 images, metadata\.jsonl 0", "", file="metadata.jsonl"),
    with_row("label-swapped", r"line 2: label 0 is 'not_brake', but", lambda rows: rows[1].update(label=0)),
    with_row("label-beyond", r"line 2: label 2 is not in", lambda rows: rows[1].update(label=2)),
    with_row("label-negative", r"line 2, label: ", lambda rows: rows[1].update(label=-1)),
    with_row("file-twice", r"line 2: .* is the file of line 1", lambda rows: rows[1].update(rows[0])),
    with_row("file-outside", r"line 2.*leaves the folder", lambda rows: rows[1].update(file_name="../x.png")),
    with_row("file-missing", r"line 2.*file_name", lambda rows: rows[1].pop("file_name")),
    with_row("digest-missing", r"line 2.*digest", lambda rows: rows[1].pop("digest")),
    with_set("size-4097", r"set\.json, size_px: ", sized(4097)),
    with_set(
        "size-4096-lies",
        r"32 x 32 pixels, but set\.json states 4096",
        lambda record: record.update(size_px=4096),
        verb=PIXELS,
    ),
    with_set(
        "names-many",
        r"set\.json, class_names: ",
        lambda record: record.update(class_names=[f"c{n}" for n in range(10_001)]),
    ),
    with_set("name-long", r"class name ", named(["a" * 101, "b"])),
    with_set(
        "name-twice", r"set\.json: two classes have one name", lambda record: record.update(class_names=["a", "a"])
    ),
    with_row("log-list", r"line 2, log: ", lambda rows: rows[1].update(log=["a"])),
    with_row("log-long", r"line 2, log: ", lambda rows: rows[1].update(log="x" * 100_000)),
    with_row("speed-text", r"line 2, speed_mps: ", lambda rows: rows[1].update(speed_mps="fast")),
    with_row("crc-text", r"line 2, crc32: ", lambda rows: rows[1].update(crc32="0")),
    with_row("crc-large", r"line 2, crc32: ", lambda rows: rows[1].update(crc32=2**32)),
    with_row("soft-text", r"line 2, soft_label", lambda rows: rows[1].update(soft_label=["a", "b"])),
    with_row(
        "weight-nan", r"line 2 cannot be read as JSON: it holds NaN", lambda rows: rows[1].update(weight=float("nan"))
    ),
    with_row("row-digest-other", r"metadata\.jsonl is not what", lambda rows: rows[1].update(digest="0" * 16)),
]


@each(CASES)
def test_a_bad_set(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
