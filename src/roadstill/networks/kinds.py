"""The networks that checkpoints can name, by the ``kind`` in their configuration; a DiT's has none."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from roadstill.networks.dit import DiT
from roadstill.networks.songunet import SongUNet
from roadstill.networks.unet2d import UNet2D

Network: TypeAlias = DiT | SongUNet | UNet2D
DIT = "dit"
KINDS: dict[str, type[SongUNet] | type[UNet2D]] = {"songunet": SongUNet, "unet2d": UNet2D}


def kind_of(network: Network) -> str:
    """``dit``, or the kind that the network's configuration names."""
    return str(network.config.get("kind", DIT))


def network_of(config: Mapping[str, Any], **more: Any) -> Network:
    """A new network of what a ``config`` property said.

    Raises:
        KeyError: an unknown kind.
        TypeError: keywords that the kind does not have, or lacks.
        UserError: sizes that do not fit.
    """
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    kind = known.pop("kind", DIT)
    return DiT(**known, **more) if kind == DIT else KINDS[kind](**known, **more)
