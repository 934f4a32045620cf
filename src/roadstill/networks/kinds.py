"""The networks that checkpoints can name, by the ``kind`` in their configuration; a DiT's has none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from roadstill.networks.dit import DiT
from roadstill.networks.songunet import SongUNet
from roadstill.networks.unet2d import UNet2D

Network: TypeAlias = DiT | SongUNet | UNet2D
DIT = "dit"
KINDS: dict[str, type[SongUNet] | type[UNet2D]] = {"songunet": SongUNet, "unet2d": UNet2D}


@dataclass(frozen=True)
class NetworkConfig:
    """A DiT to be trained from scratch; latent size and classes come from the latents."""

    patch_size: int = 2
    hidden_size: int = 192
    depth: int = 7
    num_heads: int = 3
    learn_sigma: bool = True


@dataclass(frozen=True)
class SongUNetConfig:
    """A U-Net of EDM to be trained from scratch; see `SongUNet`."""

    style: str = "ddpmpp"
    channels: int = 64
    channel_mult: tuple[int, ...] = (1, 2, 2)
    num_blocks: int = 2
    attention: tuple[int, ...] = (16,)
    dropout: float = 0.0
    patch: int = 1
    augment_dim: int = 0


@dataclass(frozen=True)
class UNet2DConfig:
    """diffusers' U-Net to be trained from scratch, as EDM's; see `UNet2D`."""

    block_out_channels: tuple[int, ...] = (64, 128, 128)
    layers_per_block: int = 2
    attention: tuple[int, ...] = (16,)
    norm_num_groups: int = 32


_OF_CONFIG = {NetworkConfig: DIT, SongUNetConfig: "songunet", UNet2DConfig: "unet2d"}


def class_of(config: NetworkConfig | SongUNetConfig | UNet2DConfig) -> type[Network]:
    """The class of network that these sizes belong to."""
    return {DIT: DiT, **KINDS}[name_of(config)]


def fresh_network(config: NetworkConfig | SongUNetConfig | UNet2DConfig, **more: Any) -> Network:
    """A network of these sizes with random weights; further keywords are those of the kind."""
    return network_of({"kind": name_of(config)} | asdict(config), **more)


def name_of(config: NetworkConfig | SongUNetConfig | UNet2DConfig) -> str:
    """The kind of network that these sizes belong to, as its configuration names it."""
    return _OF_CONFIG[type(config)]


def network_of(config: Mapping[str, Any], **more: Any) -> Network:
    """A new network from what a ``config`` property returned.

    Raises:
        KeyError: an unknown kind.
        TypeError: unknown keywords, or missing ones.
        UserError: sizes that do not fit.
    """
    known: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in config.items()}
    kind = known.pop("kind", DIT)
    return DiT(**known, **more) if kind == DIT else KINDS[kind](**known, **more)
