"""`Agent`: a trained classifier of pictures, kept in a folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Optional

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from roadstill.agents.config import AgentConfig, recorded_config
from roadstill.agents.features import FeatureCache, Inputs, prepare_pixels
from roadstill.agents.networks import check_sizes, make_network, normalise
from roadstill.agents.quantities import Reading
from roadstill.agents.staged import STATUS_WIDTH, StagedNetwork
from roadstill.agents.status import WIDTH
from roadstill.errors import UserError, located
from roadstill.imagesets import ImageSet
from roadstill.runs import (
    Digest,
    WithClasses,
    atomic_path,
    beside,
    digest_file,
    digest_of,
    plain,
    read_record,
    write_json,
)
from roadstill.runs.progress import track
from roadstill.weights.tensors import open_tensors, require_digest, require_shapes, shapes_of

FORMAT = "roadstill-agent-1"
WEIGHTS = "network.safetensors"
_REMEDY = "train the agent again"
_PREDICT_BATCH = 64


class _AgentRecord(WithClasses, kw_only=True, frozen=True):
    """``agent.json``; that of an older version lacks the fields that have a default."""

    config: dict[str, Any]
    size_px: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    about: dict[str, Any]
    made_from: dict[str, Any] | None = None
    network: Digest | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.about.get("seed"), int):
            raise ValueError("about holds no seed")


@dataclass
class Agent:
    """A trained classifier of pictures.

    Attributes:
        config: settings of its training.
        network: stages and linear layer, in evaluation mode.
        class_names: names of the classes, one per probability.
        size_px: side of the pictures that it was trained on, as stored.
        about: seed, digest of the image set, origin of the initial weights, last training loss; with a target other
            than the class, the accelerations at which its classes end.
        chosen: agent at the step that was best on dev, if training was given dev; never the headline.
        cache: memory for the inputs of whole sets.
        known: probabilities of whole sets that training has just evaluated, by the set's digest.
    """

    config: AgentConfig
    network: StagedNetwork
    class_names: tuple[str, ...]
    size_px: int
    about: dict[str, Any]
    chosen: Optional["Agent"] = field(default=None, repr=False)
    cache: FeatureCache = field(default_factory=FeatureCache, repr=False)
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """Equal for agents that were trained alike on the same images."""
        # What it was trained on is told by the set's digest, and was not recorded by earlier versions.
        return digest_of([self.config, {name: part for name, part in self.about.items() if name != "trained_on"}])

    @property
    def reading(self) -> Reading:
        """How the network's outputs are read."""
        return Reading.of(self.config.target, self.about.get("edges_mps2", ()))

    def logits(self, pictures: Tensor) -> Tensor:
        """Logits ``[n, k]`` of pictures ``[n, 3, s, s]`` in [0, 1], with gradient with respect to them.

        Raises:
            UserError: see `predict`; an agent that predicts numbers, or looks at the vehicle's own status.
        """
        self.check_size(pictures.shape[2])
        if self.config.target != "class" or self.config.ego:
            raise UserError("the agent predicts numbers or looks at the vehicle's own status; take one of pictures and "
                            "classes alone")  # fmt: skip
        return self.network(prepare_pixels(self.network, pictures, self.config.image_px))

    def predict(self, pixels: NDArray[np.uint8], status: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of pictures ``[n, s, s, 3]``.

        Args:
            pixels: the pictures.
            status: the vehicle's own status at each, as `status_rows` gives it, for agents with ``ego``.

        Raises:
            UserError: pictures of another size than in training, and no ``image_px`` to resize them to; no status for
                an agent that looks at it.
        """
        return self.reading.chances(self._outputs(pixels, status))

    def values(self, pixels: NDArray[np.uint8], status: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Predicted numbers ``[n, d]`` of an agent with another target than the class; as `predict`."""
        return self.reading.values(self._outputs(pixels, status))

    @torch.no_grad()
    def _outputs(self, pixels: NDArray[np.uint8], status: NDArray[np.float32] | None) -> Tensor:
        self.check_size(pixels.shape[1])
        if self.config.ego and status is None:
            raise UserError("the agent looks at the vehicle's own status besides the picture; give both")
        device, found = self.network.head.weight.device, []
        own = torch.from_numpy(status).to(device) if self.config.ego and status is not None else None
        for rows, ready in self._ready(pixels):
            found.append(self.network.in_parts(ready, None if own is None else own[rows]))
        return torch.cat(found) if found else torch.empty(0, self.network.head.out_features)

    def _ready(self, pixels: NDArray[np.uint8]) -> Iterator[tuple[slice, Tensor]]:
        """Some of the pictures ``[n, s, s, 3]`` at a time, as the part of the network that trains takes them."""
        device = self.network.head.weight.device
        for start in track(range(0, len(pixels), _PREDICT_BATCH), "batches of pictures"):
            rows = slice(start, start + _PREDICT_BATCH)
            part = torch.from_numpy(np.ascontiguousarray(pixels[rows])).to(device)
            yield rows, self.network.trunk(prepare_pixels(self.network, part, self.config.image_px))

    def predict_set(self, images: ImageSet) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of a whole set; the frozen stages' output is computed once per cache."""
        self.check_size(images.size_px)
        if images.digest in self.known:
            return self.known[images.digest]
        return probabilities(self.network, self._inputs(images), self.reading)

    def values_set(self, images: ImageSet) -> NDArray[np.float32]:
        """Predicted numbers ``[n, d]`` of a whole set, of an agent with another target than the class."""
        self.check_size(images.size_px)
        return self.reading.values(outputs(self.network, self._inputs(images)))

    def _inputs(self, images: ImageSet) -> Inputs:
        return Inputs(images, self.network, self.config.image_px, self.cache)

    @torch.no_grad()
    def features(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Input of the last layer for the named images, ``[len(rows), d]``."""
        self.check_size(images.size_px)
        inputs = self._inputs(images)
        parts = np.array_split(rows, max(1, -(-len(rows) // _PREDICT_BATCH)))
        return np.concatenate([self.network.features(inputs.batch(part)).cpu().numpy() for part in parts])

    @torch.no_grad()
    def pixel_features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `features`, of at least one picture that need not be in a set ``[n, s, s, 3]``, ``[n, d]``."""
        self.check_size(pixels.shape[1])
        return np.concatenate([self.network.features(ready).cpu().numpy() for _, ready in self._ready(pixels)])

    def check_size(self, size_px: int) -> None:
        """Refuses pictures of another side than it was trained on, unless it scales them.

        Raises:
            UserError: names both sizes.
        """
        if self.config.image_px is None and size_px != self.size_px:
            raise UserError(
                f"the agent was trained on {self.size_px} px pictures, but these have {size_px} px; "
                f"prepare both alike or set image_px"
            )

    def save(self, folder: Path) -> Path:
        """Writes ``agent.json``, ``network.safetensors`` and, if there is one, the folder ``chosen``, atomically."""
        record = {
            "format": FORMAT,
            "config": {name: value for name, value in plain(self.config).items() if name != "type"},
            "class_names": self.class_names,
            "size_px": self.size_px,
            "about": self.about,
            "made_from": self.network.made_from,
        }
        with atomic_path(folder) as path:
            path.mkdir()
            save_file({name: value.contiguous() for name, value in self.network.state_dict().items()}, path / WEIGHTS)
            write_json(path / "agent.json", record | {"network": digest_file(path / WEIGHTS)})
            if self.chosen is not None:
                self.chosen.save(path / "chosen")
        return folder


def probabilities(network: StagedNetwork, inputs: Inputs, reading: Reading) -> NDArray[np.float32]:
    """Probabilities ``[n, k]`` of all rows of some inputs."""
    return reading.chances(outputs(network, inputs))


@torch.no_grad()
def outputs(network: StagedNetwork, inputs: Inputs) -> Tensor:
    """Outputs of all rows of some inputs, on the CPU."""
    found = torch.empty(len(inputs), network.head.out_features)
    for start in track(range(0, len(inputs), _PREDICT_BATCH), "batches of pictures"):
        indices = np.arange(start, min(start + _PREDICT_BATCH, len(inputs)))
        found[start : start + len(indices)] = network.in_parts(inputs.batch(indices), inputs.status(indices)).cpu()
    return found


def open_agent(folder: Path, *, cache: FeatureCache | None = None) -> Agent:
    """Opens an agent that `Agent.save` wrote.

    A network named by dotted path is imported if that is trusted (see `roadstill.names`); nothing else in the folder
    is run, and nothing is downloaded.

    Raises:
        UserError: missing, foreign or damaged files, or sizes that are not those of the tensors.
    """
    cache = cache or FeatureCache()
    agent = _open(folder, cache)
    if (folder / "chosen").is_dir():
        agent.chosen = _open(folder / "chosen", cache)
    return agent


def _open(folder: Path, cache: FeatureCache) -> Agent:
    where, path = folder / "agent.json", folder / WEIGHTS
    record = read_record(where, _AgentRecord, _REMEDY, format=FORMAT)
    with located(where):  # a dotted path that is not trusted
        config = recorded_config(record.config, "config", _REMEDY)
    with beside(lambda: require_digest(path, record.network, _REMEDY)) as checked:
        try:
            network = _network_of(path, where, config, record)
        finally:
            checked()  # a damaged file is said to be one, whatever else is wrong with it
    network.pretrained, network.origin = True, str(record.about.get("initial_weights"))
    network.freeze(len(network.stages) if config.head_only else config.freeze)
    normalise(network, config.normalise)
    return Agent(config, network.eval(), record.class_names, record.size_px, record.about, cache=cache)


def _network_of(path: Path, where: Path, config: AgentConfig, record: _AgentRecord) -> StagedNetwork:
    """The network of an agent's folder with its weights."""
    file, classes = open_tensors(path, "the weights of an agent"), len(record.class_names)
    head = file.shapes.get("head.weight", ())
    more = STATUS_WIDTH if config.ego else 0
    reading = Reading.of(config.target, record.about.get("edges_mps2", ()))
    width = reading.width(classes)
    if len(head) != 2 or head[0] != width or head[1] < more:
        raise UserError(f"{path} has no linear layer for {classes} classes; {_REMEDY}")
    if reading.quantity is not None and len(reading.edges_mps2) != classes - 1:
        raise UserError(f"{where} does not tell where its {classes} classes end; {_REMEDY}")
    size_px, made_from = config.image_px or record.size_px, record.made_from or {}  # never None: that would download
    whitened = config.normalise == "whitened"
    with located(where):
        check_sizes(config.network, width, size_px, made_from, file.shapes, path, ego=config.ego,
                    whitened=whitened)  # fmt: skip
        network = make_network(
            config.network, width, size_px=size_px, trained=False, made_from=made_from, features=head[1] - more
        )
        if config.ego:
            network.with_status(WIDTH)
    if whitened:
        network.whiten(torch.zeros(3 * size_px**2), torch.zeros(3 * size_px**2, 3 * size_px**2))
    require_shapes(file.shapes, shapes_of(network.state_dict()), path, _REMEDY)
    network.load_state_dict(file.tensors())
    return network
