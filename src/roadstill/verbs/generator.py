"""Verbs of the generator: encode, pretrain, finetune, generate, export, params."""

from collections.abc import Callable
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Literal

from roadstill.codecs.config import CodecTraining
from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig
from roadstill.imagesets.attributes import described, rows_of
from roadstill.networks.kinds import NetworkConfig, name_of
from roadstill.runs import holding, require_own_file


def encode(
    images: Path,
    out: Path,
    *,
    codec: Path | None = None,
    batch_size: int = 32,
    attributes: tuple[str, ...] = (),
    align: Path | None = None,
    engine: Literal["process", "ray"] = "process",
    workers: int = 2,
) -> str:
    """Encodes an image set into latents.

    Args:
        images: image set to encode.
        out: folder to make.
        codec: codec file, diffusers autoencoder (folder or hub name), or "pixels" to work on the pictures themselves;
            the shipped codec if not given.
        batch_size: number of pictures at a time.
        attributes: columns of the set that are kept with the latents, such as light,weather, for a generator to learn
            beside the classes (tuning.attributes.names).
        align: agent made by train, whose features are kept with the latents, for a generator to be aligned with
            (tuning.alignment.weight).
        engine: what encodes: this process, or workers of Ray on all machines of a cluster (extra ray).
        workers: number of workers of Ray.
    """
    from roadstill.agents import open_agent
    from roadstill.agents.grids import GridFeatures
    from roadstill.codecs import load_codec
    from roadstill.codecs.latents import encode_imageset
    from roadstill.imagesets import open_imageset

    if engine == "ray":
        from roadstill.data.on_ray import encoding_on_ray, require_ray

        if align is not None:
            raise UserError("features to align with are kept by one process; leave out --engine ray")
        require_ray()
    opened, through = open_imageset(images), load_codec(codec)
    spread = encoding_on_ray(opened, through, workers=workers) if engine == "ray" else None
    store = encode_imageset(
        opened, through, out, batch_size=batch_size, attributes=attributes, spread=spread,
        align=None if align is None else GridFeatures(open_agent(align)),
    )  # fmt: skip
    shape = " x ".join(str(side) for side in store.shape)
    kept = f"; {described(store.attributes)}" if attributes else ""
    return f"{out}: {len(store):,} latents of {shape}{kept}"


@holding()
def pretrain(
    part: Literal["codec", "denoiser"],
    data: Path,
    out: Path,
    *,
    codec: CodecTraining = CodecTraining(),  # noqa: B008  frozen; the command line shows its fields
    denoiser: FinetuneConfig = FinetuneConfig(),  # noqa: B008
    base: Path | None = None,
    seed: int = 0,
) -> str:
    """Trains a codec or a base generator from scratch, or goes on with a base.

    Args:
        part: part to train: codec (from an image set) or denoiser (from latents).
        data: image set, or latents made by encode.
        out: folder to make; a second call resumes a training that was stopped.
        codec: settings of the codec.
        denoiser: settings of the base generator; all its parameters are trained.
        base: base generator to go on with, as finetune takes it; from scratch if not given.
        seed: seed of the initial weights, the order and the noise.
    """
    from roadstill.adapters import Full
    from roadstill.codecs.latents import open_latents
    from roadstill.codecs.training import pretrain_codec
    from roadstill.generator.checkpoints import export_base
    from roadstill.generator.finetune import finetune as train_all
    from roadstill.imagesets import open_imageset

    if part == "codec":
        if base is not None:
            raise UserError("base is for a denoiser; leave it out")
        return str(pretrain_codec(open_imageset(data), out, codec, seed))
    network = denoiser.network if base is not None else denoiser.network or NetworkConfig()
    whole = replace(denoiser, adapters=(Full(),), network=network)
    checkpoint = train_all(open_latents(data), base=base, out=out, config=whole, seed=seed)
    name = "base" if network is None else name_of(network)
    return str(export_base(checkpoint, out / f"{name}.safetensors"))


def finetune(
    latents: Path,
    out: Path,
    *,
    base: Path | None = None,
    tuning: FinetuneConfig = FinetuneConfig(),  # noqa: B008
    seed: int = 0,
) -> str:
    """Fine-tunes a generator on latents with adapters and minimax criteria, or trains one from scratch.

    Args:
        latents: folder made by encode.
        out: folder to make; a second call resumes a training that was stopped.
        base: base generator: a file made by pretrain, a folder made by finetune, ``roadstill/edm-cifar10``,
            published DiT, SiT or EDM weights; if not given, the shipped one for driving, and none with tuning.network.
        tuning: adapters, criteria, schedule, optimiser.
        seed: seed of the adapters' initial weights, the order and the noise.
    """
    from roadstill.codecs.latents import open_latents
    from roadstill.generator.finetune import finetune as tune

    return str(tune(open_latents(latents), base=base, out=out, config=tuning, seed=seed))


def generate(
    out: Path,
    *,
    checkpoint: Path | None = None,
    which: Literal["ema", "trained"] = "ema",
    codec: Path | None = None,
    decoder: Path | None = None,
    class_names: tuple[str, ...] | None = None,
    label_rows: tuple[int, ...] | None = None,
    per_class: int = 10,
    seed: int = 0,
    start: Path | None = None,
    teacher: Path | None = None,
    where: str | None = None,
    fill: Path | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008
) -> str:
    """Generates an image set from a checkpoint: a few images per class.

    Args:
        out: folder to make.
        checkpoint: folder made by finetune; the shipped base generator if not given.
        which: weights to take: the checkpoint's moving average, or its last ones.
        codec: codec file, diffusers autoencoder (folder or hub name), or "pixels" to work on the pictures themselves;
            the shipped codec if not given.
        decoder: second diffusers autoencoder, which decodes what the first one encodes.
        class_names: names of the generator's classes, in label order; if not given, those that it was trained with, or
            not_brake and brake if it has none.
        label_rows: row of the generator's label table for each class, such as two of 1,000; 0, 1, ... if not given.
        per_class: number of images per class.
        seed: seed of the noise; image i of class c depends on the seed, c and i alone.
        start: image set of real pictures to start from instead of pure noise; see sampling.strength.
        teacher: agent made by train, which guides the images towards their classes; see sampling.teacher.guidance.
        where: attributes that all images show, in words such as "night rain, red light", or as sampling.where; what the
            checkpoint knows is listed if a word is none of it.
        fill: image set whose strata are filled up: its images count where sampling.strata spreads the new ones.
        sampling: guidance, steps, solver, strength, guidance by a teacher, attributes.
    """
    from roadstill.agents import open_agent
    from roadstill.codecs import load_codec
    from roadstill.generator.asking import read_where
    from roadstill.generator.checkpoints import load_denoiser
    from roadstill.generator.generate import generate as draw
    from roadstill.imagesets import open_imageset

    denoiser = load_denoiser(checkpoint, which=which)
    if where is not None:
        if sampling.where is not None:
            raise UserError("where and sampling.where are both given; leave one out")
        sampling = replace(sampling, where=read_where(where, denoiser.origin.attributes))
    made = draw(
        denoiser,
        load_codec(codec, decoder=decoder),
        class_names=class_names or denoiser.origin.class_names or ("not_brake", "brake"),
        label_rows=label_rows,
        per_class=per_class,
        seed=seed,
        config=sampling,
        out=out,
        start=None if start is None else open_imageset(start),
        teacher=None if teacher is None else open_agent(teacher),
        fill=None if fill is None else open_imageset(fill),
    )
    return f"{out}: {len(made)} generated images, {per_class} per class"


@holding()
def export(
    out: Path,
    *,
    checkpoint: Path | None = None,
    which: Literal["ema", "trained"] = "ema",
    layout: Literal["diffusers", "original"] = "diffusers",
    where: str | None = None,
) -> str:
    """Writes a generator for other programs: a diffusers folder, or one safetensors file in the original layout.

    Args:
        out: folder to make (diffusers: transformer, and a scheduler with the betas), or safetensors file (original).
        checkpoint: folder made by finetune, or any generator that finetune takes as base, such as a pickle of EDM; the
            shipped base generator if not given.
        which: weights to take: the checkpoint's moving average, or its last ones.
        layout: layout of the files: diffusers, or the tensor names of DiT's or EDM's original files.
        where: attributes that the classes show from now on, in words as for generate; neither layout has room for a
            choice.
    """
    import torch

    from roadstill.generator.asking import read_where
    from roadstill.generator.assembly import plain_network
    from roadstill.generator.attributes import fold_attributes
    from roadstill.generator.checkpoints import load_denoiser, write_base
    from roadstill.networks.dit import DiT
    from roadstill.networks.interchange import save_diffusers, save_original

    if layout == "original":
        require_own_file(out, "a safetensors file")
    denoiser = load_denoiser(checkpoint, which=which)
    network, schedule, known = plain_network(denoiser), denoiser.schedule, denoiser.origin.attributes
    asked = {} if where is None else read_where(where, known)
    if not isinstance(network, DiT):
        if layout != "original":
            raise UserError(f"diffusers has no pipeline for a {type(network).__name__}; use layout original")
        return str(write_base(denoiser, out, torch.float32))
    fold_attributes(network, [rows_of(known)[pair] for pair in asked.items()])
    origin = denoiser.origin
    facts = {"objective": denoiser.objective, "class_names": origin.class_names or None, "codec": origin.codec}
    facts |= denoiser.settings | ({} if origin.distilled is None else {"distilled": origin.distilled})
    if layout == "original":
        save_original(network, out, facts)
    else:
        save_diffusers(network, None if schedule is None else schedule.betas, out, facts)
    return (
        f"{out}, without its attributes" + (f" but {', '.join(asked.values())}" if asked else "") if known else str(out)
    )


def params(*, backbone: str = "DiT-XL/2", adapters: list[str] = [], json: bool = False) -> str:  # noqa: B006
    """Prints how many parameters a backbone has and how many each adapter trains.

    Args:
        backbone: name of the backbone, such as DiT-XL/2, DiT-S/4, SongUNet-ncsnpp or SongUNet-ddpmpp.
        adapters: names of the adapters: full, bitfit, difffit, lora or lora:<rank>; several are composed.
        json: output as JSON instead of words.
    """
    import torch

    from roadstill.adapters import Adapter, BitFit, DiffFit, Full, LoRA, apply_adapters, parameter_ledger
    from roadstill.networks.dit import dit
    from roadstill.networks.kinds import Network
    from roadstill.networks.songunet import songunet

    plain: dict[str, Callable[[], Adapter]] = {"full": Full, "bitfit": BitFit, "difffit": DiffFit}
    made: list[Adapter] = []
    for name in adapters:
        kind, _, rank = name.partition(":")
        if kind not in (*plain, "lora") or (rank and (kind != "lora" or not rank.isdigit())):
            raise UserError(f"adapter {name!r} is unknown; choose {', '.join(plain)}, lora or lora:<rank>")
        made.append(LoRA(rank=int(rank or 8)) if kind == "lora" else plain[kind]())
    with torch.device("meta"):
        network: Network = songunet(backbone) if "SongUNet" in backbone else dit(backbone, input_size=32)
        if made:
            apply_adapters(network, made)
        else:
            network.requires_grad_(False)
    ledger = parameter_ledger(network)
    if json:
        return dumps(vars(ledger) | {"share": ledger.share}, indent=1)
    rows = [("all parameters", ledger.total), *((kind, count) for kind, (_, count) in ledger.by_kind.items())]
    rows.append((f"learn ({100 * ledger.share:.3f} %)", ledger.trainable))
    return "\n".join(f"{name:<24} {count:>13,}" for name, count in rows)
