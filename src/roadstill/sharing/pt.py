"""One file of ``torch.save``, of the form in which DC, DSA and DM are published."""

from dataclasses import replace
from pathlib import Path

from roadstill.agents.recipes import recipe_of
from roadstill.distil.published import write_published
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.imagesets.card import Layout, hub_split
from roadstill.imagesets.streams import SetStream
from roadstill.sources.pt import OWN


def write(stream: SetStream, folder: Path) -> Layout:
    """Writes ``data/<split>.pt``; all pictures are in memory at once.

    Args:
        stream: the set.
        folder: folder to write into.

    Raises:
        UserError: a set that is too large for one file.
    """
    images = replace(open_imageset(stream.root), about=stream.record.about)  # with what the user says of its sources
    name = f"data/{hub_split(stream.record.about)}.pt"
    (folder / "data").mkdir()
    write_published(images, folder / name)
    usage = (
        f'import torch\n\nfound = torch.load("FOLDER/{name}", weights_only=True)\npictures, labels = found["data"][0]'
    )
    return Layout((), usage, more=tuple(_told(images, name)))


def _told(images: ImageSet, name: str) -> list[str]:
    """What whoever opens the file has to know: scale, labels, recipe."""
    values, recipe = images.values, recipe_of(images)
    beyond = "" if values is None else ", and pixels go beyond both"
    lines = [
        f"`{name}` holds pictures, float32 `[n, 3, s, s]`, and labels. They are not normalised: 0 is black and 1 white"
        f"{beyond}. Classes are numbered from 0 on, as above."
    ]
    if recipe is not None:
        lines.append(f"Made to be trained on with {recipe}; other settings tell little of what it is worth.")
        if recipe.needs["labels"] == "soft":
            lines.append(f'Labels are probabilities, float32 `[n, k]`; classes are `found["{OWN}"]["classes"]`.')
        patches = images.about["recipe"].get("patches", 1)
        if patches > 1:
            lines.append(f"Each picture holds {patches} x {patches} pictures of its class, to be enlarged one by one.")
    if values is not None and values.whitening() is not None:
        lines.append(
            "Networks are to see flattened pictures as `(pixels - mean) @ matrix`, with `mean, matrix = "
            f'found["{OWN}"]["whitening"]`.'
        )
    if values is not None and values.targets() is not None:
        lines.append(f'Labels that were learnt as numbers are `found["{OWN}"]["targets"]`, float32 `[n, k]`.')
    return lines
