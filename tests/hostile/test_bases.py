"""Bad generators in one file or folder: our own base files, DiT's original layout, diffusers folders."""

import json
import math

import torch
from hostile import Case, check, each, edited
from safetensors.torch import load_file, save_file
from weightfiles import flipped, rewritten, tiny_base, tiny_diffusers, tiny_original, with_header


def base(name, says, change):
    """A case of a base file that is changed."""

    def command(folder, good):
        change(tiny_base(folder / "base.safetensors"))
        return "export", "out", "--checkpoint", "base.safetensors"

    return Case(f"base-{name}", command, says)


def told(name, says, change):
    """A case of a base file whose metadata are changed."""
    return base(name, says, lambda path: rewritten(path, about=change))


def sized(name, says, **sizes):
    return told(name, says, lambda about: about["network"].update(sizes))


def held(name, says, change, *, sealed=False):
    """A case of a base file whose tensors are changed."""
    return base(name, says, lambda path: rewritten(path, tensors=change, sealed=sealed))


def original(name, says, change, *, suffix=".safetensors"):
    """A case of a file in the original layout whose tensors are changed."""

    def command(folder, good):
        path = tiny_original(folder / "dit.safetensors")
        change(path)
        return "export", "out", "--checkpoint", path.name

    return Case(f"original-{name}", command, says)


def as_torch(name, says, change):
    """A case of a file of ``torch.save``."""

    def command(folder, good):
        state = load_file(tiny_original(folder / "dit.safetensors"))
        change(state)
        torch.save(state, folder / "dit.pt")
        return "export", "out", "--checkpoint", "dit.pt"

    return Case(f"torch-{name}", command, says)


def pipeline(name, says, file, change):
    """A case of a diffusers folder of which a JSON file is changed."""

    def command(folder, good):
        tiny_diffusers(folder / "dit")
        edited(folder / "dit" / file, change)
        return "export", "out", "--checkpoint", "dit"

    return Case(f"diffusers-{name}", command, says)


def weights(name, says, change):
    """A case of a diffusers folder of which the tensors are changed."""

    def command(folder, good):
        tiny_diffusers(folder / "dit")
        change(folder / "dit" / "transformer" / "diffusion_pytorch_model.safetensors")
        return "export", "out", "--checkpoint", "dit"

    return Case(f"diffusers-{name}", command, says)


def nan(path):
    tensors = load_file(path)
    tensors[min(tensors)].view(-1)[0] = math.nan
    save_file(tensors, path, {"generator": json.dumps({"num_heads": 2})})


def wide(path):
    """Tensors of a few bytes whose names make a network of a width of a million."""
    tensors = load_file(path)
    tensors["x_embedder.proj.weight"] = torch.zeros(10**6, 1, 1, 1)
    save_file(tensors, path, {"generator": json.dumps({"num_heads": 1})})


def deep(path):
    """Two hundred thousand names of blocks of nothing."""
    tensors = load_file(path) | {f"blocks.{number}.x": torch.zeros(0) for number in range(20_000)}
    save_file(tensors, path, {"generator": json.dumps({"num_heads": 2})})


CONFIG, SCHEDULER, INDEX = "transformer/config.json", "scheduler/scheduler_config.json", "model_index.json"
CASES = [
    told("format", r"has format 'x', not", lambda about: about.update(format="x")),
    told("network-missing", r"metadata: .*`network`", lambda about: about.pop("network") and None),
    told("dropout-missing", r"metadata: .*`label_dropout`", lambda about: about.pop("label_dropout") and None),
    told(
        "names-climb",
        r"class name '\.\./x' cannot name a folder",
        lambda about: about.update(class_names=["../x", "b"]),
    ),
    told(
        "names-three", r"3 classes, but its network has 2 rows", lambda about: about.update(class_names=["a", "b", "c"])
    ),
    told("names-number", r"metadata, class_names: ", lambda about: about.update(class_names=7)),
    told("rows", r"label_rows .* beyond", lambda about: about.update(label_rows=[0, 9])),
    told("codec-list", r"metadata, codec: ", lambda about: about.update(codec=[])),
    told("objective", r"metadata, objective: ", lambda about: about.update(objective="x")),
    sized("depth-1e6", r"more parameters than", depth=10**6),
    sized("hidden-1e6", r"more parameters than", hidden_size=10**6),
    sized("classes-1e6", r"more parameters than|has the shape", num_classes=10**6),
    sized("side-1e6", r"network, input_size: ", input_size=10**6),
    sized("patch-0", r"network, patch_size: ", patch_size=0),
    sized("depth-2", r"missing", depth=2),
    sized("patch-1", r"has the shape", patch_size=1),
    sized("heads-3", r"sizes do not fit", num_heads=3),
    sized("gammas-9", r"gammas in 9 of 1 blocks", gammas=9),
    sized("unet-missing", r"network: Object contains unknown|missing required", kind="unet2d"),
    held(
        "nan",
        r"holds numbers that are not finite",
        lambda t: t["final_layer.linear.weight"].view(-1)[:1].fill_(math.nan) is None or None,
    ),
    held("betas", r"betas lie between", lambda t: t["schedule/betas"].fill_(1.0) is None or None),
    held("betas-gone", r"no noise schedule", lambda t: t.pop("schedule/betas") is None or None),
    held("more", r"unexpected \[x\]", lambda t: t.update(x=torch.zeros(1))),
    held(
        "sealed",
        r"is damaged: its tensors are not those",
        lambda t: t["final_layer.linear.bias"].add_(1) is None or None,
        sealed=True,
    ),
    base("flip", r"is damaged: its tensors are not those|not finite", lambda path: flipped(path, -30)),
    base("cut", r"cannot be read as safetensors", lambda path: path.write_bytes(path.read_bytes()[:-8])),
    base("empty", r"cannot be read as safetensors|is empty|0 bytes", lambda path: path.write_bytes(b"")),
    base(
        "lies",
        r"cannot be read as safetensors",
        lambda path: with_header(path, {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    ),
    base(
        "metadata-deep",
        r"cannot be read as JSON: its lists",
        lambda path: save_file({"x": torch.ones(1)}, path, {"roadstill": "[" * 50_000}),
    ),
    original("nan", r"holds numbers that are not finite", nan),
    original("wide", r"more parameters than|no DiT", wide),
    original("deep", r"more parameters than|does not hold", deep),
    original("empty", r"holds no DiT", lambda path: save_file({"x": torch.ones(1)}, path, {"generator": "{}"})),
    original(
        "note-heads",
        r"generator, num_heads: ",
        lambda path: rewritten(path, about=lambda a: a.update(num_heads=0), key="generator"),
    ),
    original(
        "note-names",
        r"class name '\.\./x'",
        lambda path: rewritten(path, about=lambda a: a.update(class_names=["../x"]), key="generator"),
    ),
    original(
        "note-rows",
        r"not one of label_rows",
        lambda path: rewritten(path, about=lambda a: a.update(label_rows=[1]), key="generator"),
    ),
    original(
        "note-list", r"generator: Expected `object`", lambda path: save_file(load_file(path), path, {"generator": "[]"})
    ),
    as_torch(
        "nan",
        r"holds numbers that are not finite|width",
        lambda state: state["final_layer.linear.bias"].fill_(math.nan),
    ),
    as_torch("missing", r"width 16 is not a published one|missing", lambda state: state.pop("final_layer.linear.bias")),
    as_torch("no-embedder", r"holds no DiT", lambda state: state.pop("x_embedder.proj.weight")),
    as_torch("number", r"holds no DiT|no named tensors|named tensors", lambda state: state.update({7: torch.ones(1)})),
    pipeline("layers-1e6", r"more parameters than", CONFIG, lambda config: config.update(num_layers=10**6)),
    pipeline("width-1e6", r"more parameters than", CONFIG, lambda config: config.update(attention_head_dim=10**6)),
    pipeline("side-1e6", r"too many tokens", CONFIG, lambda config: config.update(sample_size=10**6)),
    pipeline("side-1e9", r"config\.json, sample_size: ", CONFIG, lambda config: config.update(sample_size=10**9)),
    pipeline("patch-0", r"config\.json, patch_size: ", CONFIG, lambda config: config.update(patch_size=0)),
    pipeline(
        "classes-1e6",
        r"more parameters than|cannot be opened",
        CONFIG,
        lambda config: config.update(num_embeds_ada_norm=10**6),
    ),
    pipeline("layers-text", r"config\.json, num_layers: ", CONFIG, lambda config: config.update(num_layers="1")),
    pipeline(
        "no-bias",
        r"cannot be opened|unexpected|the model lacks",
        CONFIG,
        lambda config: config.update(attention_bias=False),
    ),
    pipeline("activation", r"cannot be opened", CONFIG, lambda config: config.update(activation_fn="os.system")),
    pipeline("config-list", r"is no|config\.json: Expected|not of|is not a diffusers", CONFIG, lambda config: []),
    pipeline(
        "betas-nan",
        r"scheduler_config\.json cannot be read as JSON: it holds NaN",
        SCHEDULER,
        lambda c: c.update(trained_betas=[math.nan] * 20),
    ),
    pipeline("betas-2", r"betas lie between", SCHEDULER, lambda config: config.update(trained_betas=[2.0] * 20)),
    pipeline("betas-0", r"betas lie between", SCHEDULER, lambda config: config.update(trained_betas=[0.0] * 20)),
    pipeline("betas-text", r"trained_betas", SCHEDULER, lambda config: config.update(trained_betas="linear")),
    pipeline("betas-one", r"betas have shape \[1\]", SCHEDULER, lambda config: config.update(trained_betas=[0.1])),
    pipeline("scheduler-list", r"scheduler_config\.json: Expected", SCHEDULER, lambda config: []),
    pipeline("index-list", r"model_index\.json: Expected", INDEX, lambda index: []),
    pipeline(
        "index-names",
        r"class name 'a/b' cannot name",
        INDEX,
        lambda index: index["generator"].update(class_names=["a/b", "c"]),
    ),
    pipeline(
        "index-objective", r"generator, objective: ", INDEX, lambda index: index["generator"].update(objective="x")
    ),
    pipeline("index-rows", r"label_rows .* beyond", INDEX, lambda index: index["generator"].update(label_rows=[0, 99])),
    weights("nan", r"holds numbers that are not finite", nan),
    weights("cut", r"cannot be read as safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    weights("gone", r"has no diffusion_pytorch_model\.safetensors", lambda path: path.unlink()),
]


@each(CASES)
def test_a_bad_generator(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
