"""Training an agent for a fixed number of steps; the last step counts, no earlier one is chosen."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.agent import Agent
from roadstill.agents.augment import Mixed, cutmix, draws, dsa, flip_crop
from roadstill.agents.config import AgentConfig
from roadstill.agents.features import FeatureCache, Inputs, prepare_pixels
from roadstill.agents.kernel import NAME as KERNEL
from roadstill.agents.kernel import fit_kernel, require_few
from roadstill.agents.networks import make_network, normalise
from roadstill.agents.quantities import reading_of
from roadstill.agents.recipes import following
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.status import WIDTH
from roadstill.agents.targets import Targets, read_targets
from roadstill.agents.watch import DevWatch
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import finite_sum, require_finite
from roadstill.runs import same_classes, seed_of
from roadstill.runs.progress import track

Watch: TypeAlias = Callable[[NDArray[np.int64], Tensor], None]


def build_network(
    config: AgentConfig, width: int, seed: int, size_px: int | None = None, *, images: int = 1
) -> StagedNetwork:
    """The untrained agent; everything random in it comes from the seed alone.

    Args:
        config: settings with the network's name.
        width: number of outputs.
        seed: seed of its random weights.
        size_px: side of the pictures as stored, for networks that depend on it where ``image_px`` is not set.
        images: number of pictures that it will learn from, for kernel regression.

    Raises:
        UserError: see `make_network` and `StagedNetwork.freeze`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("agent weights", seed))
        network = make_network(
            config.network, width, size_px=config.image_px or size_px, weights=config.weights,
            made_from={"support": images} if config.network == KERNEL else None,
        )  # fmt: skip
        if config.ego:
            network.with_status(WIDTH)
    if config.head_init == "zero":
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.zero_()
    everything = config.head_only or config.network == "blind"
    network.freeze(len(network.stages) if everything else config.freeze)
    network.fixed_batch_norm = config.batch_norm == "fixed"
    network.mixed_precision = config.mixed_precision
    normalise(network, config.normalise)
    return network


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Optimiser steps in which every image is seen once."""
    return -(-num_images // min(batch_size, num_images))


def batch_at(step: int, *, num_images: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Indices of one step: a fresh order in each epoch, without replacement, the short last batch kept."""
    size = min(batch_size, num_images)
    epoch, position = divmod(step, steps_per_epoch(num_images, batch_size))
    order = np.random.default_rng(seed_of("agent order", seed, epoch)).permutation(num_images)
    return order[position * size : (position + 1) * size]


def train_agent(
    images: ImageSet,
    *,
    config: AgentConfig,
    seed: int,
    cache: FeatureCache | None = None,
    device: str = "cpu",
    watch: Watch | None = None,
    dev: ImageSet | None = None,
    looks: int = 10,
    peek: bool = False,
    plateau: bool = False,
) -> Agent:
    """Trains an agent on an image set: with cross-entropy, or with Huber's loss on numbers (``config.target``).

    Everything random depends on seed and step alone.

    Args:
        images: training set. The fact ``weight`` is how much an image counts (0: not at all); the fact ``soft_label``
            is used if the configuration asks for soft labels.
        config: network and optimiser.
        seed: seed of the last layer's start (of all weights, if none are given) and of the order of the images.
        cache: cache of the frozen stages' output; shared between calls, it saves work on sets that were seen before.
        device: device to train on.
        watch: function that is called in every step with the batch's image indices ``[b]`` and logits ``[b, k]``;
            changes nothing.
        dev: dev part, evaluated during training, never learnt from; the best step becomes ``Agent.chosen``. The agent
            itself is that of the last step, bit by bit the same with and without dev.
        looks: number of evaluations on dev, evenly spaced, the last one after the last step.
        peek: whether dev may be the test part, see `DevWatch`.
        plateau: whether to evaluate about once per epoch instead, and divide the learning rate by 10 when the loss on
            dev has not fallen for 10 epochs (PyTorch's ReduceLROnPlateau; the thesis' scheduler, method 7). dev then
            influences the agent itself.

    Raises:
        UserError: an empty class, missing weights or extras, a loss that is not finite, a test part as dev; pictures
            without the numbers that are to be learnt, or without the vehicle's own status where it is an input.
    """
    config = following(config, images)
    digest = images.digest
    images = images.unfolded()
    images, targets, targets_digest = read_targets(images, config)
    empty = [name for name, count in images.counts().items() if not count]
    if empty:
        raise UserError(
            f"{images.root}: no image of class {empty[0]!r}; an agent needs images of all of {list(images.class_names)}"
        )
    cache = cache or FeatureCache()
    reading = reading_of(config.target, images)
    if config.network == KERNEL:
        require_few(len(images))
    network = build_network(config, reading.width(images.num_classes), seed, images.size_px, images=len(images))
    if config.normalise == "whitened":
        network.whiten(*_whitening_of(images, config))
    network = network.to(device).train()
    if reading.quantity is not None:
        with torch.no_grad():  # an agent that has learnt nothing says the mean
            network.head.bias.copy_(targets.wanted.mean(0))
    best = None
    if dev is not None:
        same_classes(dev.class_names, images.class_names, of=dev.root, to=images.root)
        steps = config.num_steps(len(images))
        if plateau:
            looks = -(-steps // steps_per_epoch(len(images), config.batch_size))
        best = DevWatch(
            dev, network, config.image_px, reading=reading, steps=steps, looks=looks, cache=cache, peek=peek
        )
    if plateau and (dev is None or config.decay_at):
        raise UserError("plateau lowers the learning rate by the loss on dev alone; give dev and leave out decay_at")
    inputs = Inputs(images, network, config.image_px, cache)
    if config.network == KERNEL:
        last_loss = _fit_at_once(network, inputs, targets, images, reading.quantity is None)
    else:
        last_loss = _fit(network, inputs, targets, config, seed, watch, best, plateau)
    about = {
        "seed": seed,
        "images": digest,
        "num_images": len(images),
        "initial_weights": network.origin,
        "last_loss": round(last_loss, 6),
        "trained_parameters": sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        "trained_on": images.footprint.as_record(),
    }
    if targets_digest is not None:
        about["targets"] = targets_digest
    if reading.quantity is not None:
        about["edges_mps2"] = list(reading.edges_mps2)
    agent = Agent(config, network.eval(), images.class_names, images.size_px, about, cache=cache)
    if best is not None and dev is not None:
        about = about | {"chosen_step": best.best[0], "dev": dev.digest, "looks": best.looks}
        agent.chosen = replace(agent, network=best.chosen(), about=about)
        agent.known = {dev.digest: best.found}  # the last evaluation is after the last step
    return agent


def _fit_at_once(network: StagedNetwork, inputs: Inputs, targets: Targets, images: ImageSet, classes: bool) -> float:
    """Learns a set by kernel regression; labels that were learnt as numbers count as such."""
    own = None if images.values is None else images.values.targets()
    wanted = targets.wanted if own is None else torch.from_numpy(own)
    if wanted.ndim == 1:
        wanted = F.one_hot(wanted, images.num_classes)
    pictures = prepare_pixels(network, inputs.pictures(), None)
    fit_kernel(network, pictures, wanted.float().to(pictures.device), classes=classes)
    return 0.0


def _whitening_of(images: ImageSet, config: AgentConfig) -> tuple[Tensor, Tensor]:
    found = None if images.values is None else images.values.whitening()
    if found is None:
        raise UserError(f"{images.root} carries no whitening, and normalise is whitened; take another normalise")
    if config.image_px not in (None, images.size_px):
        raise UserError(f"whitened pictures cannot be resized to {config.image_px} px; leave image_px out")
    return found


def _fit(
    network: StagedNetwork,
    inputs: Inputs,
    targets: Targets,
    config: AgentConfig,
    seed: int,
    watch: Watch | None,
    best: DevWatch | None,
    plateau: bool,
) -> float:
    """Takes all steps and returns the last one's loss."""
    optimiser, num_steps = make_optimiser(network, config), config.num_steps(len(inputs))
    lowering = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=10) if plateau else None
    last_loss = math.nan
    device = network.head.weight.device
    # Third-party backbones may contain dropout, which draws from the global streams.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of("agent dropout", seed))
        for step in track(range(num_steps), "steps of the agent"):
            indices = batch_at(step, num_images=len(inputs), batch_size=config.batch_size, seed=seed)
            batch, mixed = augmented(inputs.batch(indices), config, seed=seed, step=step)
            status = inputs.status(indices)
            if lowering is None:
                optimiser.param_groups[0]["lr"] = config.learning_rate_at(step, num_steps)
            optimiser.zero_grad()
            losses, seen = list[Tensor](), list[Tensor]()
            for rows in network.parts(batch):
                logits = network.tail(batch[rows], None if status is None else status[rows])
                loss = _loss(targets, logits, indices, rows, mixed) * (len(logits) / len(indices))
                loss.backward()
                losses.append(loss.detach())
                seen.append(logits.detach())
            last_loss = float(finite_sum({"cross-entropy": torch.stack(losses).sum()}, step=step, rows=indices))
            if watch is not None:
                watch(indices, torch.cat(seen))
            optimiser.step()
            found = None if best is None else best.after(step + 1)
            if lowering is not None and found is not None:
                lowering.step(found)
    require_finite(network.state_dict(), step=num_steps - 1)
    return last_loss


def make_optimiser(network: StagedNetwork, config: AgentConfig) -> torch.optim.Optimizer:
    """The optimiser of the parameters that train."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, weight_decay = config.learning_rate, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(trained, lr=rate, momentum=config.momentum, weight_decay=weight_decay, fused=True)
    return torch.optim.AdamW(trained, lr=rate, weight_decay=weight_decay, fused=True)


def augmented(batch: Tensor, config: AgentConfig, *, seed: int, step: int) -> tuple[Tensor, Mixed | None]:
    """The batch ``[b, 3, s, s]`` after augmentation, and how CutMix mixed it, if it did."""
    if config.augment == "none":
        return batch, None
    generator = draws(seed_of("agent augment", seed, step))
    if "cutmix" in config.augment:
        if config.augment == "dsa_cutmix":
            batch = dsa(batch, generator, cuts=False).contiguous(memory_format=torch.channels_last)
        mixed = cutmix(batch, generator, config.cutmix_probability)
        return (batch, None) if mixed is None else (mixed.pictures, mixed)
    changed = (dsa if config.augment == "dsa" else flip_crop)(batch, generator)
    return changed.contiguous(memory_format=torch.channels_last), None


def _loss(targets: Targets, logits: Tensor, indices: NDArray[np.int64], rows: slice, mixed: Mixed | None) -> Tensor:
    """Mean cross-entropy of some rows of a batch; for a mixed one, both pictures' losses weighted by their shares."""
    own = targets.loss(logits, indices[rows])
    if mixed is None:
        return own
    return mixed.share * own + (1 - mixed.share) * targets.loss(logits, indices[mixed.partner[rows].numpy()])
