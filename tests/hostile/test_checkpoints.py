"""Bad checkpoints: config.json and the tensors beside it."""

import json
import math

import torch
from hostile import Case, check, copied, each, edited
from safetensors.torch import load_file, save_file
from weightfiles import flipped, rewritten, with_header

from roadstill.cli import main

EXPORT = ("export", "out", "--checkpoint", "tuned")
HUGE = {"depth": 12, "hidden_size": 4096, "num_heads": 16}


def with_config(name, says, change, *, verb=EXPORT):
    """A case whose config.json is changed."""
    return Case(
        name, lambda folder, good: (edited(copied(good, "tuned", folder) / "config.json", change), verb)[1], says
    )


def with_field(name, says, **fields):
    return with_config(name, says, lambda record: record.update(fields))


def without(name):
    return with_config(f"no-{name}", rf"config\.json: .*`{name}`", lambda record: record.pop(name) and None)


def with_text(name, says, text):
    def command(folder, good):
        (copied(good, "tuned", folder) / "config.json").write_bytes(text)
        return EXPORT

    return Case(name, command, says)


def with_tensors(name, says, change, *, recorded=True):
    """A case whose tensors are changed; config.json tells the digest of the others, or none."""

    def command(folder, good):
        path = copied(good, "tuned", folder) / "trained.safetensors"
        change(path)
        if not recorded:
            edited(path.with_name("config.json"), lambda record: record.pop("trained") and None)
        return EXPORT

    return Case(name, command, says)


def changed(change):
    return lambda path: rewritten(path, tensors=change)


def put(value, *, start=""):
    """Puts a value into the first trained tensor whose name starts so."""

    def change(tensors):
        name = next(name for name in sorted(tensors) if name.startswith(start))
        tensors[name].view(-1)[0] = value

    return changed(change)


def from_scratch(name, says, **sizes):
    """A case whose network is one from scratch of other sizes."""

    def change(record):
        record.update(base=None, adapters=[{"type": "Full"}])
        record["network"].update(sizes)

    return with_config(name, says, change)


def circle(folder, good):
    copied(good, "tuned", folder)
    edited(folder / "tuned" / "config.json", lambda record: record["base"].update(path="."))
    return EXPORT


def betas(value):
    def change(tensors):
        tensors["schedule/betas"][3] = value

    return changed(change)


def lora(targets):
    """The record of an adapter."""
    return {"type": "LoRA", "targets": targets}


CASES = [
    *[
        with_config(
            f"network-{name}-{value}",
            rf"config\.json, network: {says}",
            lambda record, name=name, value=value: record["network"].update({name: value}),
        )
        for name, value, says in (
            ("depth", 10**6, "depth is 1000000, that of its base is 7"),
            ("hidden_size", 10**6, "hidden_size is 1000000"),
            ("num_classes", 10**6, "num_classes is"),
            ("patch_size", 4, "patch_size is 4"),
            ("learn_sigma", True, "learn_sigma is True"),
        )
    ],
    with_config(
        "adapters-many",
        r"config\.json: 1,000 adapters are given; compose at most 16",
        lambda record: record.update(adapters=record["adapters"] * 1000),
    ),
    with_field("targets-many", r"config\.json, adapters: .*100,000 names of layers", adapters=[lora([""] * 100_000)]),
    with_field("targets-none", r"config\.json: LoRA found no layer that ends in \.\*", adapters=[lora([".*"])]),
    *map(without, ("class_names", "network", "adapters", "base", "label_dropout")),
    with_field("base-list", r"config\.json, base: ", base=[]),
    with_field("base-number", r"config\.json, base: ", base=7),
    with_field("base-digest", r"config\.json, base\.digest: ", base={"path": "shipped", "digest": "x"}),
    with_field("base-other", r"was trained on base 0{16}, but", base={"path": "shipped", "digest": "0" * 16}),
    with_field("base-gone", r"its base \.\./x is missing", base={"path": "../x", "digest": "0" * 16}),
    with_field(
        "base-folder",
        r"etc is not a folder|/etc/config\.json does not exist",
        base={"path": "/etc", "digest": "0" * 16},
    ),
    Case("base-itself", circle, r"its base stands on itself"),
    with_field("adapters-text", r"config\.json, adapters: ", adapters="LoRA"),
    with_field("adapters-texts", r"config\.json, adapters\[0\]: ", adapters=["LoRA"]),
    with_field("adapters-none", r"no adapter is given", adapters=[]),
    with_field("adapters-type", r"adapters: adapter type 'os\.system' is unknown", adapters=[{"type": "os.system"}]),
    with_field("adapters-field", r"adapters has the setting x", adapters=[{"type": "Full", "x": 1}]),
    with_field("lora-rank-text", r"adapters, rank: ", adapters=[{"type": "LoRA", "rank": "8"}]),
    with_field("lora-rank-0", r"adapters: rank is 0", adapters=[{"type": "LoRA", "rank": 0}]),
    with_field(
        "lora-rank-1e6", r"more parameters than|missing|has the shape", adapters=[{"type": "LoRA", "rank": 10**6}]
    ),
    with_field("lora-rank-1e9", r"adapters: rank is 1000000000", adapters=[{"type": "LoRA", "rank": 10**9}]),
    with_field("lora-rank-9", r"has the shape|missing", adapters=[{"type": "DiffFit"}, {"type": "LoRA", "rank": 9}]),
    with_field("lora-alpha", r"adapters: alpha is -1", adapters=[{"type": "LoRA", "alpha": -1}]),
    with_field("lora-nowhere", r"LoRA found no layer", adapters=[{"type": "LoRA", "targets": ["os"]}]),
    with_field("network-list", r"config\.json, network: ", network=[]),
    with_field("step-negative", r"config\.json, step: ", step=-1),
    with_field("objective-odd", r"config\.json, objective: ", objective="pixels"),
    with_field("dropout-2", r"config\.json, label_dropout: ", label_dropout=2),
    with_field("guided-text", r"config\.json, guided_channels: ", guided_channels="3"),
    with_field("rows-beyond", r"label_rows .* beyond the network's", label_rows=[0, 7]),
    with_field("rows-few", r"1 label_rows for 2 classes", label_rows=[0]),
    with_field("names-1e6", r"config\.json, class_names: ", class_names=[str(i) for i in range(10**6)]),
    with_field("names-many", r"classes, but its network has 2 rows", class_names=[str(i) for i in range(500)]),
    with_field("names-one", r"class means of the shape", class_names=["one"]),
    with_field("fresh-1e6", r"config\.json: 1000000 fresh labels for 2 classes", fresh_labels=10**6),
    with_field("trained-text", r"config\.json, trained: ", trained="x"),
    with_field("trained-other", r"trained\.safetensors is damaged, or of another training", trained="0" * 16),
    with_field("loss-odd", r"config\.json, loss_reduction: ", loss_reduction="max"),
    from_scratch("depth-1e6", r"more parameters than", depth=10**6),
    from_scratch("hidden-1e6", r"more parameters than", hidden_size=10**6, num_heads=1),
    from_scratch("hidden-1e12", r"network, hidden_size: ", hidden_size=10**12),
    from_scratch("heads-0", r"network, num_heads: ", num_heads=0),
    from_scratch("patch-0", r"network, patch_size: ", patch_size=0),
    from_scratch("input-1e9", r"network, input_size: ", input_size=10**9),
    from_scratch("input-tokens", r"too many tokens", input_size=4096),
    from_scratch("classes-1e6", r"more parameters than|missing", num_classes=10**6),
    from_scratch("huge", r"more parameters than", **HUGE),
    from_scratch("heads-odd", r"sizes do not fit", num_heads=7),
    from_scratch("kind-odd", r"network, kind: 'os'", kind="os"),
    from_scratch("keyword", r"network: Object contains unknown field `seed`", seed=3),
    from_scratch("kind-other", r"network: Object contains unknown field|missing required field", kind="songunet"),
    from_scratch("smaller", r"missing|has the shape", depth=1),
    with_text("deep", r"config\.json cannot be read as JSON: its lists", b"[" * 100_000),
    with_text("empty", r"config\.json cannot be read as JSON", b""),
    with_text("binary", r"config\.json cannot be read: it is no text", b"\xff\xfe"),
    with_text("list", r"config\.json is not of format", b"[]"),
    with_text("twice", r"'format' stands twice", b'{"format": 1, "format": 2}'),
    with_text("infinite", r"beyond all numbers", b'{"label_dropout": 1e999}'),
    with_tensors("flip", r"trained\.safetensors is damaged", flipped),
    with_tensors("flip-header", r"trained\.safetensors is damaged", lambda path: flipped(path, 9)),
    with_tensors("gone", r"trained\.safetensors is missing", lambda path: path.unlink()),
    with_tensors(
        "cut", r"cannot be read as safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9]), recorded=False
    ),
    with_tensors("nan", r"holds numbers that are not finite", put(math.nan, start="blocks"), recorded=False),
    with_tensors("infinity", r"holds numbers that are not finite", put(-math.inf, start="blocks"), recorded=False),
    with_tensors(
        "nan-average", r"ema/blocks\S* holds numbers that are not", put(math.nan, start="ema/"), recorded=False
    ),
    with_tensors("nan-mean", r"latents/class_mean holds", put(math.nan, start="latents/"), recorded=False),
    with_tensors("nan-betas", r"schedule/betas holds", betas(math.nan), recorded=False),
    with_tensors("betas-0", r"betas lie between 0 and", betas(0.0), recorded=False),
    with_tensors("betas-2", r"betas lie between .* and 2", betas(2.0), recorded=False),
    with_tensors(
        "times-fall",
        r"schedule/timesteps are not a rising time",
        changed(lambda tensors: tensors.update({"schedule/timesteps": tensors["schedule/timesteps"].flip(0)})),
        recorded=False,
    ),
    with_tensors(
        "times-few",
        r"schedule/timesteps are not a rising time",
        changed(lambda tensors: tensors.update({"schedule/timesteps": tensors["schedule/timesteps"][:9]})),
        recorded=False,
    ),
    with_tensors(
        "betas-gone",
        r"holds no noise schedule",
        changed(lambda t: t.pop("schedule/betas") is None or None),
        recorded=False,
    ),
    with_tensors(
        "tensor-more", r"1 unexpected \[more\]", changed(lambda t: t.update(more=torch.zeros(2))), recorded=False
    ),
    with_tensors(
        "mean-shape",
        r"class means of the shape \(2, 1\)",
        changed(lambda t: t.update({"latents/class_mean": torch.zeros(2, 1)})),
        recorded=False,
    ),
    with_tensors(
        "claims",
        r"cannot be read as safetensors",
        lambda path: with_header(path, {"x": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}}),
        recorded=False,
    ),
    with_tensors("header-huge", r"header", lambda path: with_header(path, b"{}" + b" " * 2**25), recorded=False),
]


@each(CASES)
def test_a_bad_checkpoint(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)


def test_two_adapters_of_one_kind_on_other_layers_are_read_again(good, tmp_path):
    two = [{"class_path": "roadstill.adapters.LoRA", "init_args": {"rank": 2, "targets": [target]}}
           for target in ("attn.qkv", "mlp.fc1")]  # fmt: skip
    words = [
        "finetune",
        str(good / "latents"),
        str(tmp_path / "two"),
        "--tuning.steps",
        "1",
        "--tuning.batch_size",
        "4",
    ]
    assert main([*words, "--tuning.adapters", json.dumps(two)]) == 0
    assert main(["export", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "two")]) == 0


def test_a_checkpoint_without_its_digest_opens(good, tmp_path):
    from roadstill.generator.checkpoints import load_denoiser

    copied(good, "tuned", tmp_path)
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["trained"]
    edited(tmp_path / "tuned" / "config.json", lambda record: record.pop("trained") and None)
    tensors = load_file(tmp_path / "tuned" / "trained.safetensors")
    save_file(tensors, tmp_path / "tuned" / "trained.safetensors", {"roadstill": "{}"})
    load_denoiser(tmp_path / "tuned")
