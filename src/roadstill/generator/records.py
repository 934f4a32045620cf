"""What stands beside and in the files of our own generators, as types."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, Literal

import msgspec

from roadstill.adapters import Adapter, BitFit, DiffFit, Full, LoRA
from roadstill.denoisers.base import Origin
from roadstill.errors import UserError
from roadstill.imagesets.attributes import VocabularyRecord, check_vocabulary, rows_of
from roadstill.imagesets.sources import SourceNames
from roadstill.runs import ClassNames, Count, Digest, Record, WithClasses, config_of

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Row = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Objective = Literal["noise", "v_prediction", "velocity", "denoised"]
_Reduction = Literal["sum", "mean"]


class BaseRecord(Record, kw_only=True, frozen=True):
    """Base of a checkpoint, as `record_base` tells it."""

    path: str
    digest: Digest


class GeneratorRecord(Record, kw_only=True, frozen=True):
    """Metadata of a base file; that of an older version may lack the fields that have a default."""

    network: dict[str, Any]
    class_names: tuple[str, ...] | None = None
    objective: _Objective | None = None
    latents: str | None = None
    codec: str | None = None
    step: Count | None = None
    label_dropout: _Share
    guided_channels: _Row | None = None
    label_rows: tuple[_Row, ...] | None = None
    loss_reduction: _Reduction | msgspec.UnsetType = msgspec.UNSET
    augment: _Share | msgspec.UnsetType = msgspec.UNSET
    attributes: VocabularyRecord = msgspec.field(default_factory=dict)
    distilled: Annotated[float, msgspec.Meta(ge=0, le=1_000)] | msgspec.UnsetType = msgspec.UNSET
    sources: SourceNames = ()

    def __post_init__(self) -> None:
        check_vocabulary(self.attributes)
        if self.class_names is not None:
            WithClasses(class_names=self.class_names)  # checks the names


class CheckpointRecord(GeneratorRecord, kw_only=True, frozen=True):
    """``config.json``, as a base's metadata, and what was trained."""

    class_names: ClassNames
    adapters: tuple[dict[str, Any], ...]
    base: BaseRecord | None
    fresh_labels: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    fresh_attributes: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    trained: Digest | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fresh_labels not in (None, len(self.class_names)):
            raise ValueError(f"{self.fresh_labels} fresh labels for {len(self.class_names)} classes")
        if self.fresh_attributes not in (None, values := len(rows_of(self.attributes))):
            raise ValueError(f"{self.fresh_attributes} fresh attributes for {values} values")


def facts_in(record: GeneratorRecord) -> dict[str, Any]:
    """The fields that stand in a record, by name."""
    return {name: value for name, value in msgspec.structs.asdict(record).items() if value is not msgspec.UNSET}


def told_later(origin: Origin, fresh: int | None = None) -> dict[str, Any]:
    """What a record tells of attributes, few steps and sources: nothing if there are none, as before there were any."""
    told: dict[str, Any] = {} if origin.distilled is None else {"distilled": origin.distilled}
    told |= {"sources": origin.sources} if origin.sources else {}
    if origin.attributes:
        told |= {"attributes": origin.attributes} | ({"fresh_attributes": fresh} if fresh else {})
    return told


def adapter_record(adapter: Adapter) -> dict[str, Any]:
    """An adapter as JSON: its type's name and its settings."""
    if type(adapter) not in _ADAPTERS.values() or not is_dataclass(adapter):
        raise UserError(f"adapter {adapter!r} is not one of roadstill.adapters; checkpoints record only those")
    return {"type": type(adapter).__name__} | asdict(adapter)


def adapter_of(record: Mapping[str, Any], where: str = "adapter") -> Adapter:
    """The adapter that `adapter_record` described; only types of `roadstill.adapters` are made.

    Raises:
        UserError: another type, or settings that it does not have.
    """
    kind = _ADAPTERS.get(str(record.get("type")))
    if kind is None:
        told = str(record.get("type"))[:100]
        raise UserError(f"{where}: adapter type {told!r} is unknown; known are {', '.join(_ADAPTERS)}")
    return config_of(kind, record, where, "finetune again")


_ADAPTERS: dict[str, Any] = {kind.__name__: kind for kind in (Full, BitFit, DiffFit, LoRA)}
