"""Training an agent for a fixed number of steps; the last step counts, nothing is chosen on the way."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.convnet import convnet
from roadstill.agents.features import FeatureCache, Inputs, prepare_pixels
from roadstill.agents.lite0 import efficientnet_lite0
from roadstill.agents.resnet import resnet18
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import atomic_path, digest_of, plain, read_json, seed_of, write_json

FORMAT = "roadstill-agent-1"
NETWORKS: dict[str, Callable[..., StagedNetwork]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "resnet18": resnet18,
    "convnet": convnet,
}
_PREDICT_BATCH = 64


@dataclass(frozen=True)
class AgentConfig:
    """How an agent is trained; the defaults are the thesis' for a distilled set, but for the network.

    Attributes:
        network: "efficientnet-lite0" (ImageNet weights from a package), "resnet18" (the thesis' agent; bring the
            weights) or "convnet" (small, from scratch).
        weights: initial weights; the network's own if not given.
        image_px: side to which pictures are brought before the network; as stored if not given.
        steps: optimiser steps, the same for every arm.
        batch_size: never more than the set; drawn without replacement in each epoch, the short last batch is kept.
        learning_rate: of AdamW, constant.
        weight_decay: of AdamW.
        freeze: leading stages (stem, then blocks) that stay as they are, BatchNorm included; 0 trains everything.
        batch_norm: "batch" normalises by the batch in training and keeps running statistics, as the thesis does;
            "fixed" keeps the initial statistics in all stages.
        head_init: of the last layer: "random" (PyTorch's own), or "zero", which takes the luck of the start out of
            small sets' results.
    """

    network: Literal["efficientnet-lite0", "resnet18", "convnet"] = "efficientnet-lite0"
    weights: Path | None = None
    image_px: int | None = None
    steps: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    freeze: int = 0
    batch_norm: Literal["batch", "fixed"] = "batch"
    head_init: Literal["random", "zero"] = "random"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise UserError(f"agent network {self.network!r} is unknown; take one of {sorted(NETWORKS)}")
        if self.head_init not in ("random", "zero"):
            raise UserError(f"head_init is {self.head_init!r}; take 'random' or 'zero'")
        if self.batch_norm not in ("batch", "fixed"):
            raise UserError(f"batch_norm is {self.batch_norm!r}; take 'batch' or 'fixed'")
        if min(self.steps, self.batch_size) < 1 or (self.image_px is not None and self.image_px < 8):
            raise UserError(
                f"agent: steps {self.steps}, batch_size {self.batch_size}, image_px {self.image_px} are too small"
            )


@dataclass
class Agent:
    """A trained classifier of pictures.

    Attributes:
        config: how it was trained.
        network: the stages and the linear layer, in evaluation mode.
        class_names: one per probability.
        size_px: side of the pictures that it was trained on, as stored.
        about: seed, digest of the image set, origin of the initial weights, last training loss.
        cache: where inputs of whole sets are kept.
    """

    config: AgentConfig
    network: StagedNetwork
    class_names: tuple[str, ...]
    size_px: int
    about: dict[str, Any]
    cache: FeatureCache = field(default_factory=FeatureCache, repr=False)

    @property
    def digest(self) -> str:
        """Equal for agents that were trained alike on the same images."""
        return digest_of([self.config, self.about])

    def logits(self, pictures: Tensor) -> Tensor:
        """Logits ``[n, k]`` of pictures ``[n, 3, s, s]`` in [0, 1], with gradient with respect to them.

        Raises:
            UserError: see `predict`.
        """
        self._check_size(pictures.shape[2])
        return self.network(prepare_pixels(self.network, pictures, self.config.image_px))

    @torch.no_grad()
    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of pictures ``[n, s, s, 3]``.

        Raises:
            UserError: pictures of another size than in training, and no ``image_px`` that brings them to one.
        """
        self._check_size(pixels.shape[1])
        out = np.empty((len(pixels), len(self.class_names)), np.float32)
        device = self.network.head.weight.device
        for start in range(0, len(pixels), _PREDICT_BATCH):
            part = torch.from_numpy(np.ascontiguousarray(pixels[start : start + _PREDICT_BATCH])).to(device)
            logits = self.network(prepare_pixels(self.network, part, self.config.image_px))
            out[start : start + len(part)] = logits.softmax(1).cpu().numpy()
        return out

    @torch.no_grad()
    def predict_set(self, images: ImageSet) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of a whole set; what the frozen stages make of it is computed once per cache."""
        self._check_size(images.size_px)
        inputs = Inputs(images, self.network, self.config.image_px, self.cache)
        out = np.empty((len(images), len(self.class_names)), np.float32)
        for start in range(0, len(images), _PREDICT_BATCH):
            indices = np.arange(start, min(start + _PREDICT_BATCH, len(images)))
            out[indices] = self.network.tail(inputs.batch(indices)).softmax(1).cpu().numpy()
        return out

    @torch.no_grad()
    def features(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the last layer sees of the named images, ``[len(rows), d]``."""
        self._check_size(images.size_px)
        inputs = Inputs(images, self.network, self.config.image_px, self.cache)
        parts = np.array_split(rows, max(1, -(-len(rows) // _PREDICT_BATCH)))
        return np.concatenate([self.network.features(inputs.batch(part)).cpu().numpy() for part in parts])

    def _check_size(self, size_px: int) -> None:
        if self.config.image_px is None and size_px != self.size_px:
            raise UserError(
                f"the agent was trained on {self.size_px} px pictures and is asked about {size_px} px ones; "
                f"prepare both alike or set image_px"
            )

    def save(self, folder: Path) -> Path:
        """Writes ``agent.json`` and ``network.safetensors``, atomically."""
        record = {
            "format": FORMAT,
            "config": {name: value for name, value in plain(self.config).items() if name != "type"},
            "class_names": self.class_names,
            "size_px": self.size_px,
            "about": self.about,
        }
        with atomic_path(folder) as path:
            path.mkdir()
            save_file(
                {name: value.contiguous() for name, value in self.network.state_dict().items()},
                path / "network.safetensors",
            )
            write_json(path / "agent.json", record)
        return folder


def open_agent(folder: Path, *, cache: FeatureCache | None = None) -> Agent:
    """Opens what `Agent.save` wrote.

    Raises:
        UserError: missing, foreign or damaged files.
    """
    record = read_json(folder / "agent.json")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{folder / 'agent.json'} is not of format {FORMAT}; train the agent again with this version")
    try:
        values = dict(record["config"])
        values["weights"] = Path(values["weights"]) if values["weights"] else None
        config = AgentConfig(**values)
        names, size_px, about = tuple(record["class_names"]), int(record["size_px"]), dict(record["about"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'agent.json'} is damaged ({error}); train the agent again") from None
    network = NETWORKS[config.network](len(names), None, trained=False)
    try:
        network.load_state_dict(read_weights(folder / "network.safetensors"))
    except RuntimeError as error:
        raise UserError(
            f"{folder / 'network.safetensors'} does not fit: {' '.join(str(error).split())[:200]}"
        ) from None
    network.pretrained, network.origin = True, str(about.get("initial_weights"))
    network.freeze(config.freeze)
    return Agent(config, network.eval(), names, size_px, about, cache or FeatureCache())


def build_network(config: AgentConfig, num_classes: int, seed: int) -> StagedNetwork:
    """The untrained agent; everything random in it comes from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("agent weights", seed))
        network = NETWORKS[config.network](num_classes, config.weights, trained=True)
    if config.head_init == "zero":
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.zero_()
    network.freeze(config.freeze)
    network.fixed_batch_norm = config.batch_norm == "fixed"
    return network


def batch_at(step: int, *, num_images: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Indices of one step: a fresh order in each epoch, without replacement, the short last batch kept."""
    size = min(batch_size, num_images)
    epoch, position = divmod(step, -(-num_images // size))
    order = np.random.default_rng(seed_of("agent order", seed, epoch)).permutation(num_images)
    return order[position * size : (position + 1) * size]


def train_agent(
    images: ImageSet,
    *,
    config: AgentConfig,
    seed: int,
    cache: FeatureCache | None = None,
    device: str = "cpu",
    watch: Callable[[NDArray[np.int64], Tensor], None] | None = None,
) -> Agent:
    """Trains an agent on an image set with cross-entropy and AdamW (method 7).

    Args:
        images: what it learns from.
        config: network and optimiser.
        seed: decides the last layer's start (all weights, if none are given) and the order of the images.
        cache: shared between calls, it spares the frozen stages' work on sets that were seen before.
        device: where to train.
        watch: called in every step with the batch's image indices ``[b]`` and logits ``[b, k]``; changes nothing.

    Raises:
        UserError: an empty class, missing weights or extras, a loss that is not finite.
    """
    empty = [name for name, count in images.counts().items() if not count]
    if empty:
        raise UserError(
            f"{images.root}: no image of class {empty[0]!r}; an agent needs all of {list(images.class_names)}"
        )
    cache = cache or FeatureCache()
    network = build_network(config, images.num_classes, seed).to(device).train()
    inputs = Inputs(images, network, config.image_px, cache)
    labels = torch.from_numpy(images.labels)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    loss = torch.tensor(float("nan"))
    for step in range(config.steps):
        indices = batch_at(step, num_images=len(images), batch_size=config.batch_size, seed=seed)
        logits = network.tail(inputs.batch(indices))
        loss = F.cross_entropy(logits, labels[torch.from_numpy(indices)].to(device))
        if watch is not None:
            watch(indices, logits.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    last_loss = float(loss.detach())
    if not math.isfinite(last_loss):
        raise UserError(f"the agent's loss became {last_loss} in {config.steps} steps; lower learning_rate")
    about = {
        "seed": seed,
        "images": images.digest,
        "num_images": len(images),
        "initial_weights": network.origin,
        "last_loss": round(last_loss, 6),
        "trained_parameters": sum(parameter.numel() for parameter in trained),
    }
    return Agent(config, network.eval(), images.class_names, images.size_px, about, cache)
