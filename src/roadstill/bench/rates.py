"""Figures of a machine that plans are made from: a JSON file that `roadstill bench stages` writes, or the shipped one.

Where no accelerator took part, rates are those of one core, in its own time, so that other work on the machine does not
count; with one, of the accelerator, in time that passed.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from roadstill.runs import Record, read_record

FORMAT = "roadstill-rates-1"
_REMEDY = "measure it again with `roadstill bench stages --out FILE`"
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e18)]
_Pixels = Annotated[int, msgspec.Meta(ge=1, le=16_384)]


class Index(Record, kw_only=True, frozen=True):
    """Reading logs; files of tables begin with ``bytes_fixed`` that do not grow with the frames."""

    frames_per_s: _Positive
    bytes_per_frame: _Positive
    bytes_fixed: Annotated[float, msgspec.Meta(ge=0, le=1e18)] = 0.0


class Prepare(Record, kw_only=True, frozen=True):
    """Cropping camera pictures to ``size_px``; memory is that of the facts that a set's writer keeps."""

    pictures_per_s: _Positive
    size_px: _Pixels
    bytes_per_picture: _Positive
    memory_per_picture: _Positive


class Encode(Record, kw_only=True, frozen=True):
    """Encoding with the shipped codec."""

    flops_per_s: _Positive
    flops_per_pixel: _Positive
    channels: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    downsampling: Annotated[int, msgspec.Meta(ge=1, le=64)]
    moments: Annotated[int, msgspec.Meta(ge=1, le=2)]


class Network(Record, kw_only=True, frozen=True):
    """Passes of a network."""

    flops_per_s: _Positive


class Train(Record, kw_only=True, frozen=True):
    """Training agents on pictures of ``image_px``."""

    flops_per_s: _Positive
    flops_per_picture: _Positive
    image_px: _Pixels


class Rates(Record, kw_only=True, frozen=True):
    """What was measured of each stage, and on what."""

    measured_on: Annotated[str, msgspec.Meta(max_length=200)]
    accelerator: Annotated[str, msgspec.Meta(max_length=200)] | None
    memory: _Positive
    index: Index
    prepare: Prepare
    encode: Encode
    finetune: Network
    generate: Network
    train: Train


def read_rates(path: Path | None = None) -> Rates:
    """The figures in a file; those that come with the package if none is named.

    Raises:
        UserError: no such file, or one that holds something else.
    """
    if path is not None:
        return read_record(path, Rates, _REMEDY, format=FORMAT)
    return read_record(Path(__file__).with_name("rates.json"), Rates, "install the package again", format=FORMAT)
