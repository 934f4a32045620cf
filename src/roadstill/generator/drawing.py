"""A set in the making: batches of pictures in a folder beside it, from which a killed run goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.base import IN_MEMORY, Denoiser, Sampling
from roadstill.errors import UserError
from roadstill.generator.guidance import Teacher, towards
from roadstill.images import encode_png, read_image
from roadstill.imagesets import ImageSet, ImageSetWriter
from roadstill.imagesets.attributes import rows_of
from roadstill.runs import atomic_path, digest_of, plain, read_json, remove, seed_of, write_json
from roadstill.weights.tensors import is_finite


@dataclass(frozen=True)
class Drawing:
    """A set that is to be drawn; see `generate`.

    Attributes:
        denoiser: generator with the noise schedule that it walks.
        codec: codec of its latents.
        names: names of the classes.
        rows: class row of the denoiser for each label.
        per_class: pictures per class.
        seed: seed of the set.
        config: sampling with guidance and steps said.
        start: the picture that each one starts from, class by class, if there are any.
        teacher: agent that leads the drawing, if there is one.
        record: facts on how the set was made, for `set.json`.
        asked: value of each attribute that each picture is asked to show, class by class; empty if nothing is asked.
    """

    denoiser: Denoiser
    codec: Codec
    names: tuple[str, ...]
    rows: tuple[int, ...]
    per_class: int
    seed: int
    config: Sampling
    start: ImageSet | None
    teacher: Teacher | None
    record: dict[str, Any]
    asked: Sequence[Mapping[str, str]] = ()

    @property
    def told(self) -> list[tuple[int, int]]:
        """Label and index of every picture."""
        return [(label, index) for label in range(len(self.names)) for index in range(self.per_class)]

    @property
    def batches(self) -> list[list[tuple[int, int]]]:
        """The same in batches."""
        told, size = self.told, self.config.batch_size
        return [told[at : at + size] for at in range(0, len(told), size)]

    def conditions(self, batch: Sequence[tuple[int, int]]) -> Tensor:
        """Class rows ``[b]`` of a batch, or ``[b, 1 + a]`` with the rows of its attributes behind."""
        rows = torch.tensor([self.rows[label] for label, _ in batch])
        if not self.asked:
            return rows
        number = rows_of(self.denoiser.origin.attributes)
        asked = [self.asked[label * self.per_class + index] for label, index in batch]
        more = torch.tensor([[number[pair] for pair in sorted(each.items())] for each in asked])
        return torch.cat([rows[:, None], more], dim=1)


def require_equal(out: Path, drawing: Drawing) -> None:
    """Refuses a folder that holds another generated set, which may have taken hours.

    Raises:
        UserError: names the first setting that differs, and the ways out.
    """
    found = _read(out / "set.json")
    before = found.get("about", {}) if isinstance(found, dict) else {}
    if not isinstance(before, dict) or before.get("method") != "generated":
        return
    flat = [_flat(plain(each)) for each in (before, drawing.record)]
    for name, value in flat[1].items():
        if name in flat[0] and flat[0][name] != value:
            raise UserError(
                f"{out} holds a set that was generated with {name} {flat[0][name]}, not {value}; name another folder, "
                "or remove that one"
            )


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings and those within them by name, as ``sampling.steps``; those that are not given left out."""
    out: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{before}{name}.")
        elif value is not None:
            out[f"{before}{name}"] = value
    return out


def begin(drawing: Drawing, part: Path) -> None:
    """Keeps the pictures of an equal drawing that was stopped, and no others."""
    key, record = part / "key.json", plain(drawing.record)
    if drawing.denoiser.origin.digest == IN_MEMORY or _read(key) != record:
        remove(part)
    write_json(key, record)


def _read(key: Path) -> Any:
    try:
        return read_json(key)
    except UserError:  # not there, or damaged: drawing begins anew
        return None


@torch.no_grad()
def draw(drawing: Drawing, batch: Sequence[tuple[int, int]], part: Path) -> None:
    """Draws the pictures of a batch that is not there yet.

    Raises:
        UserError: a picture that is not finite; none of the batch is written.
    """
    paths = [part / f"{label}-{index}.png" for label, index in batch]
    if all(path.is_file() for path in paths):
        return
    codec, teacher = drawing.codec, drawing.teacher
    labels = torch.tensor([label for label, _ in batch])
    latents = drawing.denoiser.generate(
        drawing.conditions(batch),
        seeds=[seed_of("generate", drawing.seed, label, index) for label, index in batch],
        sampling=drawing.config,
        start=_start_latents(drawing, batch),
        guide=None if teacher is None else towards(teacher, codec, labels),
    )
    decoded = codec.decode(latents.to(codec.device))
    for place, (label, index) in enumerate(batch):
        for what, of in (("latent", latents), ("picture", decoded)):
            if not is_finite(of[place]):
                raise UserError(
                    f"{what} {index} of class {drawing.names[label]!r} is not finite, so it is not written; lower "
                    "guidance, take more steps, or make the generator or codec again"
                )
    pictures = to_pixels(decoded).cpu().numpy()
    for path, picture in zip(paths, pictures, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_bytes(encode_png(picture))


def _start_latents(drawing: Drawing, batch: Sequence[tuple[int, int]]) -> Tensor | None:
    """Clean latents ``[b, c, h, w]`` that a batch starts from; None for pure noise."""
    means = drawing.denoiser.origin.class_mean
    if drawing.config.from_class_mean and means is not None:
        return means[[label for label, _ in batch]]
    if drawing.start is None:
        return None
    real = drawing.start.pixels([label * drawing.per_class + index for label, index in batch])
    return drawing.codec.encode(from_pixels(torch.from_numpy(real)).to(drawing.codec.device)).mean


def gather(drawing: Drawing, part: Path, out: Path) -> None:
    """Makes the set of the pictures that were drawn, class by class."""
    denoiser, config, teacher = drawing.denoiser, drawing.config, drawing.teacher
    shared = {"guidance": config.guidance, "steps": config.steps, "checkpoint": denoiser.origin.digest}
    shared["solver"] = denoiser.plan(config).solver
    if denoiser.schedule is not None:
        shared["betas"] = digest_of(denoiser.schedule.betas.tolist())
    if teacher is not None:
        shared |= {"teacher": teacher.digest, "teacher_guidance": config.teacher.guidance}
    size_px = read_image(part / "0-0.png").width
    with ImageSetWriter(out, drawing.names, size_px) as writer:
        for label, index in drawing.told:
            seed = seed_of("generate", drawing.seed, label, index)
            fact: dict[str, Any] = dict(drawing.asked[label * drawing.per_class + index]) if drawing.asked else {}
            fact |= {"index": index, "seed": seed, "row": drawing.rows[label]} | shared
            if drawing.start is not None:
                origin = drawing.start.facts[label * drawing.per_class + index]
                fact |= {"strength": config.strength, "start": origin.get("token", origin["digest"])}
            writer.add_bytes((part / f"{label}-{index}.png").read_bytes(), label, fact)
        writer.about.update({name: value for name, value in drawing.record.items() if value is not None})
    remove(part)
