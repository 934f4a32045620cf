"""Bad agents, bad pretrained networks of agents, and bad soft labels."""

import json
import math

import torch
from hostile import Case, check, copied, each, edited
from made import unseal_set
from safetensors.torch import load_file, save_file
from weightfiles import flipped, with_header

EVALUATE = ("evaluate", "agent", "set")


def record(name, says, change):
    """A case whose agent.json is changed."""

    def command(folder, good):
        copied(good, "set", folder)
        edited(copied(good, "agent", folder) / "agent.json", change)
        return EVALUATE

    return Case(name, command, says)


def field(name, says, **fields):
    return record(name, says, lambda told: told.update(fields))


def setting(name, says, **settings):
    return record(f"setting-{name}", says, lambda told: told["config"].update(settings))


def without(name):
    return record(f"no-{name}", rf"agent\.json: .*`{name}`", lambda told: told.pop(name) and None)


def text(name, says, content):
    def command(folder, good):
        copied(good, "set", folder)
        (copied(good, "agent", folder) / "agent.json").write_bytes(content)
        return EVALUATE

    return Case(name, command, says)


def weights(name, says, change, *, recorded=True):
    """A case whose tensors are changed; agent.json tells the digest of the others, or none."""

    def command(folder, good):
        copied(good, "set", folder)
        path = copied(good, "agent", folder) / "network.safetensors"
        change(path)
        if not recorded:
            edited(path.with_name("agent.json"), lambda told: told.pop("network") and None)
        return EVALUATE

    return Case(name, command, says)


def held(name, says, change):
    def rewrite(path):
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(tensors)
        save_file(tensors, path)

    return weights(name, says, rewrite, recorded=False)


def of_transformers(name, says, change, *, agent=False, size_px=None):
    """A case of a folder of transformers of which config.json is changed; or of an agent's record of one."""

    def command(folder, good):
        from transformers import ViTConfig, ViTForImageClassification

        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        model = ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3))
        model.save_pretrained(folder / "vit")
        copied(good, "set", folder)
        train = ("train", "set", "out", "--agent.network", "transformers:vit", "--agent.steps", 1)
        if not agent:
            edited(folder / "vit" / "config.json", change)
            return train
        from roadstill.agents import AgentConfig, train_agent
        from roadstill.imagesets import open_imageset

        config = AgentConfig(network="transformers:vit", steps=1)
        train_agent(open_imageset(folder / "set"), config=config, seed=0).save(folder / "agent")
        edited(folder / "agent" / "agent.json", lambda told: change(told["made_from"]))
        return EVALUATE

    return Case(f"{'agent-of-' if agent else ''}transformers-{name}", command, says)


def soft(name, says, label):
    """A case of a set whose third picture has this soft label."""

    def command(folder, good):
        path = copied(good, "set", folder) / "metadata.jsonl"
        rows = [json.loads(line) | {"soft_label": [0.5, 0.5]} for line in path.read_text().splitlines()]
        rows[2]["soft_label"] = label
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        unseal_set(path.parent)
        return "train", "set", "out", "--agent.network", "convnet", "--agent.labels", "soft", "--agent.steps", 1

    return Case(f"soft-{name}", command, says)


def loop(folder, good):
    copied(good, "set", folder)
    (copied(good, "agent", folder) / "chosen").symlink_to("..", target_is_directory=True)
    (folder / "agent" / "agent.json").unlink()
    return EVALUATE


CASES = [
    *map(without, ("class_names", "config", "size_px", "about")),
    field("config-list", r"agent\.json, config: ", config=[]),
    field("size-1e6", r"agent\.json, size_px: ", size_px=10**6),
    field("size-text", r"agent\.json, size_px: ", size_px="32"),
    field("size-0", r"agent\.json, size_px: ", size_px=0),
    field("names-1e6", r"agent\.json, class_names: ", class_names=[str(i) for i in range(10**6)]),
    field("names-three", r"has no linear layer for 3 classes", class_names=["a", "b", "c"]),
    field("names-turned", r"in another order", class_names=["brake", "not_brake"]),
    field("names-other", r"take two that know the same classes", class_names=["a", "b"]),
    field("about-list", r"agent\.json, about: ", about=[]),
    field("seed-missing", r"about holds no seed", about={}),
    field("digest-other", r"network\.safetensors is damaged", network="0" * 16),
    field("digest-number", r"agent\.json, network: ", network=7),
    setting("px-1e6", r"image_px is 1000000", image_px=10**6),
    setting("px-text", r"config, image_px: ", image_px="64"),
    setting("steps-text", r"config, steps: ", steps="2"),
    setting("steps-0", r"config: steps is 0", steps=0),
    setting("rate-negative", r"config: learning_rate is -1", learning_rate=-1),
    setting("unknown", r"config has the setting stps", stps=1),
    setting("network-climb", r"agent network '\.\./x' is unknown", network="../x"),
    setting("network-number", r"config, network: ", network=7),
    setting("network-other", r"missing", network="convnet-3"),
    setting("network-large", r"missing|has the shape|more parameters than", network="convnet-3", image_px=4096),
    setting("network-system", r"'os\.system' is not one of roadstill's own", network="os.system"),
    setting("freeze", r"freeze is 99", freeze=99),
    setting("normalise", r"config, normalise: ", normalise="x"),
    setting("optimiser-list", r"config, optimiser: ", optimiser=[]),
    text("deep", r"agent\.json cannot be read as JSON: its lists", b"[" * 100_000),
    text("list", r"agent\.json is not of format", b"[]"),
    text("empty", r"agent\.json cannot be read as JSON", b""),
    weights("flip", r"network\.safetensors is damaged", flipped),
    weights("gone", r"network\.safetensors is missing", lambda path: path.unlink()),
    weights(
        "cut", r"cannot be read as safetensors", lambda path: path.write_bytes(path.read_bytes()[:-4]), recorded=False
    ),
    weights(
        "lies",
        r"cannot be read as safetensors",
        lambda path: with_header(
            path, {"head.weight": {"dtype": "F32", "shape": [2, 2**50], "data_offsets": [0, 2**53]}}
        ),
        recorded=False,
    ),
    held("nan", r"head\.weight holds numbers that are not finite", lambda t: t["head.weight"][:1].fill_(math.nan)),
    held("infinity", r"head\.bias holds numbers that are not finite", lambda t: t["head.bias"][:1].fill_(math.inf)),
    held("missing", r"1 missing \[head\.bias\]", lambda t: t.pop("head.bias")),
    held("head-none", r"has no linear layer for 2 classes", lambda t: t.pop("head.weight")),
    held(
        "head-flat",
        r"has no linear layer for 2 classes",
        lambda t: t.update({"head.weight": t["head.weight"].flatten()}),
    ),
    held("head-wide", r"head\.weight has the shape 2 x 9", lambda t: t.update({"head.weight": torch.ones(2, 9)})),
    Case("chosen-loop", loop, r"agent\.json does not exist"),
    of_transformers("width-1e6", r"more parameters than", lambda c: c.update(hidden_size=10**6, num_attention_heads=1)),
    of_transformers("layers-1e6", r"more parameters than", lambda config: config.update(num_hidden_layers=10**6)),
    of_transformers(
        "picture-1e6", r"more parameters than", lambda config: config.update(image_size=10**6, patch_size=1)
    ),
    of_transformers(
        "labels-1e6",
        r"config\.json, id2label: Expected `object` of length <= 100000",
        lambda c: c.update(id2label={str(i): str(i) for i in range(200_000)}),
    ),
    of_transformers("type-missing", r"config\.json: .*`model_type`", lambda config: config.pop("model_type") and None),
    of_transformers("type-list", r"config\.json, model_type: ", lambda config: config.update(model_type=[])),
    of_transformers(
        "type-odd", r"cannot be opened as an image classifier", lambda config: config.update(model_type="os")
    ),
    of_transformers(
        "width-text", r"cannot be opened as an image classifier|vit", lambda config: config.update(hidden_size="16")
    ),
    of_transformers("config-list", r"config\.json: Expected `object`", lambda config: []),
    of_transformers(
        "width-1e6",
        r"more parameters than",
        lambda made: made["config"].update(hidden_size=10**6, num_attention_heads=1),
        agent=True,
    ),
    of_transformers(
        "layers-1e6",
        r"more parameters than|more than",
        lambda made: made["config"].update(num_hidden_layers=10**6),
        agent=True,
    ),
    of_transformers("layers-2", r"missing", lambda made: made["config"].update(num_hidden_layers=2), agent=True),
    of_transformers(
        "mean-text", r"made_from, image_mean", lambda made: made.update(image_mean=["a", "b", "c"]), agent=True
    ),
    of_transformers("std-0", r"made_from, image_std", lambda made: made.update(image_std=[0, 1, 1]), agent=True),
    of_transformers("mean-two", r"made_from, image_mean", lambda made: made.update(image_mean=[0.5, 0.5]), agent=True),
    of_transformers("config-none", r"made_from: .*`config`", lambda made: made.pop("config") and None, agent=True),
    soft("missing", r"000001\.png: its soft label is missing", None),
    soft("centred", r"0_not_brake/000001\.png: its soft label is centred", [0.5, -0.5]),
    soft("logits", r"holds logits \(values below 0 or above 1\)", [3.0, -1.0]),
    soft("large", r"holds logits", [7.0, 2.0]),
    soft("sum", r"its soft label sums to 0\.5", [0.25, 0.25]),
    soft("three", r"has 3 values for 2 classes", [0.2, 0.3, 0.5]),
    soft("text", r"line 3, soft_label: Expected", "0.5 0.5"),
    soft("flags", r"line 3, soft_label\[0\]: Expected", [True, False]),
    soft("nested", r"line 3, soft_label\[0\]: Expected", [[0.5, 0.5]]),
    soft("nan", r"metadata\.jsonl, line 3 cannot be read as JSON: it holds NaN", [math.nan, 0.5]),
]


@each(CASES)
def test_a_bad_agent(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)


def test_an_agent_without_its_digest_opens(good, tmp_path):
    from roadstill.agents import open_agent

    path = copied(good, "agent", tmp_path) / "agent.json"
    assert json.loads(path.read_text())["network"]
    edited(path, lambda told: told.pop("network") and None)
    open_agent(path.parent)
