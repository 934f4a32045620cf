"""Types of the records that the report reads from a run folder, which a stranger may have made."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from roadstill.runs import Count, Record

REMEDY = "run the recipe again"
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Signed: TypeAlias = Annotated[float, msgspec.Meta(ge=-1, le=1)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=2000)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Seeds: TypeAlias = Annotated[list[int], msgspec.Meta(max_length=100_000)]
_Cost: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class _Spread(Record, kw_only=True, frozen=True):
    mean: _Cost
    sd: _Cost = 0.0
    values: Annotated[list[_Cost], msgspec.Meta(max_length=100_000)] = msgspec.field(default_factory=list)


class _ShareSpread(_Spread, kw_only=True, frozen=True):
    mean: Share
    sd: Share = 0.0


class _Stratum(Record, kw_only=True, frozen=True):
    images: Count
    balanced_accuracy: _ShareSpread
    classes: dict[_Name, Count] | None = None


class _Budget(Record, kw_only=True, frozen=True):
    images: Count
    bytes: Annotated[float, msgspec.Meta(ge=0, le=1e18)]
    steps: Count


class _Bin(Record, kw_only=True, frozen=True):
    answers: Count
    confidence: Share
    accuracy: Share


class _Arm(Record, kw_only=True, frozen=True):
    seeds: _Seeds
    balanced_accuracy: _ShareSpread
    accuracy: _ShareSpread
    auroc: _ShareSpread
    ece: _ShareSpread
    class_accuracy: dict[_Name, _ShareSpread]
    miss_rate: dict[_Name, _ShareSpread] = msgspec.field(default_factory=dict)
    false_alarm_rate: dict[_Name, _ShareSpread] = msgspec.field(default_factory=dict)
    cost: _Spread | None = None
    strata: dict[_Name, dict[_Name, _Stratum]] = msgspec.field(default_factory=dict)
    budget: _Budget | None = None
    chosen: _ShareSpread | None = None
    brake_recall: _ShareSpread | None = None
    brake_false_alarm_rate: _ShareSpread | None = None
    mae: _Spread | None = None
    rmse: _Spread | None = None
    mae_by_fifth: Annotated[list[_Spread], msgspec.Meta(max_length=5)] | None = None
    hard_brake_recall: _ShareSpread | None = None
    confusion: list[list[_Cost]] | None = None
    reliability: Annotated[list[_Bin], msgspec.Meta(max_length=100)] | None = None

    def __post_init__(self) -> None:
        classes = len(self.class_accuracy)
        if self.confusion is not None and [len(row) for row in self.confusion] != [classes] * classes:
            raise ValueError(f"confusion is no table of {classes} classes")
        for rate in self.miss_rate:
            float(rate)


class _Verdict(Record, kw_only=True, frozen=True):
    arm: _Name
    baseline: _Name
    word: Literal["better", "worse", "cannot be told apart", "bound"]
    difference: _Signed
    low: _Signed
    high: _Signed
    p_holm: Share
    sentence: _Text
    seeds: _Seeds = msgspec.field(default_factory=list)


class _ErrorVerdict(Record, kw_only=True, frozen=True):
    word: Literal["better", "worse", "cannot be told apart", "bound"]
    sentence: _Text


class _About(Record, kw_only=True, frozen=True):
    protocol: _Text | None = None
    judged_on: Literal["test", "dev"] = "test"
    synthetic: bool = False
    labels: dict[_Name, _Text] = msgspec.field(default_factory=dict)
    per_class: dict[_Name, Count | None] = msgspec.field(default_factory=dict)
    ranking: dict[_Name, dict[_Name, float]] = msgspec.field(default_factory=dict)
    thesis: dict[_Name, _Text] = msgspec.field(default_factory=dict)
    agent: _Name | None = None
    network: _Name | None = None


class ComparisonRecord(Record, kw_only=True, frozen=True):
    """``comparison*.json``: what `Comparison.save` writes, and what a pipeline says about it."""

    baseline: _Name
    cluster_by: Literal["log", "drive"]
    num_clusters: Count
    num_images: Count
    majority_class: _Name
    majority_accuracy: Share
    arms: Annotated[dict[_Name, _Arm], msgspec.Meta(min_length=1, max_length=200)]
    verdicts: dict[_Name, _Verdict]
    caveats: list[_Text] = msgspec.field(default_factory=list)
    errors: dict[_Name, _ErrorVerdict] | None = None
    mean_errors: tuple[_Cost, _Cost] | None = None
    about: _About = msgspec.field(default_factory=_About)

    def __post_init__(self) -> None:
        for kind, names in next(iter(self.arms.values())).strata.items():
            for arm in self.arms.values():
                if set(arm.strata.get(kind, ())) != set(names):
                    raise ValueError(f"arms differ in their strata of {kind[:80]!a}")


class _Drives(Record, kw_only=True, frozen=True):
    seeds: _Seeds
    score: _ShareSpread
    low: Share | None = None
    high: Share | None = None
    progress: _ShareSpread
    collisions: _ShareSpread
    red_lights: _ShareSpread
    off_lane: _ShareSpread
    comfortable: _ShareSpread


class DrivesRecord(Record, kw_only=True, frozen=True):
    """``drives.json``: what drives came to."""

    baseline: _Name | None = None
    scenarios: Count
    groups: Count
    arms: Annotated[dict[_Name, _Drives], msgspec.Meta(min_length=1, max_length=200)]
    verdicts: dict[_Name, _Verdict] = msgspec.field(default_factory=dict)
    labels: dict[_Name, _Text] = msgspec.field(default_factory=dict)


class StageRecord(Record, kw_only=True, frozen=True):
    """``stage.json``, as far as the page shows it."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    inputs: dict[_Name, _Text] = msgspec.field(default_factory=dict)
    versions: dict[_Name, _Text] = msgspec.field(default_factory=dict)


class MotionRecord(Record, kw_only=True, frozen=True):
    """``motion.json``: counts of frames by acceleration and speed."""

    counts: Annotated[
        list[Annotated[list[Count], msgspec.Meta(min_length=1, max_length=1000)]],
        msgspec.Meta(min_length=1, max_length=1000),
    ]

    def __post_init__(self) -> None:
        if len({len(row) for row in self.counts}) > 1:
            raise ValueError("its rows differ in length")


class NoisingRow(Record, kw_only=True, frozen=True):
    """One strip of ``noising.json``."""

    schedule: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]{1,40}$")]
    t: Annotated[list[Count], msgspec.Meta(min_length=1, max_length=100)]
    abar: list[Share]
    snr_db: list[Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]]

    def __post_init__(self) -> None:
        if not len(self.t) == len(self.abar) == len(self.snr_db):
            raise ValueError("t, abar and snr_db differ in length")


class NoisingRecord(Record, kw_only=True, frozen=True):
    """``noising.json``."""

    rows: Annotated[list[NoisingRow], msgspec.Meta(max_length=20)]


class PartAbout(Record, kw_only=True, frozen=True):
    """A record that may say whether its pictures are synthetic."""

    about: dict[str, Any] = msgspec.field(default_factory=dict)
