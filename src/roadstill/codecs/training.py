"""`pretrain_codec`: trains the autoencoder on an image set, within bounded memory, resumable to the bit."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.codecs import SmallCodec, from_pixels, psnr_db, save_codec
from roadstill.codecs.config import CodecTraining
from roadstill.codecs.losses import imagenet_features, loss_terms, redness
from roadstill.codecs.starts import initialise, start_linear
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import (
    finite_sum,
    generator_of,
    optimizer_tensors,
    rate_at,
    require_finite,
    restore_optimizer,
    rewind_metrics,
    rows_of_step,
    saved_state,
    set_rate,
)
from roadstill.learning.precision import in_bfloat16
from roadstill.runs import Stage, holding, require_own, seed_of
from roadstill.runs.progress import track
from roadstill.weights.tensors import require_shapes, shapes_of, write_tensors


@holding()
def pretrain_codec(images: ImageSet, out: Path, config: CodecTraining, seed: int) -> Path:
    """Trains a codec and writes ``codec.safetensors``; a second call goes on where the first one stopped.

    Args:
        images: pictures; their labels are not used.
        out: folder for ``codec.safetensors``, ``state.safetensors``, ``metrics.jsonl`` and ``stage.json``.
        config: see `CodecTraining`.
        seed: seed of weights, order, noise and mirroring.

    Returns:
        Path of the codec.

    Raises:
        UserError: too few pictures, a size that the codec cannot halve, a state of another configuration, a loss that
            is not finite.
    """
    require_own(out)
    trained, shown = _split(images, config, seed)
    stage = Stage(out, config, {"images": images.digest, "seed": str(seed)})
    path = out / "codec.safetensors"
    if stage.done:
        return path
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("codec weights", seed))
        codec = SmallCodec(config.codec)
        initialise(codec)
        for size_px in (images.size_px, config.crop_px or images.size_px):
            codec.latent_shape(size_px)  # refuses a size that does not fit before any work
        start_linear(codec, images, trained[:: -(-len(trained) // 256)])
    features = imagenet_features() if config.perceptual else None
    if config.codec.linear == "lapped":  # else they learn edges of blocks again; what they lack, convolutions learn
        codec.unproject.requires_grad_(False)
    learning = [(name, weight) for name, weight in codec.named_parameters() if weight.requires_grad]
    names, weights = zip(*learning, strict=True)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    start = _resume(out / "state.safetensors", codec, optimizer, list(names), stage.key)
    rewind_metrics(out / "metrics.jsonl", start)
    began, since = time.monotonic(), start
    for step in track(range(start, config.steps), "steps of the codec", done=start):
        rows, pixels = _batch(images, trained, config, seed, step)
        set_rate(
            optimizer,
            config.learning_rate * rate_at(step, steps=config.steps, warmup_steps=config.warmup_steps, decay="cosine"),
        )
        optimizer.zero_grad()
        terms = loss_terms(codec, pixels, config, features, generator_of("codec noise", seed, step))
        loss = finite_sum(terms, step=step, rows=rows)
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
            tensors = codec.state_dict() | optimizer_tensors(optimizer, list(names))
            require_finite(tensors, step=step)
            save_codec(codec, path)
            write_tensors(out / "state.safetensors", tensors, {"step": done, "key": stage.key})
    figures = _figures(codec, images, shown, config.bf16)
    stage.finish(codec=path.name, parameters=sum(weight.numel() for weight in weights), **figures)
    return path


def _split(images: ImageSet, config: CodecTraining, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if config.crop_px is not None and config.crop_px > images.size_px:
        raise UserError(f"crop_px {config.crop_px} is larger than the pictures of {images.root}, {images.size_px} px")
    if len(images) <= config.held_out:
        raise UserError(
            f"{images.root}: {len(images)} images are too few to hold out {config.held_out}; "
            "bring more or lower held_out"
        )
    order = np.random.default_rng(seed_of("codec split", seed)).permutation(len(images))
    return np.sort(order[config.held_out :]), np.sort(order[: config.held_out])


def _batch(
    images: ImageSet, rows: NDArray[np.int64], config: CodecTraining, seed: int, step: int
) -> tuple[NDArray[np.int64], Tensor]:
    """The rows of a step ``[b]``, and their pictures, or parts of them, ``[b, 3, s, s]``."""
    chosen = rows[rows_of_step(len(rows), config.batch_size, seed=seed, step=step, name="codec")]
    pixels = from_pixels(torch.from_numpy(images.pixels(chosen)))
    if config.crop_px is not None:
        room = images.size_px - config.crop_px + 1
        corners = torch.randint(room, (len(chosen), 2), generator=generator_of("codec crop", seed, step)).tolist()
        side = config.crop_px
        parts = [one[:, y : y + side, x : x + side] for one, (y, x) in zip(pixels, corners, strict=True)]
        pixels = torch.stack(parts)
    if config.flip:
        mirrored = torch.rand(len(chosen), generator=generator_of("codec flip", seed, step)) < 0.5
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    return chosen, pixels


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
    saved = saved_state(path, key, "the state of a codec training")
    if saved is None:
        return 0
    tensors, steps_done = saved
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("optimizer/")}
    require_shapes(shapes_of(weights), shapes_of(codec.state_dict()), path, "remove it and begin anew")
    codec.load_state_dict(weights)
    restore_optimizer(optimizer, names, tensors)
    return steps_done
