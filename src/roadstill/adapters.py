"""Adapters: which parameters of a network learn, and which are added (thesis 3.2: DiffFit, LoRA, both)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from warnings import catch_warnings, filterwarnings

import torch
from torch import Tensor, nn

from roadstill.errors import UserError, one_line
from roadstill.learning.loops import generator_of
from roadstill.networks.conditions import LabelEmbed
from roadstill.networks.dit import DiT
from roadstill.networks.kinds import Network, network_of
from roadstill.runs import check_ranges

_LORA = "default"
_MOST_ADAPTERS, _MOST_TARGETS = 16, 64


@runtime_checkable
class Adapter(Protocol):
    """Makes some parameters of a network trainable, or adds some."""

    def apply(self, network: nn.Module) -> list[str]:
        """Changes the network in place and returns the names that it made trainable."""
        ...


@dataclass(frozen=True)
class Full:
    """Every parameter learns except the fixed position table, and attributes that no setting names."""

    def apply(self, network: nn.Module) -> list[str]:
        """Makes all parameters but ``pos_embed`` and the table of attributes trainable."""
        return _train(network, lambda name: name.rpartition(".")[2] != "pos_embed" and "a_embedder" not in name)


@dataclass(frozen=True)
class BitFit:
    """Biases and the label table learn (Ben Zaken et al. 2022; Xie et al. 2023 compare with it)."""

    def apply(self, network: nn.Module) -> list[str]:
        """Makes biases and label rows trainable."""
        return _train(network, lambda name: name.endswith("bias") or "y_embed" in name)


@dataclass(frozen=True)
class DiffFit:
    """Biases, norms, the label table and added scale vectors learn (Xie et al. 2023, as in Gu et al. 2024).

    Attributes:
        gamma_blocks: which blocks get scales: the first 14 (``reference``, of 28 there), ``first_half`` or ``all``.
        gamma_sites: ``reference`` (query-key-value, projection and both branches) or ``residual_only`` (the branches).
    """

    gamma_blocks: str = "reference"
    gamma_sites: str = "reference"

    def apply(self, network: nn.Module) -> list[str]:
        """Adds the scales to a DiT that has none yet, and selects by name as the reference does."""
        if self.gamma_blocks not in ("reference", "first_half", "all"):
            raise UserError(f"gamma_blocks is {self.gamma_blocks!r}; choose reference, first_half or all")
        if isinstance(network, DiT) and not network.gammas:
            most = {"reference": 14, "first_half": max(network.depth // 2, 1), "all": network.depth}
            network.add_gammas(min(most[self.gamma_blocks], network.depth), self.gamma_sites)
        return _train(network, lambda name: any(part in name for part in ("bias", "norm", "gamma", "y_embed")))


@dataclass(frozen=True)
class LoRA:
    """Low-rank updates of the attention's linear layers: W + (alpha / rank) B A (Hu et al. 2022).

    Attributes:
        rank: inner width.
        alpha: strength; the thesis sets it to the rank. ``None`` means the rank.
        targets: linear layers to wrap, by the end of their name.
        train_label_table: whether the label table learns, too.
        seed: seed of the initial A (normal with deviation 1 / rank); B starts at zero.
    """

    rank: int = 8
    alpha: float | None = None
    targets: tuple[str, ...] = ("attn.qkv", "attn.proj")
    train_label_table: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if not 0 < len(self.targets) <= _MOST_TARGETS or not all(self.targets):
            raise UserError(
                f"targets holds {len(self.targets):,} names of layers; give 1 to {_MOST_TARGETS}, none empty"
            )

    def apply(self, network: nn.Module) -> list[str]:
        """Wraps the target layers; what was trainable before stays so."""
        from peft import LoraConfig, inject_adapter_in_model

        if not any(name.endswith(tuple(self.targets)) for name, _ in network.named_modules()):
            where = one_line(" or ".join(self.targets)[:200])
            raise UserError(f"LoRA found no layer that ends in {where} in {type(network).__name__}")
        trainable = {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.rank if self.alpha is None else self.alpha,
            target_modules=list(self.targets),
            lora_dropout=0.0,
            bias="none",
            init_lora_weights="gaussian",
        )
        training = network.training
        try:
            with catch_warnings():  # of a second adapter in the same network, which is what is asked for
                filterwarnings("ignore", "Already found a `peft_config` attribute")
                inject_adapter_in_model(config, network, adapter_name=_LORA)
        except (
            TypeError,
            ValueError,
        ) as error:  # a layer that does more than multiply, such as one that also resamples
            where, said = (one_line(" ".join(text.split())[:300]) for text in (" or ".join(self.targets), str(error)))
            raise UserError(f"LoRA cannot wrap all layers that end in {where} ({said}); name others") from None
        network.train(training)
        for parameter in network.parameters():  # the injection freezes everything else
            parameter.requires_grad |= id(parameter) in trainable
        generator = torch.Generator().manual_seed(self.seed)
        for name, parameter in network.named_parameters():
            if ".lora_A." in name and not parameter.is_meta:  # peft draws from the global generator
                start = torch.empty(parameter.shape).normal_(std=1 / self.rank, generator=generator)
                parameter.data.copy_(start)
        return _train(network, lambda name: ".lora_" in name or (self.train_label_table and "y_embed" in name))


def apply_adapters(network: nn.Module, adapters: Iterable[Adapter]) -> list[str]:
    """Freezes the network, applies the adapters, and returns all trainable names in the network's order.

    Raises:
        UserError: no adapter, more than 16, or one that the network has no layers for.
    """
    adapters = list(adapters)
    if len(adapters) > _MOST_ADAPTERS:
        raise UserError(f"{len(adapters):,} adapters are given; compose at most {_MOST_ADAPTERS}")
    if not adapters:
        raise UserError("no adapter is given, so nothing would be trained; choose Full, BitFit, DiffFit or LoRA")
    network.requires_grad_(False)
    for adapter in adapters:
        adapter.apply(network)
    return trainable_names(network)


@torch.no_grad()
def renew_labels(network: nn.Module, num_classes: int, *, like: Sequence[int] | None = None, seed: int = 0) -> None:
    """Replaces the label table by a trainable one: the mean of the old rows plus a little seeded noise.

    The row for "no label" is kept. The noise (a tenth of the old rows' spread) tells the classes apart from the first
    step on.

    Args:
        network: DiT, changed in place.
        num_classes: number of new rows.
        like: old rows whose mean the new ones start from; None takes all.
        seed: seed of the noise.

    Raises:
        UserError: a network without a label table, or rows that it does not have.
    """
    if not isinstance(network, DiT):
        raise UserError(f"a {type(network).__name__} has no label table to renew; leave labels.init as it is")
    old = network.y_embedder.embedding_table.weight
    if like is not None and not all(0 <= row < len(old) - 1 for row in like):
        raise UserError(f"labels.rows {list(like)} reach beyond the base's {len(old) - 1} rows; choose among those")
    rows = old[:-1] if like is None else old[list(like)]
    table = LabelEmbed(num_classes, network.hidden_size)
    if not old.is_meta:
        spread = rows.std() if rows.numel() > 1 else rows.new_ones(())
        noise = torch.randn((num_classes, old.shape[1]), generator=generator_of("label rows", seed))
        table.embedding_table.weight[:-1] = rows.mean(0) + 0.1 * spread * noise
        table.embedding_table.weight[-1] = old[-1]
    network.y_embedder, network.num_classes = table, num_classes


def trainable_names(network: nn.Module) -> list[str]:
    """Names of the parameters that learn, in the network's order."""
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


def trained_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all trainable tensors by name: everything that a checkpoint must hold besides its base."""
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


@torch.no_grad()
def load_trained(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies stored tensors into the trainable parameters, strictly.

    Raises:
        UserError: a trainable parameter is missing, a stored one is unexpected, or a shape differs; all are named.
    """
    own = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    faults = [f"missing {name}" for name in own if name not in state]
    faults += [f"unexpected {name}" for name in state if name not in own]
    faults += [
        f"{name} is {list(state[name].shape)} instead of {list(parameter.shape)}"
        for name, parameter in own.items()
        if name in state and state[name].shape != parameter.shape
    ]
    if faults:
        raise UserError(f"the checkpoint does not fit the network and its adapters: {', '.join(faults)}")
    for name, parameter in own.items():
        parameter.copy_(state[name])


@dataclass(frozen=True)
class Ledger:
    """Parameter counts of a network; ``by_kind`` counts the trainable ones as (tensors, parameters)."""

    total: int
    trainable: int
    by_kind: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Trainable share of the total, 0 to 1."""
        return self.trainable / self.total if self.total else 0.0


def parameter_ledger(network: nn.Module) -> Ledger:
    """Counts parameters, the trainable ones by kind; needs no weights: a network on the meta device is enough."""
    kinds: dict[str, tuple[int, int]] = {}
    total = 0
    for name, parameter in network.named_parameters():
        total += parameter.numel()
        if parameter.requires_grad:
            tensors, count = kinds.get(_kind(name), (0, 0))
            kinds[_kind(name)] = (tensors + 1, count + parameter.numel())
    return Ledger(total, sum(count for _, count in kinds.values()), kinds)


_KINDS = (  # first match wins
    (".lora_", "", "lora"),
    ("gamma", "", "gamma"),
    ("y_embedder", "", "label_table"),
    ("a_embedder", "", "attribute_table"),
    ("x_embedder", "bias", "bias_patch_embedding"),
    ("t_embedder", "bias", "bias_timestep_mlp"),
    ("final_layer", "bias", "bias_final_layer"),
    ("attn.qkv", "bias", "bias_block_qkv"),
    ("attn.proj", "bias", "bias_block_attention_proj"),
    ("mlp.fc1", "bias", "bias_block_mlp_fc1"),
    ("mlp.fc2", "bias", "bias_block_mlp_fc2"),
    ("adaLN", "bias", "bias_block_adaln"),
    ("", "bias", "bias"),
    ("", "", "weight"),
)


def _kind(name: str) -> str:
    return next(kind for part, end, kind in _KINDS if part in name and name.endswith(end))


@torch.no_grad()
def merge(network: Network) -> Network:
    """A plain network with the same outputs: LoRA folded into its weights, then a DiT's gammas into what they scale."""
    state = {name: tensor.clone() for name, tensor in _without_lora(network).items()}
    for i in range(network.depth if isinstance(network, DiT) else 0):
        block = f"blocks.{i}"
        for gamma, layer in (
            ("attn.gamma1", "attn.qkv"),
            ("attn.gamma2", "attn.proj"),
            ("gamma1", "attn.proj"),
            ("gamma2", "mlp.fc2"),
        ):
            scale = state.pop(f"{block}.{gamma}", None)
            if scale is not None:
                state[f"{block}.{layer}.weight"] *= scale[:, None]
                state[f"{block}.{layer}.bias"] *= scale
    with torch.device("meta"):
        plain = network_of(network.config | ({"gammas": None} if isinstance(network, DiT) else {}))
    plain.load_state_dict(state, strict=True, assign=True)
    if isinstance(plain, DiT):
        plain.pos_embed.requires_grad_(False)
    return plain.train(network.training)


def _without_lora(network: Network) -> dict[str, Tensor]:
    """The state dict in the plain key layout, LoRA's products added to the weights they wrap."""
    state: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        if ".lora_" not in name:
            state[name.replace(".base_layer.", ".")] = tensor
    for name, module in network.named_modules():
        if hasattr(module, "base_layer") and hasattr(module, "lora_A"):
            for key in module.lora_A:
                # This covers convolutions, too: the first factor has the kernel, the second one is 1 x 1.
                product = module.lora_B[key].weight.flatten(1) @ module.lora_A[key].weight.flatten(1)
                weight = state[f"{name}.weight"]
                state[f"{name}.weight"] = weight + module.scaling[key] * product.view_as(weight)
    return state


def _train(network: nn.Module, chosen) -> list[str]:  # type: ignore[no-untyped-def]
    names = []
    for name, parameter in network.named_parameters():
        if chosen(name):
            parameter.requires_grad_(True)
            names.append(name)
    return names
