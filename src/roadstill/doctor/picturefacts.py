"""Size, format and compression of one camera picture; nothing of its content."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_MEAN_AT_50 = 57.625  # mean of the luminance table that the JPEG standard suggests, which is libjpeg's at quality 50


def picture_facts(sensors: Path, images: Sequence[str]) -> dict[str, Any]:
    """Size, format and compression of the first of these pictures that exists."""
    from PIL import Image

    from roadstill.images import PICTURE_FORMATS

    for image in images:
        path = sensors / image
        if path.is_file():
            with Image.open(path, formats=PICTURE_FORMATS) as picture:
                width, height = picture.size
                facts = {
                    "width_px": width,
                    "height_px": height,
                    "mode": picture.mode,
                    "format": picture.format,
                    "bytes": path.stat().st_size,
                }
                return facts | _compression(picture)
    return {"state": f"none of the first {len(images)} pictures is there"}


def _compression(picture: Any) -> dict[str, Any]:
    tables: Mapping[int, Sequence[int]] = getattr(picture, "quantization", None) or {}
    if 0 not in tables:
        return {}
    from PIL import JpegImagePlugin

    scale = sum(tables[0]) / len(tables[0]) / _MEAN_AT_50
    quality = 100 - 50 * scale if scale <= 1 else 50 / scale
    sampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(picture), "another")
    return {"jpeg_quality_about": round(quality), "chroma": sampling}
