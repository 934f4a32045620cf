"""What a file of a distilled set means: as the user says, as the file itself does if it is ours, or by the real set.

Files of others tell neither scale nor recipe, and a wrong guess costs more than most methods gain: both are said, never
guessed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import torch
from torch import Tensor

from roadstill.agents.config import Augment, protocol
from roadstill.agents.recipes import RecipeRecord
from roadstill.distil.beginning import whitening_on
from roadstill.distil.spaces import Space, Whitening
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.imagesets.sets import MOST_PATCHES
from roadstill.imagesets.sources import SOURCES, UNRECORDED, sources_of, union
from roadstill.runs import Range, Record, WithClasses, check_ranges, digest_file, parse_json, typed
from roadstill.sources.pt import MOST_BYTES, OWN, PtFile, classes_of, read_pt, read_rate
from roadstill.weights.torch_file import read_torch_file

Scale = Literal["unit", "unclamped", "cifar10", "imagenet", "whitened"]
_SPACES = {
    "cifar10": Space((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "imagenet": Space((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_SCALES = (
    "unit (0 to 1), unclamped (0 black, 1 white, and beyond), cifar10 or imagenet (normalised by its mean and "
    "deviation), or whitened"
)
_ROUNDED = 0.01  # by which pixels of authors who clamp them may miss 0 and 1
_NOT_TOLD = "not told"
_AGAIN = "share the set again"


@dataclass(frozen=True)
class PtConfig:
    """How a file of tensors is read. What one of `roadstill share` tells by itself need not be given.

    Attributes:
        scale: scale of the pixels, which is never guessed: unit (0 to 1), unclamped (0 black, 1 white, and beyond),
            cifar10 or imagenet (normalised by its mean and deviation), or whitened.
        labels: file of the labels, where they lie apart: classes, or logits or probabilities for each class.
        which: number of the set in a file of several, from 0 on; the last one by default.
        class_names: names of the classes, in label order; by default those of the real set, else their numbers.
        real: image set that it stands for, made by prepare: for names of classes and whitening.
        whitening: whitening that networks are to see, computed on the real set: none, absolute (MTT) or relative (KIP,
            FRePo).
        protocol: protocol that it was made for, such as dsa or mtt.
        augment: augmentation that training on it needs, such as dsa; by default it needs none.
        learning_rate: learning rate that was learnt with it.
        rate_file: file that holds the learning rate, where it lies apart.
        patches: patches along a side of a picture that are pictures of their own (IDC's factor).
    """

    scale: Scale | None = None
    labels: Path | None = None
    which: int | None = None
    class_names: tuple[str, ...] = ()
    real: Path | None = None
    whitening: Literal["none", "absolute", "relative"] = "none"
    protocol: str | None = None
    augment: Augment | None = None
    learning_rate: float | None = None
    rate_file: Path | None = None
    patches: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale not in get_args(Scale):
            raise UserError(f"pt.scale {self.scale!r} is unknown; take {_SCALES}")
        if self.protocol is not None:
            protocol(self.protocol)
        if self.learning_rate is not None and self.rate_file is not None:
            raise UserError("pt.learning_rate and pt.rate_file are both given; give one of them")
        if self.whitening != "none" and self.real is None:
            raise UserError(f"whitening {self.whitening} is computed on a real set; name it as pt.real")
        if self.scale == "whitened" and self.whitening == "none":
            raise UserError(
                "whitened pixels cannot be brought back without their matrix; give pt.whitening and pt.real"
            )
        whole = {"which": Range(0, 2**31, whole=True), "patches": Range(1, MOST_PATCHES, whole=True)}
        check_ranges(self, "pt.", learning_rate=Range(0, 1e6, above=True, below=True), **whole)


class Own(Record, kw_only=True, frozen=True):
    """What stands under `OWN`; ``about`` is that of the set's record, in JSON. Tensors are checked when used."""

    scale: Literal["unit", "unclamped"]
    class_names: tuple[str, ...]
    about: Annotated[str, msgspec.Meta(max_length=2**20)] = "{}"
    classes: Any = None
    probabilities: Any = None
    whitening: Any = None
    targets: Any = None


@dataclass(frozen=True)
class Declared:
    """A file of a distilled set, and all that is told about it.

    Attributes:
        file: the file.
        found: its tensors.
        config: what the user says.
        own: what it tells besides; None of files of others.
        real: set that it stands for, if the user names one.
    """

    file: Path
    found: PtFile
    config: PtConfig
    own: Own | None
    real: ImageSet | None

    @classmethod
    def of(cls, file: Path, config: PtConfig) -> "Declared":
        """Reads a file.

        Raises:
            UserError: as `read_pt`; something else under `OWN`; no real set where one is named.
        """
        found = read_pt(file, config.which)
        own = None if found.own is None else typed(found.own, Own, f"{file}, {OWN}", _AGAIN)
        return cls(file, found, config, own, None if config.real is None else open_imageset(config.real))

    @property
    def side_px(self) -> int:
        """Side of its pictures."""
        return self.found.pictures.shape[2]

    @property
    def scale(self) -> Scale:
        """Scale of its pixels.

        Raises:
            UserError: nobody tells it.
        """
        found = self.config.scale or (self.own.scale if self.own else None)
        if found is None:
            low, high = self._range
            raise UserError(f"{self.file} does not tell in which scale its pixels are, which go from {low:.2f} to "
                            f"{high:.2f}; say it as pt.scale: {_SCALES}")  # fmt: skip
        return found

    @property
    def _range(self) -> tuple[float, float]:
        return float(self.found.pictures.min()), float(self.found.pictures.max())

    def labels(self) -> tuple[Tensor, Tensor | None]:
        """Classes and probabilities; errors as `classes_of`."""
        count = len(self.found.pictures)
        if (apart := self.config.labels) is not None:
            return classes_of(read_torch_file(apart, MOST_BYTES), count, apart)
        classes, soft = classes_of(self.found.labels, count, self.file)
        if soft is None or self.own is None:
            return classes, soft
        if self.own.classes is not None:
            classes, _ = classes_of(self.own.classes, count, self.file)  # which need not be the most probable ones
        exact = self.own.probabilities  # labels are as networks take them, in single precision
        return classes, exact if isinstance(exact, Tensor) and torch.equal(exact.float(), soft) else soft

    def names(self, classes: Tensor, soft: Tensor | None) -> tuple[str, ...]:
        """Names of the classes: as the user says, as the file does, the real set's, or their numbers.

        Raises:
            UserError: more classes than names; names that no set may have.
        """
        count = max(int(classes.max()) + 1, 0 if soft is None else soft.shape[1])
        names = self.config.class_names or (self.own.class_names if self.own else ())
        if not names:
            names = tuple(map(str, range(count))) if self.real is None else self.real.class_names
        if count > len(names) or (soft is not None and soft.shape[1] != len(names)):
            raise UserError(f"{self.file} holds labels of {count:,} classes, and there are {len(names):,} names; give "
                            "as many as pt.class_names")  # fmt: skip
        return typed({"class_names": names}, WithClasses, str(self.file), "give others as pt.class_names").class_names

    def pictures(self, whitening: Whitening | None) -> Tensor:
        """The pictures with 0 for black and 1 for white.

        Raises:
            UserError: a scale that is not told, or cannot be.
        """
        pictures, scale, (low, high) = self.found.pictures, self.scale, self._range
        if scale == "unit" and not (-_ROUNDED <= low and high <= 1 + _ROUNDED):
            raise UserError(f"{self.file} holds pixels from {low:.2f} to {high:.2f}, which is no scale from 0 to 1; "
                            f"say another as pt.scale: {_SCALES}")  # fmt: skip
        if scale in _SPACES:
            pictures = _SPACES[scale].leave(pictures)
        elif scale == "whitened":
            assert whitening is not None
            pictures = whitening.leave(pictures)
        if not bool(pictures.isfinite().all()):
            raise UserError(f"{self.file} holds pixels from {low:.2g} to {high:.2g}, beyond all numbers in scale "
                            f"{scale}; say another as pt.scale")  # fmt: skip
        return pictures

    @property
    def is_whitened(self) -> bool:
        """Whether networks are to see whitened pixels."""
        return self.config.whitening != "none" or (self.own is not None and self.own.whitening is not None)

    def whitening(self) -> Whitening | None:
        """The whitening that the user asks for, computed on the real set, or that the file holds.

        Raises:
            UserError: a whitening of other pictures.
        """
        if not self.is_whitened:
            return None
        if self.config.whitening != "none":
            real = self.real
            assert real is not None
            if real.size_px != self.side_px:
                raise UserError(f"{self.file} holds pictures of {self.side_px} px, and {real.root} of {real.size_px} "
                                "px; name a real set of the same size as pt.real")  # fmt: skip
            return whitening_on(real, self.config.whitening)
        assert self.own is not None
        width = 3 * self.side_px**2
        parts = self.own.whitening if isinstance(self.own.whitening, list) else []
        if len(parts) != 2:
            raise UserError(f"{self.file} holds a whitening without mean or matrix; {_AGAIN}")
        return Whitening(self._tensor(parts[0], (width,)), self._tensor(parts[1], (width, width)))

    def targets(self) -> dict[str, Tensor]:
        """Labels that are numbers, if the file holds some.

        Raises:
            UserError: they are not.
        """
        if self.own is None or self.own.targets is None:
            return {}
        width = self.own.targets.shape[-1] if isinstance(self.own.targets, Tensor) and self.own.targets.ndim else 0
        return {"targets": self._tensor(self.own.targets, (len(self.found.pictures), width))}

    def about(self, *, soft: bool) -> dict[str, Any]:
        """What the set's record tells: recipe, where it comes from, and all that a set of ours told before.

        Args:
            soft: whether labels are probabilities.

        Raises:
            UserError: a scale that is not told, a recipe that cannot be, or no record.
        """
        told: dict[str, Any] = {"file": self.file.name, "digest": digest_file(self.file), "scale": self.scale}
        if self.real is not None:
            told |= {"real": self.real.digest, "whitening": self.config.whitening}
        if self.own is not None:
            where = f"{self.file}, {OWN}, about"
            about = typed(parse_json(self.own.about, where), dict[str, Any], where, _AGAIN) | {"copied": told}
            if "recipe" not in about and not (self._said() or soft or self.is_whitened):
                return about  # of a set that any training may take, such as one of real frames
        else:
            about = {"published": told}
            if self.real is not None:
                about[SOURCES] = union(sources_of(self.real.about), (UNRECORDED,))  # and what the authors ask for
        own = typed(about.get("recipe", {}), dict[str, Any], f"{self.file}, recipe", _AGAIN)
        return about | {"recipe": self._recipe(own, soft)}

    def _said(self) -> dict[str, Any]:
        """What the user says of the recipe."""
        config = self.config
        rate = config.learning_rate if config.rate_file is None else read_rate(config.rate_file)
        said = {name: getattr(config, name) for name in ("protocol", "augment", "patches")} | {"learning_rate": rate}
        return {name: value for name, value in said.items() if value is not None}

    def _recipe(self, own: dict[str, Any], soft: bool) -> dict[str, Any]:
        recipe = {"protocol": _NOT_TOLD, **own, **self._said(), "labels": "soft" if soft else "hard"}
        remedy = "give another as pt.protocol, pt.augment, pt.learning_rate or pt.patches"
        if typed(recipe, RecipeRecord, f"{self.file}, recipe", remedy).patches > self.side_px:
            raise UserError(f"{self.file} holds pictures of {self.side_px} px, too small for {recipe['patches']} "
                            f"patches along a side; {remedy}")  # fmt: skip
        return recipe

    def _tensor(self, found: Any, shape: tuple[int, ...]) -> Tensor:
        """A tensor of ours, if it is one: float32, of this shape, finite."""
        fits = isinstance(found, Tensor) and found.dtype == torch.float32 and found.shape == shape
        if not fits or not bool(found.isfinite().all()):
            raise UserError(f"{self.file} holds a whitening or targets of other pictures, or not finite; {_AGAIN}")
        return found.detach()
