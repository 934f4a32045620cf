"""``croissant.json``: a set as ML Commons' Croissant 1.0 describes data, with its fields for responsible AI."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadstill.imagesets.card import Portrait
from roadstill.imagesets.records import METADATA
from roadstill.imagesets.sources import UNKNOWN, source_of, sources_of
from roadstill.imagesets.tally import Kind
from roadstill.runs import sha256_file, write_json

FILE = "croissant.json"
_TYPES: dict[Kind, str] = {
    "string": "sc:Text", "int64": "sc:Integer", "float64": "sc:Float", "bool": "sc:Boolean", "list": "sc:Float",
}  # fmt: skip
_SHORT = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
# Columns of a list of lines that Croissant's reader (pandas) takes for dates by their names, and then stumbles over.
_LIKE_DATES = re.compile(r"timestamp.*|modified|date|.*_at|.*_time")
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _SHORT},
}


def write_croissant(folder: Path, portrait: Portrait, *, url: str, date: str) -> None:
    """Writes the description of a copy in the layout ``imagefolder`` or ``parquet``, whose files are there.

    Args:
        folder: folder of the copy.
        portrait: what is known of the set.
        url: page of the set; empty for none.
        date: day of publication as ``2026-11-30``; empty for none.
    """
    in_parquet = not (folder / METADATA).is_file()
    told: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": portrait.name or portrait.title,
        "description": portrait.nature,
        "license": _licences(portrait),
        "version": "1.0.0",
        "citeAs": _citation(portrait, date),
        "creator": [{"@type": "sc:Organization", "name": name} for name in portrait.creators],
        "url": url,
        "datePublished": date,
        **_responsible(portrait),
        "distribution": list(_of_parquet(folder) if in_parquet else _of_folder(folder)),
        "recordSet": [_classes(portrait), _pictures(portrait, in_parquet)],
    }
    write_json(folder / FILE, {name: value for name, value in told.items() if value not in ("", [])}, sealed=False)


def _citation(portrait: Portrait, date: str) -> str:
    """How to cite the set, if it has a name and somebody who publishes it."""
    if not (portrait.name and portrait.creators):
        return ""
    return ", ".join([" and ".join(portrait.creators), portrait.title, *([date[:4]] if date else [])])


def _licences(portrait: Portrait) -> list[str]:
    known = [source_of(name) for name in sources_of(portrait.about)]
    return list(dict.fromkeys(its.url or UNKNOWN for its in known)) or [UNKNOWN]


def _responsible(portrait: Portrait) -> dict[str, Any]:
    about = portrait.about
    names = sources_of(about)
    made = {name: about[name] for name in ("crop", "resize", "decode", "method") if isinstance(about.get(name), str)}
    people = {
        "world": "None: no person was ever before the camera.",
        "navsim": "Pictures of public roads may show people and number plates.",
    }
    told = {
        "rai:dataCollection": f"{portrait.nature} Stems from: {', '.join(source_of(name).title for name in names)}."
        if names
        else portrait.nature,
        "rai:dataPreprocessingProtocol": [f"{name}: {value}" for name, value in made.items()],
        "rai:dataAnnotationProtocol": f"Labels by rule: {about['labels']}"
        if isinstance(about.get("labels"), str)
        else "",
        "rai:dataUseCases": ["Research on dataset distillation and coresets, and baselines for it."],
        "rai:dataLimitations": [
            "Single pictures tell neither speed nor what is behind them; not for training or testing anything that "
            "drives."
        ],
        "rai:dataBiases": [f"Classes are not as frequent as on roads: {_counts(portrait)}."],
        "rai:personalSensitiveInformation": [people[name] for name in names if name in people],
    }
    return {name: value for name, value in told.items() if value}


def _counts(portrait: Portrait) -> str:
    pairs = zip(portrait.tally.class_names, portrait.tally.counts, strict=True)
    return ", ".join(f"{count:,} {name}" for name, count in pairs)


def _file(folder: Path, path: Path, name: str, kind: str) -> dict[str, Any]:
    place = path.relative_to(folder).as_posix()
    return {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": place, "encodingFormat": kind,
            "sha256": sha256_file(path), "contentSize": f"{path.stat().st_size} B"}  # fmt: skip


def _set(name: str, includes: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "includes": includes, "encodingFormat": kind}


def _of_folder(folder: Path) -> Iterator[dict[str, Any]]:
    yield _file(folder, folder / METADATA, "metadata", "application/jsonlines")
    yield _set("pictures", "*/*.png", "image/png")


def _of_parquet(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("data/*.parquet")):
        yield _file(folder, path, path.name, "application/x-parquet")
    yield _set("tables", "data/*.parquet", "application/x-parquet")


def _classes(portrait: Portrait) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "key": {"@id": "classes/label"},
        "field": [_field("classes/label", "sc:Integer"), _field("classes/name", "sc:Text")],
        "data": [
            {"classes/label": label, "classes/name": name} for label, name in enumerate(portrait.tally.class_names)
        ],
    }


def _pictures(portrait: Portrait, in_parquet: bool) -> dict[str, Any]:
    """One record for each picture: the picture, its label and its facts."""
    place = {"fileSet": {"@id": "tables"}} if in_parquet else {"fileObject": {"@id": "metadata"}}
    if in_parquet:
        image = {**place, "extract": {"column": "image"}, "transform": {"jsonPath": "bytes"}}
        fields = [_field("pictures/image", "sc:ImageObject", source=image)]
    else:
        # Pictures are found by their paths, of which readers may know more than what stands in the list.
        path = {"fileSet": {"@id": "pictures"}, "extract": {"fileProperty": "fullpath"},
                "transform": {"regex": "(?:.*/)?([^/]+/[^/]+)$"}}  # fmt: skip
        listed = {**place, "extract": {"column": "file_name"}}
        image = {"fileSet": {"@id": "pictures"}, "extract": {"fileProperty": "content"}}
        fields = [_field("pictures/file_name", "sc:Text", source=path, references=listed)]
        fields.append(_field("pictures/image", "sc:ImageObject", source=image))
    columns: dict[str, Kind] = {"label": "int64", **portrait.tally.columns}
    for name, kind in columns.items():
        if not in_parquet and _LIKE_DATES.fullmatch(name.lower()):
            continue
        source = {**place, "extract": {"column": name}}
        more = {"repeated": True} if kind == "list" else {}
        fields.append(_field(f"pictures/{name}", _TYPES[kind], source=source, **more))
    return {"@type": "cr:RecordSet", "@id": "pictures-and-facts", "name": "pictures-and-facts", "field": fields}


def _field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind, **more}
