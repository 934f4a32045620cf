"""Protocols: how frames become train, dev and test, what may be chosen on which part, and how tables state it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ProtocolName = Literal["honest", "thesis-honest", "thesis", "literature"]


@dataclass(frozen=True)
class Protocol:
    """What may be chosen on which part; the headline is the last step's figure under every protocol.

    Attributes:
        name: name of the protocol.
        watched: part that chooses a step of each training, for a second column beside the last step's.
        chosen: name of that column.
        plateau: whether the watched part also lowers the learning rate, as the thesis' scheduler does.
        says: description in tables.
        dev_share: share of dev in the frames that are not test; None leaves dev as large as the index makes it.
    """

    name: ProtocolName
    watched: Literal["dev", "test"]
    chosen: str
    plateau: bool
    says: str
    dev_share: float | None

    def shares(self, shares: Sequence[float]) -> dict[str, float]:
        """Shares of the parts under this protocol, from those of train, dev and test; 0 leaves a part out."""
        train, dev, test = shares
        parts = {"train": train, "dev": dev, "test": test}
        if self.dev_share is not None:
            rest = train + dev
            parts |= {"train": rest * (1 - self.dev_share), "dev": rest * self.dev_share}
        return {name: share for name, share in parts.items() if share > 0}


_DEV, _ORACLE = "dev-chosen step", "best step on test (oracle)"
_PROTOCOLS = (
    Protocol("honest", "dev", _DEV, False, "everything is chosen on dev; test is opened once, for the last step", None),
    Protocol(
        "thesis-honest",
        "dev",
        _DEV,
        False,
        "the thesis' validation frames are the test part; a tenth of the other drives is dev and chooses everything",
        0.1,
    ),
    Protocol(
        "thesis",
        "test",
        _ORACLE,
        True,
        "as in the thesis: selection sees the test, which is also what lowers the learning rate",
        0.0,
    ),
    Protocol(
        "literature",
        "test",
        _ORACLE,
        False,
        "as in the dataset-distillation literature: no dev part; the best step on test stands in a column of its own",
        0.0,
    ),
)
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _PROTOCOLS})
