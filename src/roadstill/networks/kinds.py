"""The networks that checkpoints can name, by the ``kind`` in their configuration; a DiT's has none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeAlias

import msgspec

from roadstill.errors import UserError, one_line
from roadstill.networks.dit import MOST_TOKENS, DiT
from roadstill.networks.songunet import SongUNet
from roadstill.networks.unet2d import UNet2D
from roadstill.runs import Record, check_ranges, typed
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import Shapes

Network: TypeAlias = DiT | SongUNet | UNet2D
DIT = "dit"
KINDS: dict[str, type[SongUNet] | type[UNet2D]] = {"songunet": SongUNet, "unet2d": UNet2D}


_Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Place = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Levels = Annotated[tuple[_Size, ...], msgspec.Meta(min_length=1, max_length=16)]
_Sides = Annotated[tuple[_Place, ...], msgspec.Meta(max_length=64)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _DiTSizes(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `DiT.config` returned, as a file holds it."""

    input_size: _Side
    patch_size: _Size
    in_channels: _Size
    hidden_size: _Size
    depth: _Size
    num_heads: _Size
    num_classes: _Size
    learn_sigma: bool = True
    gammas: _Place | None = None
    gamma_sites: str = "reference"
    attributes: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0

    def __post_init__(self) -> None:
        if (self.input_size // self.patch_size) ** 2 > MOST_TOKENS:
            raise ValueError(f"input_size {self.input_size} in patches of {self.patch_size} has too many tokens")


class _SongUNetSizes(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `SongUNet.config` returned, as a file holds it."""

    input_size: _Side
    in_channels: _Size
    num_classes: _Size
    style: str
    channels: _Size
    channel_mult: _Levels
    num_blocks: _Size
    attention: _Sides
    dropout: _Share
    patch: _Size
    augment_dim: _Place


class _UNet2DSizes(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `UNet2D.config` returned, as a file holds it."""

    input_size: _Side
    in_channels: _Size
    num_classes: _Size
    block_out_channels: _Levels
    layers_per_block: _Size
    attention: _Sides
    norm_num_groups: _Size


_SIZES: dict[str, type[Record]] = {DIT: _DiTSizes, "songunet": _SongUNetSizes, "unet2d": _UNet2DSizes}


@dataclass(frozen=True)
class NetworkConfig:
    """A DiT to be trained from scratch; latent size and classes come from the latents."""

    patch_size: int = 2
    hidden_size: int = 192
    depth: int = 7
    num_heads: int = 3
    learn_sigma: bool = True

    def __post_init__(self) -> None:
        check_ranges(self)


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

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class UNet2DConfig:
    """diffusers' U-Net to be trained from scratch, as EDM's; see `UNet2D`."""

    block_out_channels: tuple[int, ...] = (64, 128, 128)
    layers_per_block: int = 2
    attention: tuple[int, ...] = (16,)
    norm_num_groups: int = 32

    def __post_init__(self) -> None:
        check_ranges(self)


_OF_CONFIG = {NetworkConfig: DIT, SongUNetConfig: "songunet", UNet2DConfig: "unet2d"}


def class_of(config: NetworkConfig | SongUNetConfig | UNet2DConfig) -> type[Network]:
    """The class of network that these sizes belong to."""
    return {DIT: DiT, **KINDS}[name_of(config)]


def fresh_network(config: NetworkConfig | SongUNetConfig | UNet2DConfig, **more: Any) -> Network:
    """A network of these sizes with random weights; further keywords are those of the kind.

    Raises:
        UserError: sizes that do not fit, or of more parameters than any known network.
    """
    sizes = {"kind": name_of(config)} | asdict(config) | more
    outline(sizes, "network")
    return network_of(sizes)


def name_of(config: NetworkConfig | SongUNetConfig | UNet2DConfig) -> str:
    """The kind of network that these sizes belong to, as its configuration names it."""
    return _OF_CONFIG[type(config)]


def network_of(config: Mapping[str, Any], **more: Any) -> Network:
    """A new network from what its ``config`` property returned, or `sizes_of` read.

    Raises:
        UserError: sizes that do not fit.
    """
    known: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in config.items()}
    kind = known.pop("kind", DIT)
    return DiT(**known, **more) if kind == DIT else KINDS[kind](**known, **more)


def sizes_of(value: Any, where: str, remedy: str) -> dict[str, Any]:
    """The keywords of a network that stand in somebody's file.

    Args:
        value: what stands there.
        where: file and field.
        remedy: way out, as "fetch it again".

    Raises:
        UserError: an unknown kind, keywords that are unknown or missing, of another type or out of range.
    """
    given = typed(value, dict[str, Any], where, remedy)
    kind = given.pop("kind", DIT)
    if not isinstance(kind, str) or kind not in _SIZES:
        raise UserError(f"{where}, kind: {str(kind)[:100]!r} is no kind of network; known are {', '.join(_SIZES)}")
    return {"kind": kind} | msgspec.structs.asdict(typed(given, _SIZES[kind], where, remedy))


def outline(sizes: Mapping[str, Any], where: str, held: Shapes | None = None) -> Network:
    """The network of these sizes without its weights, for a look at names and shapes.

    Args:
        sizes: keywords, see `sizes_of`.
        where: file that names them.
        held: shapes of the tensors that it will get; limits its size.

    Raises:
        UserError: sizes that do not fit, or beyond what is held.
    """
    try:
        with without_weights(where, held):
            return network_of(sizes)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AssertionError) as error:
        said = one_line(" ".join(str(error).split())[:200])
        raise UserError(f"{where}: no network has such sizes ({said}); make or fetch the file again") from None
