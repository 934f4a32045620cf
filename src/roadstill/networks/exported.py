"""Records beside weights in others' layouts: those that diffusers reads, and our own facts, so that they come back."""

from typing import Annotated, Literal

import msgspec

from roadstill.networks.dit import MOST_TOKENS
from roadstill.runs import Record, WithClasses

INDEX = "model_index.json"
NOTE = "generator"  # entry of our facts in it, and in the metadata of an original file

_Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Row = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Facts(Record, kw_only=True, frozen=True):
    """What a network alone does not tell.

    Attributes:
        objective: prediction target; None if only the network was saved.
        class_names: names of the classes, in label order.
        label_rows: the network's row of each of them, if not 0, 1, ...
        codec: digest of the codec of its latents.
        guided_channels: number of leading channels that guidance moves.
        label_dropout: share of labels that were left out in training.
        num_heads: number of attention heads, which tensors do not show.
        distilled: guidance of the teacher from which it learned few steps, if it did.
    """

    objective: Literal["noise", "v_prediction", "velocity"] | None = None
    class_names: tuple[str, ...] | None = None
    label_rows: tuple[_Row, ...] | None = None
    codec: str | None = None
    guided_channels: _Row | None = None
    label_dropout: _Share = 0.1
    num_heads: _Size | None = None
    distilled: Annotated[float, msgspec.Meta(ge=0, le=1_000)] | None = None

    def __post_init__(self) -> None:
        if self.class_names is not None:
            WithClasses(class_names=self.class_names)  # checks the names
        if self.label_rows is not None and len(self.label_rows) != len(self.class_names or ()):
            raise ValueError("not one of label_rows for each of class_names")


class SchedulerRecord(Record, kw_only=True, frozen=True):
    """``scheduler_config.json`` of diffusers."""

    trained_betas: Annotated[tuple[float, ...], msgspec.Meta(max_length=100_000)] | None = None
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"


class TransformerRecord(Record, kw_only=True, frozen=True):
    """``config.json`` of a ``DiTTransformer2DModel``, with its defaults."""

    num_attention_heads: _Size = 16
    attention_head_dim: _Size = 72
    in_channels: _Size = 4
    out_channels: _Size | None = None
    num_layers: _Size = 28
    sample_size: _Size = 32
    patch_size: _Size = 2
    num_embeds_ada_norm: _Size | None = 1000

    def __post_init__(self) -> None:
        if (self.sample_size // self.patch_size) ** 2 > MOST_TOKENS:
            raise ValueError(f"sample_size {self.sample_size} in patches of {self.patch_size} has too many tokens")
