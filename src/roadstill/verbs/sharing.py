"""The verbs share and verify: sets for other programs and other people."""

import sys
from pathlib import Path
from typing import Literal

from roadstill.errors import UserError, one_line
from roadstill.runs import holding, require_folder
from roadstill.runs.progress import counter

_MIB = 2**20


@holding()
def share(
    images: Path,
    out: Path,
    *,
    format: Literal["imagefolder", "parquet", "webdataset", "fiftyone", "coco", "pt"] = "imagefolder",
    logs: Path | None = None,
    sources: list[str] = [],  # noqa: B006
    name: str = "",
    creators: list[str] = [],  # noqa: B006
    url: str = "",
    date: str = "",
    key: Path | None = None,
    shard_mb: int = 256,
) -> str:
    """Copies a set into a layout that other programs open, with a card, licences, and digests of all files.

    Args:
        images: image set to share.
        out: folder to make.
        format: imagefolder is opened by Hugging Face datasets, torchvision, timm, LightlyStudio and roadstill; parquet
            by Hugging Face datasets and tables' programs; webdataset by webdataset, datasets and timm; fiftyone by
            FiftyOne; coco, with the boxes of the logs, by FiftyOne, LightlyStudio and pycocotools; pt, exact pixels and
            labels in one file of torch.save, by code of published methods and by prepare.
        logs: folder of the logs' pickles, whose boxes format coco holds.
        sources: what the set stems from, whose licences hold, instead of what it records: world, navsim, cifar10, csv,
            folder, roadstill-weights, dit-weights, edm-weights, autoencoder-weights.
        name: name of the set, for its card.
        creators: names of those who publish it.
        url: page of the set.
        date: day of publication, such as 2026-11-30.
        key: minisign secret key without a password, which signs the digests.
        shard_mb: size in MiB at which a file of many pictures ends; of formats parquet and webdataset.
    """
    from roadstill.sharing import Published
    from roadstill.sharing import share as write

    made = write(
        images,
        out,
        format=format,
        logs=logs,
        sources=sources,
        published=Published(name, tuple(creators), url, date),
        key=key,
        shard_bytes=shard_mb * _MIB,
        watch=counter("pictures"),
    )
    notes = [f"{out}: {note}" for note in made.notes]
    return "\n".join([f"{out}: {made.images:,} images as {format}; licence: {', '.join(made.licences)}", *notes])


def verify(images: Path, *, key: str | None = None) -> str:
    """Checks a shared set: every file is held against its digest, and what is changed, missing or extra is named.

    Ends with exit code 2 if anything is not as it was shared.

    Args:
        images: folder made by share, or fetched from whoever made it.
        key: minisign public key of whoever made it, a file or its line of 56 letters: without it, nothing tells who
            wrote the digests.
    """
    require_folder(images, "a shared set (made by share)")  # before what takes seconds to import
    from roadstill.sharing import examine
    from roadstill.sharing.manifest import FILE, SIGNATURE
    from roadstill.sharing.signing import check_signature, public_key

    signed = ""
    if key is not None:
        signed = f", and was signed with your key ({one_line(check_signature(images / FILE, public_key(key)))})"
    elif (images / SIGNATURE).is_file():
        signed = "; its signature was not checked: name the key of whoever made it with --key"
    count, found = examine(images)
    if not found:
        return f"{images} is as it was shared: {count:,} files{signed}"
    for each in found:
        sys.stderr.write(f"{one_line(str(images))}/{each}\n")
    first = f"{images}/{found[0]}" + (f" and {len(found) - 1:,} more" if len(found) > 1 else "")
    raise UserError(f"{first}; get the set again, or share yours again")
