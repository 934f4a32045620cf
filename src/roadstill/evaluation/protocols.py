"""What may choose, and what is reported: the four ways of measuring that tables name."""

from dataclasses import dataclass
from typing import Literal

from roadstill.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """How an agent's checkpoint is chosen; the headline is the last step under every protocol.

    Attributes:
        name: in recipes and tables.
        chooses_on: the part on which the best look at an agent in training is chosen.
        column: what a table calls the figure of that look.
        note: one sentence for the report.
    """

    name: str
    chooses_on: Literal["dev", "test"]
    column: str
    note: str


_HONEST = "Last step of a fixed budget; what is chosen is chosen on the dev part, and the test part chose nothing."
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("honest", "dev", "dev-chosen", _HONEST),
        Protocol(
            "thesis-honest",
            "dev",
            "dev-chosen",
            f"{_HONEST} Test is navsim's val_logs, on which the thesis reports; dev is a tenth of the training drives.",
        ),
        Protocol(
            "thesis",
            "test",
            "oracle",
            "As in the thesis: the part that is reported on chooses the step too, so the column oracle is flattered.",
        ),
        Protocol(
            "literature",
            "test",
            "oracle",
            "As in most papers on distillation: the best step on the test part is the column named oracle.",
        ),
    )
}


def protocol_of(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        UserError: there is none.
    """
    if name not in PROTOCOLS:
        raise UserError(f"protocol {name!r} is unknown; choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
