"""An audit in words: the lines that the verb prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roadstill.errors import one_line
from roadstill.evaluation.audit.blurring import told
from roadstill.evaluation.audit.copies import Checked, Copies, Suspect
from roadstill.evaluation.audit.membership import Attack
from roadstill.evaluation.audit.parts import NEAR_M, SOON_S, Meeting
from roadstill.evaluation.audit.samples import AGAINST, HELD_OUT, Real


def copy_lines(copies: Copies, shown: int) -> Iterator[str]:
    """Which pictures are flagged, what that means, and what became of real frames.

    Args:
        copies: the audit.
        shown: number of pictures to list; more if more are flagged.
    """
    level, total = copies.false_alarms, len(copies.pictures)
    yield (
        f"Copies: {copies.flagged:,} of {total:,} pictures flagged; of real frames of other {copies.by}s "
        f"{level * total:.3g} would be expected at most (false alarms {_percent(level)})."
    )
    listed = copies.pictures[: max(shown, copies.flagged)]
    yield from _table([("picture", "chance", "", "view", "ratio", "nearest frame"), *map(_row, listed)])
    for name, checked in copies.checked.items():
        yield checked_line(f"Real frames of {name}, without their own {copies.by}", checked, copies.by, level)
    yield (
        "A ratio is the distance to the nearest frame as a share of that to the next drives. What is not flagged may "
        "still be a copy of a part of a frame, or one changed more than a view can undo."
    )


def _row(suspect: Suspect) -> tuple[str, ...]:
    near = suspect.near[suspect.view]
    flag = "flagged" if suspect.flagged else ""
    return suspect.file, f"{suspect.chance:.3g}", flag, suspect.view, f"{near.ratio:.3f}", near.file


def between_lines(found: Checked | None, beside: Real | None, false_alarms: float) -> Iterator[str]:
    """Near-duplicates of held-out frames in the test part.

    Args:
        found: what became of its frames; None if there were too few drives to tell.
        beside: the held-out part; None if it was not compared.
        false_alarms: share that may be flagged.
    """
    if beside is None:
        return
    what = f"Real frames of test, beside those of {HELD_OUT}"
    if found is None:
        yield f"{what}: not compared; its {beside.num_groups:,} {beside.by}s are too few for {_percent(false_alarms)}."
    else:
        yield checked_line(what, found, beside.by, false_alarms)


def checked_line(what: str, checked: Checked, by: str, false_alarms: float) -> str:
    """What share of real frames is flagged, and which of them first.

    Args:
        what: what the frames are.
        checked: what became of them.
        by: what counts once, see `Real`.
        false_alarms: share that may be flagged.
    """
    (low, high), first = checked.interval, checked.first[0]
    near = first.near[first.view]
    line = (
        f"{what}: {_percent(checked.flagged)} flagged ({_percent(low)} to {_percent(high)}) of {checked.frames:,} "
        f"frames of {checked.groups:,} {by}s"
    )
    if checked.left_out:
        line += f"; {checked.left_out:,} further ones are of {by}s of {AGAINST} or equal to some of it"
    if low > false_alarms:
        line += "; that is too many, so that some are near-duplicates"
    return f"{line}; first {first.file} beside {near.file} (ratio {near.ratio:.3f})."


def attack_lines(attacks: Sequence[Attack], by: str) -> Iterator[str]:
    """How well members are told from other frames.

    Args:
        attacks: attacks, if there were frames to compare members with.
        by: what counts once, see `Real`.
    """
    if not attacks:
        yield "Membership: not measured; name frames that were held out with --heldout."
        return
    first = attacks[0]
    share = _percent(first.false_share)
    head = ("attack", f"found at {share}", "95 % interval", "per frame", "AUC", "95 % interval")
    rows = [
        (each.name, _percent(each.found), _ends(each.interval), _ends(each.frame_interval), f"{each.auc:.3f}",
         f"{each.auc_interval[0]:.3f} to {each.auc_interval[1]:.3f}")
        for each in attacks
    ]  # fmt: skip
    yield (
        f"Membership: share of {first.members:,} training frames ({first.member_groups:,} {by}s) that are found where "
        f"{share} of {first.others:,} held-out ones ({first.other_groups:,} {by}s) are taken for them:"
    )
    yield from _table([head, *rows])
    yield (
        f"The interval draws {by}s anew; that per frame takes frames for independent and is too narrow. An attack that "
        "finds nothing proves nothing: stronger ones train models of their own (LiRA)."
    )
    if first.coarse:
        allowed = int(first.others * first.false_share)
        yield (
            f"With {first.others:,} held-out frames, {_percent(first.false_share)} is {allowed} of them: the figure is "
            "coarse."
        )


def meeting_lines(meetings: Sequence[Meeting], problems: Sequence[str]) -> Iterator[str]:
    """What the parts have in common.

    Args:
        meetings: pairs of parts.
        problems: one line for each log without places.
    """
    if not meetings:
        return
    yield f"Parts, by their facts (soon: within {SOON_S:g} s on one drive; near: within {NEAR_M:g} m):"
    head = ("parts", "frames", "logs", "drives", "same frame", "same picture", "soon", "near", "places", "")
    yield from _table([head, *map(_meeting, meetings)])
    if problems:
        yield one_line(f"Places of {len(problems):,} logs are not known; the first: {problems[0]}")


def _meeting(each: Meeting) -> tuple[str, ...]:
    # Names come from strangers' tables: none may begin a line of its own.
    shared = {name: f"{count:,} ({one_line(first[:60])})" for name, (count, first) in each.shared.items()}
    drives = shared.get("drive", f"{each.drives:,}")
    near = _percent((each.near or 0) / each.placed) if each.placed else ""
    places = ", ".join(f"{both} of {known} {name}s" for name, (both, known) in each.names.items())
    return (
        f"{each.first} - {each.second}", f"{each.frames:,}", shared.get("log", "0"), drives, shared.get("frame", "0"),
        shared.get("picture", "0"), f"{each.soon:,}", near, places, "LEAK" if each.leaks else "",
    )  # fmt: skip


def blurring_lines(blurring: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What was done to faces, plates and text."""
    yield from (told(name, found) for name, found in blurring.items())


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines of cells below each other, without columns that are empty throughout."""
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    for row in rows:
        yield "  " + "  ".join(row[column].ljust(widths[column]) for column in used).rstrip()


def _ends(interval: tuple[float, float]) -> str:
    return f"{_percent(interval[0])} to {_percent(interval[1])}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
