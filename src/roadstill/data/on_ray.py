"""Ray Data as the engine of prepare and encode: the same work on the machines of a cluster, to the same bytes.

What is made lies where all machines see it: pictures go straight into the store, latents come back in order, a shard at
a time. With ``RAY_ADDRESS`` in the environment a running cluster is joined; else one is started on this machine and
ended with the work.
"""

import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.codecs import Codec
from roadstill.codecs.latents import Encoded, Spread, encode_rows
from roadstill.data.picture_store import FactsOf, Filler, PictureStore
from roadstill.errors import UserError, one_line
from roadstill.imagesets import ImageSet
from roadstill.parallel import inherited
from roadstill.runs.progress import counter

Engine: TypeAlias = Literal["processes", "ray"]
_BATCH = 16  # pictures a task
_START_S = 600  # that workers may take to start: they import PyTorch
_MEAN, _STD = "mean", "std"


def require_ray() -> None:
    """Refuses to begin without Ray.

    Raises:
        UserError: it is not installed.
    """
    if find_spec("ray") is None:
        raise UserError("the engine ray needs Ray Data: pip install 'roadstill[ray]', or leave --engine out")


def fill_on_ray(
    store: PictureStore,
    images: Sequence[str],
    sensors: Path,
    *,
    facts: FactsOf | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> set[tuple[str, int]]:
    """As `roadstill.data.picture_store.fill_from_folder`, by workers of Ray.

    Args:
        store: store that takes the pictures, in a folder that all machines see.
        images: wanted pictures, paths relative to ``sensors``.
        sensors: the sensor folder, which all machines see.
        facts: function from an image to its facts, for the store's hook.
        workers: number of workers.
        progress: callback for (pictures done, pictures in total); by default they are shown as all progress is.

    Returns:
        Node and process of each worker that took part.

    Raises:
        UserError: no Ray, or the hook failed.
    """
    todo = [image for image in images if not store.has(image)]
    told = facts if store.config.hook else None
    done, seen = len(images) - len(todo), set()
    if not todo:
        return set()
    progress = progress or counter("pictures")
    with _data(workers) as ray:
        rows = [{"images": list(todo[start : start + _BATCH])} for start in range(0, len(todo), _BATCH)]
        dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), 4 * workers))
        # A worker may begin in another folder than this process.
        filler = Filler(PictureStore(store.root.absolute(), store.config), sensors.absolute())
        given = {"filler": filler, "facts": told, "carried": inherited()}
        made = dataset.map(_Fill, fn_constructor_kwargs=given, compute=ray.data.ActorPoolStrategy(size=workers))
        for row in made.iter_rows():
            done += int(row["count"])
            seen.add((str(row["node"]), int(row["process"])))
            progress(done, len(images))
    return seen


def encoding_on_ray(images: ImageSet, codec: Codec, *, workers: int = 2) -> Spread:
    """What encodes the shards of a set by workers of Ray, in order; see `encode_imageset`'s ``shards``.

    Args:
        images: set in a folder that all machines see.
        codec: codec; it travels to each worker, which has a GPU of its own where Ray has some.
        workers: number of workers.
    """

    def shards(rows: Sequence[NDArray[np.int64]], batch_size: int) -> Iterator[Encoded]:
        with _data(workers) as ray:
            gpus = int(ray.cluster_resources().get("GPU", 0) >= workers)
            parts = [{"first": int(part[0]), "last": int(part[-1])} for part in rows]
            here = replace(images, root=images.root.absolute())
            given = {"images": here, "codec": codec, "batch_size": batch_size, "carried": inherited()}
            pool = ray.data.ActorPoolStrategy(size=min(workers, len(parts)))
            dataset = ray.data.from_items(parts, override_num_blocks=len(parts))
            made = dataset.map(_Encode, fn_constructor_kwargs=given, compute=pool, num_gpus=gpus or None)
            for row in made.iter_rows():
                tensors = {name: torch.from_numpy(np.array(row[name])) for name in (_MEAN, _STD) if name in row}
                yield tensors, None if np.isnan(row["constant"]) else float(row["constant"])

    return shards


class _Fill:
    """A worker that makes pictures; it knows what this process trusts and holds."""

    def __init__(
        self, filler: Filler, facts: FactsOf | None, carried: Sequence[tuple[Callable[[Any], None], Any]]
    ) -> None:
        _begin(carried)
        self.filler, self.facts = filler, facts

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        images = [str(image) for image in row["images"]]
        self.filler.fill(images, [{} if self.facts is None else self.facts(image) for image in images])
        return {"count": len(images), "node": platform.node(), "process": os.getpid()}


class _Encode:
    """A worker that encodes shards."""

    def __init__(
        self, images: ImageSet, codec: Codec, batch_size: int, carried: Sequence[tuple[Callable[[Any], None], Any]]
    ) -> None:
        _begin(carried)
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self.images, self.batch_size = images, batch_size
        self.codec = codec if device is None else codec.to(device)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        rows = np.arange(row["first"], row["last"] + 1)
        shape = self.codec.latent_shape(self.images.size_px)
        tensors, constant = encode_rows(self.images, rows, self.codec, shape, self.batch_size, None)
        return {name: tensor.numpy() for name, tensor in tensors.items()} | {
            "constant": float("nan") if constant is None else constant
        }


def _begin(carried: Sequence[tuple[Callable[[Any], None], Any]]) -> None:
    for put, value in carried:
        put(value)
    torch.set_num_threads(1)


@contextmanager
def _data(workers: int) -> Iterator[Any]:
    """Ray, quiet and in order; what a worker says of the user's mistake is said here.

    Raises:
        UserError: no Ray, no cluster where one was named, or what a worker raised.
    """
    require_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home unless it is told not to
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import ray.data

    own = not ray.is_initialized()
    if own:
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if os.environ.get("RAY_ADDRESS"):
                ray.init(**quiet)
            else:
                ray.init(num_cpus=workers + 1, include_dashboard=False, **quiet)
        except Exception as error:  # Ray has no type for a cluster that does not answer, or does not start in time
            where = os.environ.get("RAY_ADDRESS")
            what = f"the Ray cluster at {where} cannot be reached" if where else "Ray could not be started"
            said = " ".join(str(error).split())[:200]
            raise UserError(f"{what}: {one_line(said)}; see to it, or leave --engine ray out") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.wait_for_min_actors_s = _START_S  # or the first to start does all that is little
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    except Exception as error:
        if (mistake := _users(error)) is not None:
            raise mistake from None
        raise
    finally:
        if own:
            with suppress(Exception):
                ray.shutdown()


def _users(error: BaseException | None) -> UserError | None:
    """The user's mistake that an error of Ray's wraps; None for any other."""
    found = None
    while error is not None:
        found = error if isinstance(error, UserError) else found
        # Ray's own error of a task is of the type of what it wraps, with a traceback for a text.
        error = getattr(error, "cause", None) or error.__cause__
    return None if found is None else UserError(str(found))
