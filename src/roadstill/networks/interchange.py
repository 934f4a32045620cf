"""DiT weights from and for others: the original checkpoint files, and diffusers' ``DiTTransformer2DModel``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from roadstill.errors import UserError
from roadstill.networks.dit import SIZES, DiT
from roadstill.networks.exported import INDEX, NOTE, Facts, SchedulerRecord, TransformerRecord
from roadstill.networks.kinds import outline
from roadstill.runs import atomic_path, plain, read_record, typed, write_json
from roadstill.weights import open_model
from roadstill.weights.tensors import open_tensors, require_intact, require_shapes, shapes_of
from roadstill.weights.torch_file import read_torch_file

DIFFUSERS_KIND = "DiTTransformer2DModel"
_ENDS = ("weight", "bias")
# ours -> diffusers, outside the blocks and inside of each
_OUTSIDE = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
_INSIDE = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
# ours, once for the network -> diffusers, a copy in every block
_COPIED = {
    "t_embedder.mlp.0.weight": "norm1.emb.timestep_embedder.linear_1.weight",
    "t_embedder.mlp.0.bias": "norm1.emb.timestep_embedder.linear_1.bias",
    "t_embedder.mlp.2.weight": "norm1.emb.timestep_embedder.linear_2.weight",
    "t_embedder.mlp.2.bias": "norm1.emb.timestep_embedder.linear_2.bias",
    "y_embedder.embedding_table.weight": "norm1.emb.class_embedder.embedding_table.weight",
}


def load_dit(path: Path, *, num_heads: int | None = None) -> DiT:
    """Opens a checkpoint in the original layout (safetensors, or a torch file read without running code).

    Of a file with several states, the moving average (``ema``) is taken, else the ``model``.

    Args:
        path: the file.
        num_heads: number of attention heads; not needed for published widths (384, 768, 1024, 1152) and our own files.

    Raises:
        UserError: no such file, not a DiT, or tensors missing or left over; all are named.
    """
    state = _read(path)
    try:
        config = _sizes(state, num_heads or _noted_heads(path))
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"{path} holds no DiT in the original layout: {error}; convert it with from_diffusers"
        ) from None
    wanted = shapes_of(outline(config, str(path), shapes_of(state)).state_dict())
    require_shapes(shapes_of(state), wanted, path)
    require_intact(state, path)
    network = DiT(**config)
    network.load_state_dict(state, strict=True)
    return network


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return open_tensors(path, "a DiT checkpoint").unchecked()
    if not path.exists():
        raise UserError(f"{path} does not exist; give the path of a DiT checkpoint")
    stored = read_torch_file(path)
    for part in ("ema", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(part), Mapping):
            stored = stored[part]
            break
    if not isinstance(stored, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in stored.items()
    ):
        raise UserError(f"{path} holds no named tensors; give a state dict")
    return dict(stored)


def _noted_heads(path: Path) -> int | None:
    """The number of heads that `save_original` wrote beside the weights."""
    if path.suffix != ".safetensors":
        return None
    older = open_tensors(path, "a DiT checkpoint").about.get("num_heads")
    facts = facts_of(path)
    return facts.num_heads if facts is not None else older if isinstance(older, int) and older > 0 else None


def _sizes(state: Mapping[str, Tensor], num_heads: int | None) -> dict[str, Any]:
    hidden, channels, patch, _ = state["x_embedder.proj.weight"].shape
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    known = {width: heads for _, width, heads in SIZES.values()}
    if num_heads is None and hidden not in known:
        raise ValueError(f"width {hidden} is not a published one, so num_heads must be given")
    side = round(state["pos_embed"].shape[1] ** 0.5)
    gammas = sum(name.startswith("blocks.") and name.count(".") == 2 and name.endswith(".gamma1") for name in state)
    return {
        "input_size": side * patch,
        "patch_size": patch,
        "in_channels": channels,
        "hidden_size": hidden,
        "depth": depth,
        "num_heads": known[hidden] if num_heads is None else num_heads,
        "num_classes": len(state["y_embedder.embedding_table.weight"]) - 1,
        "learn_sigma": len(state["final_layer.linear.bias"]) == 2 * channels * patch * patch,
        "gammas": gammas or None,
        "gamma_sites": "reference" if "blocks.0.attn.gamma1" in state or not gammas else "residual_only",
    }


@torch.no_grad()
def to_diffusers(network: DiT) -> Any:
    """The same network as diffusers' ``DiTTransformer2DModel``, with equal outputs.

    diffusers counts its time frequencies with a denominator of 127 where the original has 128. The returned model is
    corrected; one that is saved and opened again by diffusers alone is not (outputs then differ by some percent), so
    open it with ``from_diffusers``.

    Raises:
        UserError: the network still has gammas or adapters.
    """
    from diffusers.models import DiTTransformer2DModel

    if network.gammas or any(".lora_" in name for name, _ in network.named_parameters()):
        raise UserError("a network with gammas or LoRA does not fit diffusers' layout; merge it first")
    model = DiTTransformer2DModel(
        num_attention_heads=network.num_heads,
        attention_head_dim=network.hidden_size // network.num_heads,
        in_channels=network.in_channels,
        out_channels=network.out_channels,
        num_layers=network.depth,
        sample_size=network.input_size,
        patch_size=network.patch_size,
        num_embeds_ada_norm=network.num_classes,
        attention_bias=True,
        activation_fn="gelu-approximate",
        norm_type="ada_norm_zero",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
    )
    for block in model.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    ours = network.state_dict()
    state = {f"{theirs}.{end}": ours[f"{name}.{end}"] for name, theirs in _OUTSIDE.items() for end in _ENDS}
    for i in range(network.depth):
        block = f"transformer_blocks.{i}"
        state |= {f"{block}.{theirs}": ours[name] for name, theirs in _COPIED.items()}
        for end in _ENDS:
            state |= {f"{block}.{theirs}.{end}": ours[f"blocks.{i}.{name}.{end}"] for name, theirs in _INSIDE.items()}
            parts = ours[f"blocks.{i}.attn.qkv.{end}"].chunk(3)
            state |= {f"{block}.attn1.to_{which}.{end}": part for which, part in zip("qkv", parts, strict=True)}
    model.load_state_dict(state, strict=True)
    return model.train(network.training)


def save_diffusers(network: DiT, betas: Tensor | None, folder: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Writes ``transformer/``, with betas ``scheduler/``, and ``model_index.json``, as diffusers names them.

    The scheduler is DDIM's, and LCM's of a network of few steps.

    Args:
        network: network without gammas or adapters.
        betas: betas of the schedule that it was trained with; ``None`` for a velocity predictor.
        folder: folder to write, atomically.
        facts: fields of `Facts`, which come back with `facts_of`; the class names also stand where a ``DiTPipeline``
            looks for them.

    Raises:
        UserError: see `to_diffusers`.
    """
    from diffusers import DDIMScheduler, LCMScheduler

    facts = facts or {}
    names = facts.get("class_names") or ()
    with atomic_path(folder, record="transformer") as path:
        to_diffusers(network).save_pretrained(path / "transformer")
        if betas is not None:
            few = facts.get("distilled") is not None
            scheduler = (LCMScheduler if few else DDIMScheduler)(
                num_train_timesteps=len(betas), trained_betas=betas.tolist(), clip_sample=False,
                prediction_type="v_prediction" if facts.get("objective") == "v_prediction" else "epsilon",
            )  # fmt: skip
            scheduler.save_pretrained(path / "scheduler")
        index = {
            "_class_name": "DiTPipeline",
            "id2label": dict(zip(facts.get("label_rows") or range(len(names)), names, strict=True)),
            "scheduler": [None, None] if betas is None else ["diffusers", type(scheduler).__name__],
            "transformer": ["diffusers", DIFFUSERS_KIND],
            "vae": [None, None],
            NOTE: facts,
        }
        write_json(path / INDEX, index, sealed=False)
    return folder


def save_original(network: DiT, path: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Writes the weights under the names of DiT's own files, as safetensors; the file holds no betas.

    ``facts`` are fields of `Facts`; they come back with `facts_of`.
    """
    noted = {**(facts or {}), "num_heads": network.num_heads}
    with atomic_path(path) as temporary:
        tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(tensors, temporary, {NOTE: json.dumps(plain(noted), sort_keys=True)})
    return path


def facts_of(path: Path) -> Facts | None:
    """What `save_diffusers` or `save_original` noted beside the weights; None beside those of others.

    Raises:
        UserError: a note that is damaged.
    """
    if path.is_dir():
        index = path / INDEX
        noted = read_record(index, dict[str, Any], "export it again").get(NOTE) if index.is_file() else None
        where = f"{index}, {NOTE}"
    else:
        noted = open_tensors(path, "a DiT checkpoint").about.get(NOTE) if path.suffix == ".safetensors" else None
        where = f"{path}, {NOTE}"
    return None if noted is None else typed(noted, Facts, where, "export it again")


def scheduler_beside(folder: Path) -> SchedulerRecord:
    """What a pipeline's ``scheduler/`` tells of betas and prediction target; nothing where there is none."""
    path = folder / "scheduler" / "scheduler_config.json"
    return read_record(path, SchedulerRecord, "export or fetch it again") if path.is_file() else SchedulerRecord()


def open_diffusers_dit(folder: Path) -> DiT:
    """Our DiT of a folder that diffusers wrote: a ``DiTTransformer2DModel``, or a pipeline that holds one.

    Raises:
        UserError: another model, tensors that do not fit, blocks with different embedders.
    """
    inside = transformer_folder(folder)
    if (inside / "config.json").is_file():
        read_record(inside / "config.json", TransformerRecord, "fetch it again")
    return from_diffusers(open_model(inside, [DIFFUSERS_KIND]))


def transformer_folder(folder: Path) -> Path:
    """Where a diffusers pipeline keeps its network; the folder itself if it is no pipeline."""
    inside = folder / "transformer"
    return inside if inside.is_dir() else folder


@torch.no_grad()
def from_diffusers(model: Any) -> DiT:
    """Our DiT with the weights of a ``DiTTransformer2DModel``.

    Raises:
        UserError: its blocks hold different time or label embedders, which one DiT cannot have, or it has other parts
            than a DiT.
    """
    try:
        return _from_diffusers(model)
    except KeyError as error:
        raise UserError(f"the model lacks {error}, which a DiT has; its configuration is not a DiT's") from None


def _from_diffusers(model: Any) -> DiT:
    theirs, config = dict(model.state_dict()), model.config
    network = DiT(
        input_size=config.sample_size,
        patch_size=config.patch_size,
        in_channels=config.in_channels,
        hidden_size=config.num_attention_heads * config.attention_head_dim,
        depth=config.num_layers,
        num_heads=config.num_attention_heads,
        num_classes=config.num_embeds_ada_norm,
        learn_sigma=config.out_channels == 2 * config.in_channels,
    )
    state = {"pos_embed": network.pos_embed.data}
    state |= {f"{name}.{end}": theirs.pop(f"{other}.{end}") for name, other in _OUTSIDE.items() for end in _ENDS}
    for i in range(network.depth):
        block = f"transformer_blocks.{i}"
        for name, other in _COPIED.items():
            copy = theirs.pop(f"{block}.{other}")
            if not torch.equal(copy, state.setdefault(name, copy)):
                raise UserError(f"{block}.{other} differs from block 0's; a DiT has one for all blocks")
        for end in _ENDS:
            for name, other in _INSIDE.items():
                state[f"blocks.{i}.{name}.{end}"] = theirs.pop(f"{block}.{other}.{end}")
            parts = [theirs.pop(f"{block}.attn1.to_{which}.{end}") for which in "qkv"]
            state[f"blocks.{i}.attn.qkv.{end}"] = torch.cat(parts)
    if theirs:
        raise UserError(f"the model has tensors that do not fit into a DiT: {', '.join(theirs)}")
    require_shapes(shapes_of(state), shapes_of(network.state_dict()), Path(DIFFUSERS_KIND))
    network.load_state_dict(state, strict=True)
    return network.train(model.training)
