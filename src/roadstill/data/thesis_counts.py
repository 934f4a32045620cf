"""The thesis' own counts beside a user's: differences are shown, nothing is asserted."""

from roadstill.errors import UserError
from roadstill.frames.filters import Funnel, FunnelRow

# Thesis 4.2 and table 4.2: after which rules, frames left, not brake, brake (None: not stated). Whether the command
# rule came before the two others is not stated either, so both possibilities are shown beside each number.
THESIS: dict[str, tuple[tuple[str, int, int | None, int | None], ...]] = {
    "navtrain-train": (
        ("all scenes", 85_109, 39_273, 45_836),
        ("|accel| > 1", 18_197, None, None),
        ("|accel| > 1, speed >= 3", 10_714, 2_859, 7_855),
    ),
    "navtrain-val": (
        ("all scenes", 18_179, 9_476, 8_703),
        ("|accel| > 1, speed >= 3", 1_725, 682, 1_043),
    ),
}


def beside_thesis(funnel: Funnel, preset: str) -> str:
    """A table of the thesis' counts and the funnel's, with the command rule before and without it.

    Args:
        funnel: funnel in the default order of rules.
        preset: preset of the index; the thesis counted two.

    Raises:
        UserError: another preset, or other rules than the thesis'.
    """
    if preset not in THESIS:
        raise UserError(f"the thesis counted {' and '.join(THESIS)}; index with one of them as --preset")
    first, other = funnel.rows[funnel.scenes :], funnel.other_rows
    if [row.rule for row in first[1:]] != ["command == straight", "|accel_mps2| > 1", "speed_mps >= 3"]:
        raise UserError("the thesis counted with the default filter in its default order; leave out --filter")
    here = {
        "all scenes": [(first[0], "")],
        "|accel| > 1": [(first[2], ", straight only"), (other[0], ", all commands")],
        "|accel| > 1, speed >= 3": [(first[3], ", straight only"), (other[1], ", all commands")],
    }
    lines = [f"{'beside the thesis, ' + preset:<56} {'here':>10} {'thesis':>10} {'difference':>11}"]
    for stage, *counts in THESIS[preset]:
        for row, which in here[stage]:
            lines += _lines(stage + which, row, counts)
    return "\n".join(lines)


def _lines(stage: str, row: FunnelRow, counts: list[int | None]) -> list[str]:
    ours = (row.left, row.classes["not_brake"], row.classes["brake"])
    pairs = zip(("", ": not brake", ": brake"), ours, counts, strict=True)
    return [
        f"{stage + part:<56} {here:>10,} {theirs:>10,} {here - theirs:>+11,}"
        for part, here, theirs in pairs
        if theirs is not None
    ]
