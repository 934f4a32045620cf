"""Pictures from a run's generators, drawn as `roadstill generate` draws them, and the command that draws them again."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Literal

from roadstill.app.browse import is_within
from roadstill.codecs import Codec, load_codec
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.drawing import draw
from roadstill.generator.generate import planned
from roadstill.imagesets import open_imageset
from roadstill.report.parts import recipe_fields, recipe_labels
from roadstill.runs import scratch_folder, seed_of
from roadstill.weights import require_fetched

MOST_PICTURES, MOST_STEPS, MOST_GUIDANCE, MOST_SEED = 16, 250, 20.0, 2**31 - 1
SCHEDULES = ("linear", "spoon_cosine:6", "spoon_cosine:4", "spoon_cosine:2", "cosine:2")
_CLASSES = ("not_brake", "brake")  # as `roadstill generate` has them for a generator that knows none
_at_work = Lock()  # one drawing at a time: a network can tell its progress to one alone


@dataclass(frozen=True)
class Source:
    """A generator that a run has, and what turns its latents into pictures.

    Attributes:
        label: its name on the page.
        path: checkpoint, base file or name of a model; None is the shipped base.
        codec: likewise of its codec; None is the shipped one.
        decoder: a second autoencoder that decodes, if the run has one.
        class_names: classes of the run, for a generator that knows none.
        tuned: whether the run made it, so that its path is below the run.
    """

    label: str
    path: Path | None = None
    codec: Path | None = None
    decoder: Path | None = None
    class_names: tuple[str, ...] = _CLASSES
    tuned: bool = False


@dataclass(frozen=True)
class Wish:
    """What is to be drawn.

    Attributes:
        label: class, as its number.
        count: number of pictures.
        seed: seed of the set whose first pictures of this class they are.
        guidance: strength of the label; None for the generator's own.
        steps: likewise.
        solver: likewise.
        schedule: noise schedule; None for the one that the generator was trained with.
        where: attributes that the pictures show.
        which: moving average or last weights of a checkpoint.
    """

    label: int = 0
    count: int = 4
    seed: int = 0
    guidance: float | None = None
    steps: int | None = None
    solver: str | None = None
    schedule: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    which: Literal["ema", "trained"] = "ema"

    def __post_init__(self) -> None:
        bounds = {"count": (1, MOST_PICTURES), "seed": (0, MOST_SEED), "label": (0, 10_000)}
        bounds |= {"steps": (1, MOST_STEPS)} if self.steps is not None else {}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name} is {getattr(self, name)}; the page draws with {low} to {high}")
        if self.guidance is not None and not 0 <= self.guidance <= MOST_GUIDANCE:
            raise UserError(f"guidance is {self.guidance}; the page draws with 0 to {MOST_GUIDANCE:g}")

    @property
    def sampling(self) -> Sampling:
        """The same for the sampler."""
        return Sampling(
            guidance=self.guidance, steps=self.steps, solver=self.solver, schedule=self.schedule,
            force_schedule=self.schedule is not None, where=dict(self.where) or None, batch_size=MOST_PICTURES,
        )  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One picture.

    Attributes:
        png: the file.
        class_name: its class.
        index: its number in its class.
        seed: seed of its noise.
        facts: names and values that it was drawn with.
    """

    png: bytes
    class_name: str
    index: int
    seed: int
    facts: tuple[tuple[str, str], ...]


def sources_of(run: Path) -> list[Source]:
    """The generators of a run: those that it fine-tuned, and the base that they began as.

    Raises:
        UserError: a recipe that cannot be read, or that names a model of the hub which was not fetched before.
    """
    fields, labels = recipe_fields(run), recipe_labels(run)
    base, codec, decoder = (_model(fields.get(name), name) for name in ("base", "codec", "decoder"))
    names: tuple[str, ...] = _CLASSES
    if (run / "sets" / "train" / "set.json").is_file():
        names = open_imageset(run / "sets" / "train").class_names
    found = []
    for path in (each for each in sorted(run.glob("finetune/*/trained.safetensors")) if is_within(run, each)):
        name = path.parent.name
        found.append(Source(labels.get(name, name), path.parent, codec, decoder, names, tuned=True))
    own = run / "pretrain"
    if (own / "trained.safetensors").is_file() and is_within(run, own):
        found.append(Source("Base, trained by the run", own, codec, decoder, names, tuned=True))
    elif not fields.get("pretrain"):
        found.append(Source("Base, before fine-tuning", base, codec, decoder, names))
    twice = {each.label for each in found if sum(each.label == other.label for other in found) > 1}
    return [_named(each) if each.label in twice else each for each in found]


def _named(source: Source) -> Source:
    return Source(**{**vars(source), "label": f"{source.label} ({source.path.name if source.path else 'shipped'})"})


def _model(name: object, what: str) -> Path | None:
    """A model that a recipe names, which somebody else may have written."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise UserError(f"recipe.yaml: {what} is {str(name)[:80]!r}; it should be a text")
    require_fetched(name, what)
    return Path(name)


def open_source(source: Source, which: Literal["ema", "trained"] = "ema") -> tuple[LabelledDenoiser, Codec]:
    """A generator with its codec; the two that were asked for last are kept.

    Raises:
        UserError: as `load_denoiser` and `load_codec`.
    """
    mark = source.path / "config.json" if source.tuned and source.path else None
    return _opened(source, which, mark.read_bytes() if mark is not None and mark.is_file() else b"")


@lru_cache(maxsize=2)
def _opened(source: Source, which: str, mark: bytes) -> tuple[LabelledDenoiser, Codec]:
    """``mark`` is the checkpoint's record, which is another one once the run has trained on."""
    return load_denoiser(source.path, which=which), load_codec(source.codec, decoder=source.decoder)


def class_names_of(source: Source, denoiser: LabelledDenoiser) -> tuple[str, ...]:
    """The classes that a generator draws, in label order."""
    return denoiser.origin.class_names or source.class_names


def draw_pictures(source: Source, wish: Wish, *, tick: Callable[[float], None] = lambda share: None) -> list[Drawn]:
    """The first pictures of a class of the set that `roadstill generate` would make with this seed.

    Args:
        source: generator.
        wish: what is to be drawn.
        tick: takes the share that is done before each pass through the network; what it raises ends the drawing.

    Raises:
        UserError: settings that do not fit the generator.
    """
    with _at_work, scratch_folder() as part:
        denoiser, codec = open_source(source, wish.which)
        names = class_names_of(source, denoiser)
        if wish.label >= len(names):
            raise UserError(f"class {wish.label} is asked for, but this generator has {len(names)}")
        drawing = planned(denoiser, codec, names, wish.count, wish.seed, wish.sampling)
        batch = [(wish.label, index) for index in range(wish.count)]
        with _telling(denoiser, drawing.config.steps or 1, tick):
            draw(drawing, batch, part)
        plan = drawing.denoiser.plan(drawing.config)
        facts = [("guidance", f"{plan.guidance:g}"), ("steps", str(plan.steps)), ("solver", plan.solver)]
        facts += [("schedule", wish.schedule)] if wish.schedule else []
        facts += [("checkpoint", denoiser.origin.digest), *sorted((drawing.config.where or {}).items())]
        return [
            Drawn(
                (part / f"{label}-{index}.png").read_bytes(), names[label], index,
                seed_of("generate", wish.seed, label, index), tuple(facts),
            )
            for label, index in batch
        ]  # fmt: skip


@contextmanager
def _telling(denoiser: LabelledDenoiser, steps: int, tick: Callable[[float], None]) -> Iterator[None]:
    """Within this block the generator's network tells its progress."""
    done = 0

    def before(*_: object) -> None:
        nonlocal done
        tick(min(1.0, done / steps))
        done += 1

    hook = denoiser.network.register_forward_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()


def wait_for_drawing(seconds: float = 10.0) -> None:
    """Lets a drawing that was told to stop come to its end."""
    if _at_work.acquire(timeout=seconds):
        _at_work.release()


def command_of(source: Source, wish: Wish, names: Sequence[str], *, known: bool, run: Path, typed: Path) -> str:
    """The command that draws a set of which these pictures are a part, to the same bytes.

    Args:
        source: generator.
        wish: what was drawn.
        names: classes, in label order.
        known: whether the generator knows its classes itself.
        run: the run folder, of which the source's path tells.
        typed: the same as the user typed it.
    """
    words: list[object] = ["roadstill", "generate", "OUT"]
    if source.path is not None:
        own = source.tuned and source.path.is_relative_to(run)
        words += ["--checkpoint", typed / source.path.relative_to(run) if own else source.path]
    words += ["--which", wish.which] if wish.which != "ema" else []
    words += ["--codec", source.codec] if source.codec else []
    words += ["--decoder", source.decoder] if source.decoder else []
    words += [] if known or tuple(names) == _CLASSES else ["--class_names", *names]
    words += ["--per_class", wish.count, "--seed", wish.seed]
    given = {"guidance": wish.guidance, "steps": wish.steps, "solver": wish.solver, "schedule": wish.schedule}
    for name, value in given.items():
        words += [] if value is None else [f"--sampling.{name}", f"{value:g}" if isinstance(value, float) else value]
    words += ["--sampling.force_schedule", "true"] if wish.schedule else []
    asked = ", ".join(f"{name}: {value}" for name, value in sorted(wish.where.items()))
    words += ["--where", f"{{{asked}}}"] if asked else []
    return shlex.join(str(word) for word in words)
