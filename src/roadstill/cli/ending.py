"""How every verb ends: how long it took, and the command that comes next."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Given = Mapping[str, Any]
"""The verb's arguments by name, defaults included, and what it said under `SAID`."""
SAID = "what it said"


def next_of(verb: str, given: Given, said: str) -> str:
    """The command that comes next, ready to be typed; it names what the verb has just made.

    Args:
        verb: name of the verb that is done.
        given: its arguments.
        said: what it said.
    """
    return shlex.join(["roadstill", *map(str, _NEXT[verb]({**given, SAID: said}))])


def _beside(path: Path, name: str) -> Path:
    """A path of this name in the same folder; with a number if it is taken, since a product would be replaced."""
    found, number = path.parent / name, 1
    while found.exists():
        number += 1
        found = path.parent / f"{name}-{number}"
    return found


def _after_prepare(given: Given) -> list[Any]:
    out = given["out"]
    train = out / "train"
    if not train.is_dir():  # a set of tensors, or a shard, or archives that lack some pictures
        is_set = (out / "set.json").is_file()
        return ["train", out, _beside(out, "agent")] if is_set else ["prepare", given["index"], out]
    return ["encode", train, _beside(out, "latents")]


def _after_pretrain(given: Given) -> list[Any]:
    out, data = given["out"], given["data"]
    made = sorted(out.glob("*.safetensors")) or [out]
    if given["part"] == "codec":
        return ["encode", data, _beside(out, "latents"), "--codec", out / "codec.safetensors"]
    base = next((path for path in made if not path.name.startswith(("state", "resume"))), out)
    return ["finetune", data, _beside(out, "tuned"), "--base", base]


def _after_select(given: Given) -> list[Any]:
    out = given["out"]
    if given["from_index"]:
        return ["prepare", out, _beside(out, f"{out.name}-sets")]
    return _train(given)


def _train(given: Given) -> list[Any]:
    out = given["out"]
    return ["train", out, _beside(out, f"agent-{out.name}")]


def _after_train(given: Given) -> list[Any]:
    out, images = given["out"], given["images"]
    dev = images.parent / "dev" if images.name == "train" else images.parent / "sets" / "dev"
    return ["evaluate", out, dev, "--out", out.parent / "runs" / out.name]


def _after_evaluate(given: Given) -> list[Any]:
    agent, images, out = given["agent"], given["images"], given["out"]
    if out is None:
        return ["evaluate", agent, images, "--out", agent.parent / "runs" / agent.name]
    return ["compare", out.parent, "--baseline", given["arm"] or agent.name]


def _after_compare(given: Given) -> list[Any]:
    first = given["what"][0] if given["what"] else Path("work/distilled")
    if given["test"] is None:
        return ["audit", "work/distilled", "--against", "work/sets/train"]
    return ["audit", first, "--against", given["test"].parent / "train"]


def _run_folder(given: Given) -> Path:
    """The folder of a run or a study, whose last line names a file in it."""
    return Path(str(given[SAID]).splitlines()[-1]).parent


def _after_demo(given: Given) -> list[Any]:
    folder = _run_folder(given)
    if given["size"] == "toy":
        return ["demo", "--out", _beside(folder, "demo")]
    return ["doctor", folder]


_NEXT: dict[str, Callable[[Given], list[Any]]] = {
    "demo": _after_demo,
    "run": lambda given: ["doctor", _run_folder(given)],
    "study": lambda given: ["doctor", _run_folder(given)],
    "report": lambda given: ["doctor", given["run"]],
    "world": lambda given: ["index", given["out"], _beside(given["out"], "index")],
    "index": lambda given: ["prepare", given["out"], _beside(given["out"], "sets"), "--size_px", 128],
    "prepare": _after_prepare,
    "encode": lambda given: ["finetune", given["out"], _beside(given["out"], "tuned")],
    "pretrain": _after_pretrain,
    "finetune": lambda given: ["generate", _beside(given["out"], "distilled"), "--checkpoint", given["out"]],
    "generate": _train,
    "refine": _train,
    "distil": _train,
    "experts": lambda given: [
        "distil", "mtt", given["real"], _beside(given["out"], "mtt"), "--per_class", 1,
        "--settings", f'{{"objective": {{"experts": "{given["out"]}"}}}}',
    ],
    "export": lambda given: ["generate", _beside(given["out"], "distilled"), "--checkpoint", given["out"]],
    "params": lambda given: ["finetune", "--help"],
    "bench": lambda given: ["doctor"],
    "plan": lambda given: ["bench", "stages", "--out", "rates.json"],
    "select": _after_select,
    "update": _train,
    "train": _after_train,
    "evaluate": _after_evaluate,
    "compare": _after_compare,
    "describe": lambda given: ["audit", given["what"][0], "--against", given["real"]],
    "audit": lambda given: ["share", given["images"], _beside(given["images"], "shared")],
    "share": lambda given: ["verify", given["out"]],
    "verify": lambda given: ["train", given["images"], _beside(given["images"], "agent")],
    "drive": lambda given: ["report", given["out"]],
    "app": lambda given: ["report", given["run"]],
    "doctor": lambda given: ["demo", "--size", "toy"] if given["run"] is None else ["report", given["run"]],
}  # fmt: skip
