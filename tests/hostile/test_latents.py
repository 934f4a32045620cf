"""Bad latent stores."""

import math

import torch
from hostile import Case, check, copied, each, edited
from weightfiles import flipped, rewritten, with_header

TUNE = ("finetune", "latents", "out", "--tuning.steps", 1, "--tuning.batch_size", 2)
SHARD = "moments-00000.safetensors"


def field(name, says, **fields):
    return record(name, says, lambda told: told.update(fields))


def record(name, says, change):
    """A case whose latents.json is changed."""

    def command(folder, good):
        edited(copied(good, "latents", folder) / "latents.json", change)
        return TUNE

    return Case(name, command, says)


def older(told):
    """As versions wrote it that did not tell each file's digest."""
    del told["shards"], told["labels"]


def without(name):
    return record(f"no-{name}", rf"latents\.json: .*`{name}`", lambda told: told.pop(name) is told or None)


def file(name, says, which, change, *, recorded=True):
    """A case of which a file is changed; latents.json tells its digest, or is made to tell the new one."""

    def command(folder, good):
        copied(good, "latents", folder)
        change(folder / "latents" / which)
        if not recorded:
            retold(folder / "latents")
        return TUNE

    return Case(name, command, says)


def retold(folder):
    """Makes latents.json tell the digests that the files have now: somebody who lies well."""
    from roadstill.runs import digest_file, digest_of

    shards = [digest_file(path) for path in sorted(folder.glob("moments-*"))]
    labels = digest_file(folder / "labels.safetensors")

    def change(told):
        told.update(shards=shards, labels=labels, digest=digest_of([told["about"], shards, labels]))

    edited(folder / "latents.json", change)


def lies(name, says, which, change):
    return file(name, says, which, lambda path: rewritten(path, tensors=change), recorded=False)


def text(name, says, content):
    def command(folder, good):
        (copied(good, "latents", folder) / "latents.json").write_bytes(content)
        return TUNE

    return Case(name, command, says)


def negative_deviation(folder, good):
    path = copied(good, "latents", folder) / SHARD
    rewritten(path, tensors=lambda t: t.update(std=torch.full_like(t["mean"], -0.1)))
    edited(path.with_name("latents.json"), lambda told: told.update(std=None))
    retold(path.parent)
    return TUNE


CASES = [
    *map(without, ("class_names", "shape", "std", "num_rows", "shard_rows", "num_shards", "digest", "about")),
    field("std-text", r"latents\.json, std: ", std="0.1"),
    field("std-negative", r"latents\.json, std: ", std=-0.1),
    field("std-null", r"missing \[std\]", std=None),
    field("rows-text", r"latents\.json, num_rows: ", num_rows="x"),
    field("rows-0", r"latents\.json, num_rows: ", num_rows=0),
    field("rows-1e15", r"do not fill", num_rows=10**15),
    field("rows-fewer", r"labels has the shape", num_rows=2),
    field("shard-rows-0", r"latents\.json, shard_rows: ", shard_rows=0),
    field("shards-1e9", r"do not fill", num_shards=10**9),
    field("shape-1e4", r"are too many|has the shape", shape=[16384, 16384, 16384]),
    field("shape-two", r"latents\.json, shape: ", shape=[16, 16]),
    field("shape-other", r"mean has the shape|the base makes latents", shape=[16, 16, 8]),
    field("names-1e6", r"latents\.json, class_names: ", class_names=[str(i) for i in range(10**6)]),
    field("names-one", r"labels are not 0 to 0", class_names=["one"]),
    field("names-climb", r"class name '\.\./x' cannot name", class_names=["../x", "b"]),
    field(
        "names-turned",
        r"in another order: 'brake' would take .*labels\.rows \[1, 0\]",
        class_names=["brake", "not_brake"],
    ),
    field("digests-few", r"the digests in it disagree", shards=[]),
    field("digests-other", r"the digests in it disagree", shards=["0" * 16]),
    field("digests-null", r"the digests in it disagree", labels=None),
    field("digest-other", r"the digests in it disagree", digest="0" * 16),
    record("older-digest-other", r"latents is damaged", lambda told: (older(told), told.update(digest="0" * 16))[1]),
    text("deep", r"latents\.json cannot be read as JSON: its lists", b"[" * 100_000),
    text("list", r"latents\.json is not of format", b"[]"),
    text("infinite", r"beyond all numbers", b'{"std": 1e999}'),
    file("shard-flip", r"moments-00000\.safetensors is damaged", SHARD, flipped),
    file(
        "shard-cut",
        r"moments-00000\.safetensors is damaged",
        SHARD,
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
    ),
    file("shard-gone", r"1 of 1 shards are missing", SHARD, lambda path: path.unlink()),
    file("labels-flip", r"labels\.safetensors is damaged", "labels.safetensors", lambda path: flipped(path, -8)),
    file("labels-gone", r"labels\.safetensors does not exist", "labels.safetensors", lambda path: path.unlink()),
    lies(
        "nan",
        r"moments-00000\.safetensors: mean holds numbers that are not finite",
        SHARD,
        lambda t: t["mean"].view(-1)[7:8].fill_(math.nan) is None or None,
    ),
    lies(
        "infinity",
        r"mean holds numbers that are not finite",
        SHARD,
        lambda t: t["mean"].view(-1)[7:8].fill_(-math.inf) is None or None,
    ),
    lies("shard-renamed", r"1 missing \[mean\], 1 unexpected \[men\]", SHARD, lambda t: t.update(men=t.pop("mean"))),
    lies("shard-short", r"mean has the shape", SHARD, lambda t: t.update(mean=t["mean"][1:].clone())),
    lies(
        "labels-negative",
        r"labels are not 0 to 1",
        "labels.safetensors",
        lambda t: t["labels"][:1].fill_(-1) is None or None,
    ),
    lies(
        "labels-beyond",
        r"labels are not 0 to 1",
        "labels.safetensors",
        lambda t: t["labels"][:1].fill_(2) is None or None,
    ),
    lies(
        "labels-2d", r"labels has the shape", "labels.safetensors", lambda t: t.update(labels=t["labels"][None].clone())
    ),
    lies(
        "labels-float", r"labels are not 0 to 1", "labels.safetensors", lambda t: t.update(labels=t["labels"].float())
    ),
    lies(
        "labels-none",
        r"1 missing \[labels\]",
        "labels.safetensors",
        lambda t: (t.clear(), t.update(x=torch.ones(1)))[1],
    ),
    Case("deviation-negative", negative_deviation, r"moments-00000\.safetensors holds a negative deviation"),
    file(
        "shard-lies",
        r"cannot be read as safetensors",
        SHARD,
        lambda path: with_header(path, {"mean": {"dtype": "F16", "shape": [2**50], "data_offsets": [0, 2**51]}}),
        recorded=False,
    ),
]


@each(CASES)
def test_a_bad_store(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
