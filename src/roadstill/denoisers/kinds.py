"""The kinds of generators, by what their networks predict."""

from collections.abc import Mapping

from torch import nn

from roadstill.denoisers.dit import DiTDenoiser, VDenoiser
from roadstill.denoisers.edm import EDMDenoiser
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.denoisers.sit import SiTDenoiser

KINDS: Mapping[str, type[LabelledDenoiser]] = {
    kind.objective: kind for kind in (DiTDenoiser, VDenoiser, SiTDenoiser, EDMDenoiser)
}


def kinds_of(network: type[nn.Module]) -> list[type[LabelledDenoiser]]:
    """The kinds that networks of this class can learn to be, the usual one first."""
    return [kind for kind in KINDS.values() if issubclass(network, kind.networks)]


def kind_of(network: type[nn.Module], objective: str | None) -> type[LabelledDenoiser]:
    """The kind of this objective if networks of this class can be it, else the usual one."""
    able = kinds_of(network)
    return next((kind for kind in able if kind.objective == objective), able[0])
