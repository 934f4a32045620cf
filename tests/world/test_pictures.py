"""Drawing a world's pictures: only what is asked for and missing, the same however many processes draw."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadstill.errors import UserError
from roadstill.world.logs import SPLIT, scenes_of, write_world
from roadstill.world.pictures import draw_pictures, write_jpeg
from roadstill.world.render import Renderer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_world(tmp_path / "world", drives=2, seed=11, width_px=64, height_px=36, frames=(3, 2))


def files_of(root: Path) -> dict[str, bytes]:
    split = root / "sensor_blobs" / SPLIT
    return {path.relative_to(split).as_posix(): path.read_bytes() for path in split.rglob("*") if path.is_file()}


def test_all_pictures_are_drawn_once_and_show_their_scenes(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert draw_pictures(root, progress=lambda done, total: seen.append((done, total))) == 10
    assert seen[-1] == (10, 10)
    scenes = dict(scenes_of(root))
    drawn = files_of(root)
    assert set(drawn) == set(scenes)
    assert draw_pictures(root) == 0
    assert files_of(root) == drawn
    name = max(scenes)
    opened = np.asarray(Image.open(root / "sensor_blobs" / SPLIT / name)).astype(int)
    assert opened.shape == (36, 64, 3)
    assert np.abs(opened - Renderer(64, 36).draw(scenes[name])).mean() < 4


def test_the_files_do_not_depend_on_workers_or_order(root: Path) -> None:
    names = [name for name, _ in scenes_of(root)]
    assert draw_pictures(root, names[::3]) == 4
    assert set(files_of(root)) == set(names[::3])
    assert draw_pictures(root, names[:5], workers=1) == 3
    assert draw_pictures(root, workers=2) == 3
    mixed = files_of(root)
    for name in names:
        (root / "sensor_blobs" / SPLIT / name).unlink()
    assert draw_pictures(root) == 10
    assert files_of(root) == mixed


def test_unknown_pictures_and_bad_numbers_are_told(root: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.*1 unknown"):
        draw_pictures(root, ["nowhere/CAM_F0/1.jpg"])
    with pytest.raises(UserError, match="workers 0"):
        draw_pictures(root, workers=0)
    assert files_of(root) == {}


def test_a_small_red_lamp_keeps_its_colour(tmp_path: Path) -> None:
    pixels = np.full((32, 32, 3), 90, np.uint8)
    pixels[15:17, 15:17] = (250, 30, 20)
    write_jpeg(tmp_path / "lamp.jpg", pixels, 92)
    red, green, _ = np.asarray(Image.open(tmp_path / "lamp.jpg"))[15, 15].astype(int)
    assert red - green > 150
