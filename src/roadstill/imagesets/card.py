"""A set's ``README.md``: a dataset card, as the Hugging Face hub has them, that says plainly what the pictures are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeAlias

import yaml

from roadstill.errors import one_line
from roadstill.imagesets.records import METADATA
from roadstill.imagesets.sources import UNKNOWN, licences_of, source_of, sources_of
from roadstill.imagesets.tally import Tally

_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"))  # fmt: skip
_LARGEST = "100M<n<1B"
_LONGEST = 2000  # letters of a fact
_NOT_SHOWN = ("config", "recipe", "sources", "changes")
_OF_PICTURES = ("checkpoint", "solver", "steps", "guidance", "betas", "teacher", "teacher_guidance", "strength")

Features: TypeAlias = list[dict[str, Any]]
"""Columns by name and type, as the hub's cards write them."""


@dataclass(frozen=True)
class Layout:
    """How a folder of pictures is read by others.

    Attributes:
        files: patterns of the data files, for the hub's loader; empty where it cannot read the layout.
        usage: lines of Python that load it.
        told_by: where the hub's loader looks for the types of columns: ``configs`` or ``dataset_info``.
        features: types of the columns, if they are other ones than `features_of` gives.
        more: further lines on what the folder holds.
    """

    files: tuple[str, ...] = (METADATA, "*/*.png")
    usage: str = 'from datasets import load_dataset\n\ndata = load_dataset("FOLDER", split="{split}")'
    told_by: str = "configs"
    features: Features | None = None
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Portrait:
    """What a card says of a set.

    Attributes:
        tally: counts and columns of its pictures.
        about: ``about`` of ``set.json``.
        size_px: side of the pictures.
        layout: how the folder is read.
        evaluation: lines on how agents that were trained on it did; empty if nothing is known.
        name: name of the set; empty for none.
        creators: who publishes it.
    """

    tally: Tally
    about: Mapping[str, Any]
    size_px: int
    layout: Layout = Layout()
    evaluation: Sequence[str] = ()
    name: str = ""
    creators: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The set's name, or words for one without."""
        return said(self.name) or f"{len(self.tally):,} pictures of {len(self.tally.class_names)} classes"

    @property
    def nature(self) -> str:
        """Whether the pictures are real, in a sentence."""
        about, names = self.about, sources_of(self.about)
        if about.get("refined") is not None or about.get("distilled") is not None:
            return "Synthetic: pictures whose pixels or latents were optimised; no camera took them."
        if about.get("method") == "generated":
            return "Synthetic: pictures drawn by a generative model; no camera took them."
        if names == ("world",):
            return (
                "Synthetic: pictures rendered by a computer, of a driving world that is made up; no camera took them."
            )
        if about.get("published") is not None:
            return "Synthetic: a distilled set that others published."
        return "Real pictures, cropped and resized." if names else "Pictures whose source was not recorded."


def card_of(portrait: Portrait) -> str:
    """The text of ``README.md``; it depends on nothing but what it is given."""
    front = yaml.safe_dump(_front(portrait), sort_keys=False, allow_unicode=True, width=10**6)
    parts = [
        f"# {portrait.title}",
        f"{portrait.nature} {portrait.size_px} x {portrait.size_px} pixels, RGB.",
        _classes(portrait.tally),
        *portrait.layout.more,
        "## Use",
        f"```python\n{portrait.layout.usage.replace('{split}', hub_split(portrait.about))}\n```",
        "## How it was made",
        _made(portrait),
        "## Evaluation",
        *(portrait.evaluation or ["None stands here; `roadstill share` adds it to a set of a run that was evaluated."]),
        "## Sources and licence",
        _conditions(portrait.about),
        "## Intended use and limits",
        _limits(portrait),
    ]
    return f"---\n{front}---\n" + "\n\n".join(parts) + "\n"


def said(text: str) -> str:
    """A text that may be anybody's as it can stand in a line, or a cell, of a card: it is no markup of any kind."""
    return escape(one_line(text), quote=False).replace("|", "/")


def without_places(about: Mapping[str, Any]) -> dict[str, Any]:
    """``about`` of a set without the folders of this machine that settings of a hook name, but for their last part."""
    hook = about.get("hook")
    if not isinstance(hook, Mapping) or not isinstance(settings := hook.get("settings"), Mapping):
        return dict(about)
    return {**about, "hook": {**hook, "settings": {name: _last_part(value) for name, value in settings.items()}}}


def _last_part(value: Any) -> Any:
    if not isinstance(value, str) or not (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return value
    return PureWindowsPath(value).name


def hub_split(about: Mapping[str, Any]) -> str:
    """The part of the data that a set is, by the name that other libraries have for it; "train" if it tells none."""
    return _SPLITS.get(str(about.get("split")), "train")


def features_of(tally: Tally) -> Features:
    """All columns of a set; labels with their class names."""
    return [{"name": "image", "dtype": "image"}, {"name": "label", "dtype": class_label(tally)}, *columns_of(tally)]


def class_label(tally: Tally) -> dict[str, Any]:
    """Type of a column of labels."""
    return {"class_label": {"names": {str(label): name for label, name in enumerate(tally.class_names)}}}


def columns_of(tally: Tally) -> Features:
    """Those of the facts alone."""
    return [
        {"name": name, "list": "float64"} if kind == "list" else {"name": name, "dtype": kind}
        for name, kind in tally.columns.items()
    ]


def _front(portrait: Portrait) -> dict[str, Any]:
    tally, about = portrait.tally, portrait.about
    is_world = sources_of(about) == ("world",)
    tags = ["roadstill", "dataset-distillation"] + (["synthetic"] if portrait.nature.startswith("Synthetic") else [])
    front: dict[str, Any] = {"pretty_name": one_line(portrait.name)} if portrait.name else {}
    licences = licences_of(sources_of(about))
    front |= {
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["image-classification"],
        "size_categories": [next((name for most, name in _SIZES if len(tally) < most), _LARGEST)],
        "tags": [*tags, *(["autonomous-driving"] if is_world or "navsim" in sources_of(about) else [])],
    }
    if not portrait.layout.files:
        return front
    config: dict[str, Any] = {"config_name": "default"}
    config["data_files"] = [{"split": hub_split(portrait.about), "path": list(portrait.layout.files)}]
    front["configs"] = [config]
    features = features_of(tally) if portrait.layout.features is None else portrait.layout.features
    (config if portrait.layout.told_by == "configs" else front.setdefault("dataset_info", {}))["features"] = features
    return front


def _classes(tally: Tally) -> str:
    rows = [
        f"| {label} | {name} | {count} |"
        for label, (name, count) in enumerate(zip(tally.class_names, tally.counts, strict=True))
    ]
    return "\n".join(["| label | class | images |", "|---|---|---|", *rows])


def _made(portrait: Portrait) -> str:
    """What the records say, one fact a line; of facts that all pictures share those on how they were made."""
    shared = portrait.tally.shared
    facts = {
        name: value
        for name, value in without_places(portrait.about).items()
        if name not in _NOT_SHOWN and value is not None
    }
    facts |= {f"{name} of every picture": shared[name] for name in _OF_PICTURES if name in shared and name not in facts}
    lines = [f"- {said(name)}: `{_value(value)}`" for name, value in facts.items()]
    if "seed" in portrait.tally.columns and "seed" not in shared:
        lines.append("- a seed for each picture: column `seed`")
    return "\n".join(lines) or "- not recorded"


def _value(value: Any) -> str:
    """JSON on one line, without the marks that would end it, and not beyond what anybody reads."""
    text = one_line(json.dumps(value, ensure_ascii=False)).replace("`", "'")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _conditions(about: Mapping[str, Any]) -> str:
    names = sources_of(about)
    rows = [
        f"| {said(its.title)} | {_link(its.licence, its.url)} | {its.conditions} |" for its in map(source_of, names)
    ]
    table = ["| made from | licence | conditions |", "|---|---|---|", *rows] if rows else []
    if UNKNOWN in licences_of(names):
        table += [*([""] if rows else []), "Where a licence is unknown, ask its owner before you pass the pictures on."]
    elif len(rows) > 1:
        table += ["", "All of these conditions hold together."]
    return "\n".join(table)


def _link(text: str, url: str) -> str:
    return f"[{text}]({url})" if url else text


def _limits(portrait: Portrait) -> str:
    about, names = portrait.about, sources_of(portrait.about)
    labels = about.get("labels")
    lines = [
        "- For research on dataset distillation and coresets: small training sets, and baselines to hold them against.",
        "- Not for training or testing anything that drives: a picture tells neither speed nor what is behind it.",
    ]
    if isinstance(labels, str) and labels != "class folders":
        lines.append(
            f"- Labels come from measurements (`{_value(labels)}`), not from people; some pictures show no cause."
        )
    if portrait.nature.startswith("Synthetic") and names != ("world",):
        lines.append(
            "- Such pictures may look like training frames and show what never happened; agents may learn their flaws."
        )
    if "navsim" in names:
        hook = about.get("hook")
        is_blurred = isinstance(hook, Mapping) and "BlurBoxes" in str(hook.get("name"))
        seen = "what a log has a box for was blurred, the rest" if is_blurred else "people and number plates"
        lines.append(f"- They stem from frames of public roads: {seen} may be recognisable.")
    return "\n".join(lines)
