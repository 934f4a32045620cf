"""Dataclasses of settings: read from records, and within the ranges that belong to their names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from roadstill.errors import UserError, one_line
from roadstill.runs.records import typed
from roadstill.runs.settings import regrouped

T = TypeVar("T")


def config_of(kind: type[T], value: Any, where: str, remedy: str) -> T:
    """A dataclass of settings from a record, an older one's flat settings put into their groups.

    Args:
        kind: dataclass, which checks its ranges itself.
        value: settings by name, as `plain` tells them.
        where: file and field that hold them.
        remedy: way out, as "train the agent again".

    Raises:
        UserError: a setting that is unknown, of another type or out of range; the line names it.
    """
    try:
        given = regrouped(kind, typed(value, dict[str, Any], where, remedy))
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}; {remedy}") from None
    given.pop("type", None)
    if unknown := sorted(set(given) - {each.name for each in fields(kind)}):  # type: ignore[arg-type]
        raise UserError(
            f"{where} has the setting {one_line(unknown[0][:100])}, which this version does not know; {remedy}"
        )
    return typed(given, kind, where, remedy)


_MOST = 1e30  # single precision ends at 3e38; optimisers fail on numbers beyond it in ways of their own


@dataclass(frozen=True)
class Range:
    """Numbers that a setting may be.

    Attributes:
        low: smallest.
        high: largest.
        above: whether the smallest itself is left out.
        below: whether the largest itself is left out.
        whole: whether they are whole numbers.
    """

    low: float = -_MOST
    high: float = _MOST
    above: bool = False
    below: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range; NaN and infinity lie in none."""
        if self.whole and isinstance(value, float):
            return False
        return (self.low < value or (value == self.low and not self.above)) and (
            value < self.high or (value == self.high and not self.below)
        )

    def __str__(self) -> str:
        low, high = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (self.low, self.high))
        ends = f"{'above' if self.above else 'at least'} {low} and {'below' if self.below else 'at most'} {high}"
        return f"a whole number, {ends}" if self.whole else ends


POSITIVE, NOT_NEGATIVE, SHARE = Range(0, above=True), Range(0), Range(0, 1)
COUNT, COUNT_OR_NONE = Range(1, 1_000_000_000, whole=True), Range(0, 1_000_000_000, whole=True)
# What is held in memory at once: a batch, a memory, a width. More would end in a failed allocation.
SIZE, SIZE_OR_NONE = Range(1, 1_000_000, whole=True), Range(0, 1_000_000, whole=True)

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("steps", "epochs", "save_every", "log_every", "real_images", "history_frames"), COUNT),
    **dict.fromkeys(("warmup_steps", "held_out", "t_max", "rows", "future_frames"), COUNT_OR_NONE),
    **dict.fromkeys(
        (
            "batch_size", "gradient_accumulation", "memory_size", "heads", "real_batch", "rank", "latent_channels",
            "width", "patch", "patch_size", "encoder_blocks", "decoder_blocks", "hidden_size", "depth", "num_heads",
            "channels", "channel_mult", "num_blocks", "block_out_channels", "layers_per_block", "norm_num_groups",
            "groups", "increments", "crops", "pool", "factor",
        ),
        SIZE,
    ),
    **dict.fromkeys(("freeze", "guided_channels", "augment_dim", "attention"), SIZE_OR_NONE),
    **dict.fromkeys(("max_per_class", "per_class", "budgets", "dev_images", "frames", "rounds", "shown"), COUNT),
    **dict.fromkeys(("seeds", "sets", "candidates"), Range(1, 10_000, whole=True)),
    **dict.fromkeys(("image_px", "size_px", "crop_px"), Range(8, 4096, whole=True)),
    "label_rows": COUNT_OR_NONE,
    "shares": SHARE,
    "false_alarms": Range(0, 1, above=True, below=True),
    "looks": Range(1, 100_000, whole=True),  # the last step is one of them
    "drives": Range(1, 100_000, whole=True),
    "height_px": Range(16, 2160, whole=True),
    "shard_mb": Range(1, 100_000, whole=True),
    "workers": Range(1, 1024, whole=True),
    "split_seed": Range(0, 2**62, whole=True),
    **dict.fromkeys(("temperature", "clip", "min_snr", "alpha", "head_scale", "ridge"), POSITIVE),
    **dict.fromkeys(
        (
            "learning_rate", "weight_decay", "squared", "edge", "perceptual", "red", "lamps", "detail", "noise",
            "shrink", "posterior_std", "representativeness", "diversity", "gradients", "regression", "closeness",
            "guidance", "churn", "churn_sigma", "churn_noise", "min_abs_accel_mps2", "min_speed_mps",
        ),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        (
            "dropout", "dropout_all", "coarse_share", "augment", "cutmix_probability", "interval", "guidance_interval",
            "eta",
        ),
        SHARE,
    ),
    "threshold": Range(-1, 1),
    "decay": SHARE,
    "momentum": Range(0, 1, below=True),
    "decay_at": Range(0, 1, above=True, below=True),
    "strength": Range(0, 1, above=True),
    "seed": Range(-(2**63), 2**63 - 1, whole=True),  # of a torch generator
}  # fmt: skip


def check_ranges(config: Any, group: str = "", **own: Range) -> None:
    """Refuses settings out of range, in every dataclass of settings alike.

    Args:
        config: dataclass; its numbers, and those in its tuples, must be finite and in the range of their name.
        group: name under which it is given, with a dot, for messages.
        own: ranges of names that mean something else here.

    Raises:
        UserError: names the setting, its value and the range.
    """
    check_values({each.name: getattr(config, each.name) for each in fields(config)}, group, **own)


def require_mappings(value: Any, hint: Any, where: str) -> None:
    """Refuses anything else where settings by their names are due, within such settings, too.

    Args:
        value: what a file holds; texts are let through, as they may name a file or settings known by a name.
        hint: type of the setting.
        where: file and field, for the message.

    Raises:
        UserError: names the place.
    """
    kinds = [each for each in get_args(hint) if each != NoneType] if get_origin(hint) in (Union, UnionType) else [hint]
    groups = [kind for kind in kinds if is_dataclass(kind) or get_origin(kind) is dict]
    if isinstance(value, Mapping):
        for kind in groups:
            hints = dict.fromkeys(value, get_args(kind)[1]) if get_origin(kind) is dict else _hints_of(kind)
            for name, part in value.items():
                require_mappings(part, hints.get(name), f"{where}.{name}")
    elif groups == kinds and not isinstance(value, (str, NoneType)):
        names = [each.name for kind in groups if is_dataclass(kind) for each in fields(kind)]
        known = f": {', '.join(names)}" if names else ""
        raise UserError(f"{where} is {one_line(str(value)[:80])}; it holds settings by name{known}")


def _hints_of(kind: Any) -> dict[str, Any]:
    """Types of a dataclass's fields but for groups, which `regrouped` checks: some stood flat under the same name."""
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind) if "flat" not in each.metadata}


def check_values(values: Mapping[str, Any], group: str = "", **own: Range) -> None:
    """The same for settings by their names."""
    for name, value in values.items():
        allowed = own.get(name) or RANGES.get(name, Range())
        if not all(allowed.holds(number) for number in _numbers(value)):
            shown = list(value) if isinstance(value, tuple) else value
            raise UserError(f"{group}{name} is {str(shown)[:100]}; it must be {allowed}")


def _numbers(value: Any) -> Iterator[float]:
    for one in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(one, (int, float)) and not isinstance(one, bool):
            yield one
