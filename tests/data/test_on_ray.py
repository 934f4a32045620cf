"""Prepare and encode by two workers of Ray, against the same by this machine's processes: equal bytes.

Ray runs in a process of its own: what it imports, and what it starts, stays out of the suite.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from roadstill.data import on_ray
from roadstill.data.on_ray import _users, fill_on_ray, require_ray
from roadstill.data.picture_store import PictureConfig, PictureStore, fill_from_folder
from roadstill.errors import UserError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray Data: pip install 'roadstill[ray]'")

BOTH = """
import json, sys
from pathlib import Path
from roadstill.codecs.pixels import PixelCodec
from roadstill.codecs.latents import encode_imageset
from roadstill.data.on_ray import encoding_on_ray, fill_on_ray
from roadstill.data.picture_store import PictureConfig, PictureStore
from roadstill.imagesets import open_imageset

def main():
    folder = Path(sys.argv[1])
    names = json.loads((folder / "names.json").read_text())
    done = []
    with PictureStore(folder / "ray", PictureConfig(16)) as store:
        seen = fill_on_ray(store, names, folder / "camera", workers=2, progress=lambda *at: done.append(at))
        again = fill_on_ray(store, names[:-1], folder / "camera", workers=2)
    images, codec = open_imageset(folder / "set"), PixelCodec()
    spread = encoding_on_ray(images, codec, workers=2)
    encode_imageset(images, codec, folder / "latents-ray", batch_size=2, shard_bytes=6000, spread=spread)
    print(json.dumps({"seen": sorted(seen), "again": len(again), "last": done[-1]}))

if __name__ == "__main__":
    main()
"""


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@needs_ray
def test_two_workers_make_the_same_bytes(tmp_path):
    from made import picture_set

    from roadstill.codecs.latents import encode_imageset
    from roadstill.codecs.pixels import PixelCodec

    rng = np.random.default_rng(0)
    names = [f"log{number % 5}/CAM_F0/{number}.jpg" for number in range(160)]
    for name in names:
        path = tmp_path / "camera" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(path)
    names.append("log0/CAM_F0/missing.jpg")
    (tmp_path / "names.json").write_text(json.dumps(names))
    images = picture_set(tmp_path / "set", 18)
    (tmp_path / "both.py").write_text(BOTH)
    words = [sys.executable, tmp_path / "both.py", tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["seen"]) == 2, "both workers took part"
    assert told["last"] == [161, 161]
    assert told["again"] == 0  # what is there is not made again
    with PictureStore(tmp_path / "own", PictureConfig(16)) as store:
        fill_from_folder(store, names, tmp_path / "camera")
    pictures = {path: data for path, data in files(tmp_path / "own").items() if path.suffix == ".png"}
    assert len(pictures) == 160
    assert {path: data for path, data in files(tmp_path / "ray").items() if path.suffix == ".png"} == pictures
    encode_imageset(images, PixelCodec(), tmp_path / "latents", batch_size=2, shard_bytes=6000)
    assert len(list((tmp_path / "latents").glob("moments-*"))) > 2
    assert files(tmp_path / "latents-ray") == files(tmp_path / "latents")


def test_without_ray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'roadstill\[ray\]'"):
        require_ray()
    with PictureStore(tmp_path / "store", PictureConfig(16)) as store, pytest.raises(UserError, match="needs Ray Data"):
        fill_on_ray(store, ["a.jpg"], tmp_path)


def test_the_users_mistake_is_found_in_what_ray_wraps_it_in():
    error = RuntimeError("a task failed")
    error.__cause__ = UserError("hook x failed: no")
    assert str(_users(error)) == "hook x failed: no"
    assert _users(RuntimeError("ours")) is None
