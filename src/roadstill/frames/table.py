"""`FrameTable`: one row of facts per camera frame, made from logs alone (no picture is opened)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from roadstill.errors import UserError
from roadstill.frames.columns import SCHEMA, check_values, filled
from roadstill.frames.labels import BrakeLabel
from roadstill.runs import atomic_path

PICTURE_FACTS = ("token", "log", "drive", "timestamp_us", "image")  # what a hook on pictures receives
_ROWS = 1 << 16  # rows that a reader holds at a time


@dataclass(frozen=True)
class FrameTable:
    """Frames with their facts, in the order of the logs.

    Attributes:
        table: columns of `SCHEMA`. ``image`` is a posix path relative to the sensor folder (camera CAM_F0);
            ``speed_mps`` is the norm of the velocity; ``accel_mps2`` is longitudinal. ``position`` counts the entries
            of the log before this one, ``remaining`` those after it; ``steady_before`` and ``steady_after`` how many of
            those follow each other without a gap in time.
        label: rule that makes ``labels``.

    Raises:
        UserError: a column is missing, of another type, has empty cells, numbers that are not finite, or commands that
            are none.
    """

    table: pa.Table
    label: BrakeLabel = field(default_factory=BrakeLabel)

    def __post_init__(self) -> None:
        missing = [name for name in SCHEMA.names if name not in self.table.column_names]
        if missing:
            raise UserError(f"the frame table lacks the columns {missing}; make it again with `roadstill index`")
        try:
            object.__setattr__(self, "table", self.table.select(SCHEMA.names).cast(SCHEMA))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise UserError(f"the frame table has a column of the wrong type: {str(error)[:200]}") from None
        holes = [name for name in SCHEMA.names if self.table.column(name).null_count]
        if holes:
            raise UserError(f"the frame table has empty cells in {holes}; make it again with `roadstill index`")
        check_values(self.table)

    @classmethod
    def of(cls, *, step_s: float | None = None, label: BrakeLabel | None = None, **columns: ArrayLike) -> "FrameTable":
        """Frames from a few columns by name; those not given are made from the others.

        Required are ``token`` (names the frame in the whole data set), ``log`` (one recording), ``timestamp_us``,
        ``image``, ``vx_mps`` (forward) and ``accel_mps2``; a table may hold several logs, one after the other, each in
        the order of time. Where not given, ``drive`` is the log, ``vy_mps`` is 0, ``speed_mps`` the norm of the
        velocity, ``command`` and ``location`` are unknown, no frame has a route, and the places in the log are counted
        as if all its entries were given.

        Args:
            step_s: usual time between two frames of a log; by default its median. Over one and a half of it is a gap.
            label: rule that makes ``labels``.
            columns: columns by name, ``[n]`` each, or one value for all rows; commands by number or by name.

        Raises:
            UserError: a column that is missing, unknown, of another length or type, or not of numbers; rows of a log
                that are not contiguous or go back in time; a token twice; a path that leaves the sensor folder.

        >>> FrameTable.of(
        ...     token=["a", "b"], log="monday", timestamp_us=[0, 500_000], image=["0.jpg", "1.jpg"],
        ...     vx_mps=[3.0, 4.0], accel_mps2=2.0,
        ... ).column("remaining").tolist()
        [1, 0]
        """
        return cls(filled(columns, step_s), label or BrakeLabel())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> NDArray[Any]:
        """One column, ``[n]``: numbers in their own type, text as objects."""
        if name not in SCHEMA.names:
            raise UserError(f"a frame has no {name!r}; it has {', '.join(SCHEMA.names)}")
        return np.asarray(self.table.column(name).to_numpy())

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FrameTable":
        """The rows of a mask ``[n]``, or of indices, in the given order."""
        chosen = pa.array(np.asarray(rows))
        taken = self.table.filter(chosen) if chosen.type == pa.bool_() else self.table.take(chosen)
        return FrameTable(taken, self.label)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each frame ``[n]``."""
        return self.label.of(self.column("accel_mps2"))

    def save(self, path: Path) -> Path:
        """Writes Parquet, atomically."""
        with frame_writers([path], self.label) as (write,):
            write(self)
        return path


class PictureFacts:
    """The `PICTURE_FACTS` of frames by their picture; if frames share one, of the first.

    They stay columns: a dict for every frame of a large data set would take gigabytes.
    """

    def __init__(self, frames: Iterable[FrameTable]) -> None:
        self._table = pa.concat_tables([each.table.select(PICTURE_FACTS) for each in frames]).combine_chunks()
        self._row: dict[str, int] = {}
        for row, image in enumerate(self._table.column("image").to_pylist()):
            self._row.setdefault(image, row)

    def __call__(self, image: str) -> dict[str, Any]:
        """The facts of one picture, by its path below the sensor folder."""
        (fact,) = self._table.slice(self._row[image], 1).to_pylist()
        return dict(fact)


class FrameWriter:
    """Appends frames to one Parquet file; see `frame_writers`."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self.count = 0

    def __call__(self, frames: FrameTable) -> None:
        """Appends the frames."""
        if len(frames):
            self._file.write_table(frames.table)
            self.count += len(frames)


@contextmanager
def frame_writers(paths: Sequence[Path], label: BrakeLabel) -> Iterator[list[FrameWriter]]:
    """Writers of frame tables that grow piece by piece; the files appear together, if the block raises no error."""
    schema = SCHEMA.with_metadata(label.stored())
    with _all_or_none(paths) as temporary:
        files = [pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) for path in temporary]
        try:
            yield [FrameWriter(file) for file in files]
        finally:
            for file in files:
                file.close()


@contextmanager
def _all_or_none(paths: Sequence[Path]) -> Iterator[list[Path]]:
    if not paths:
        yield []
        return
    with _all_or_none(paths[1:]) as rest, atomic_path(paths[0]) as first:
        yield [first, *rest]


def open_frames(path: Path | str) -> FrameTable:
    """Reads a frame table.

    Raises:
        UserError: no such file, not Parquet, or without the columns of a frame table.
    """
    with _opened(Path(path)) as file:
        return FrameTable(file.read(), BrakeLabel.restored(file.schema_arrow.metadata))


def stream_frames(path: Path | str, rows: int = _ROWS) -> Iterator[FrameTable]:
    """A frame table in pieces of at most so many rows, for flat memory; errors as `open_frames`."""
    with _opened(Path(path)) as file:
        label = BrakeLabel.restored(file.schema_arrow.metadata)
        for batch in file.iter_batches(rows):
            yield FrameTable(pa.Table.from_batches([batch]), label)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be a frame table (Parquet), made by `roadstill index`")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from None
