"""Hooks by name, and the one that blurs boxes: what it changes, how strongly, and what it refuses."""

import logging
import math
import pickle
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadstill.data.privacy import BlurBoxes, NamedHook, apply_hook, describe, hook_of
from roadstill.errors import UserError
from roadstill.images import BrokenImage
from roadstill.sources.navsim import lookup
from roadstill.sources.pickles.unpickle import read_pickle
from roadstill.world.logs import scenes_of, write_world
from roadstill.world.render import Renderer

pytestmark = pytest.mark.usefixtures("trusted")

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
WIDTH_PX, HEIGHT_PX, FOCAL_PX = 480, 270, 400.0
CAR, WALKER = [11.6, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0], [21.6, -6.0, 1.5, 0.6, 0.6, 1.8, 0.0]


def frame_of(number=0, boxes=(CAR, WALKER), names=("vehicle", "pedestrian"), **changes):
    ahead = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    front = {
        "data_path": f"{LOG}/CAM_F0/{number:016x}.jpg",
        "sensor2lidar_rotation": ahead,
        "sensor2lidar_translation": np.array([1.6, 0.0, 1.5]),
        "cam_intrinsic": np.array([[FOCAL_PX, 0, WIDTH_PX / 2], [0, FOCAL_PX, HEIGHT_PX / 2], [0, 0, 1]]),
        "distortion": np.zeros(5),
    }
    anns = {"gt_boxes": np.array(boxes, np.float64).reshape(-1, 7), "gt_names": np.array(names)}
    return {"token": f"{number:016x}", "lidar2ego": np.eye(4), "cams": {"CAM_F0": front}, "anns": anns} | changes


def facts_of(number=0, log=LOG):
    return {"token": f"{number:016x}", "log": log, "drive": "d", "image": f"{LOG}/CAM_F0/{number:016x}.jpg"}


@pytest.fixture
def logs(tmp_path):
    (tmp_path / f"{LOG}.pkl").write_bytes(pickle.dumps([frame_of(number) for number in range(3)]))
    return tmp_path


def rewrite(logs, *frames):
    (logs / f"{LOG}.pkl").write_bytes(pickle.dumps(list(frames)))


def noise(seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8))


def changed(before, after):
    return (np.asarray(before) != np.asarray(after)).any(-1)


# ---- blurring


def test_only_the_boxes_change(logs):
    picture = noise()
    mask = changed(picture, BlurBoxes(logs, margin=0.0)(picture, facts_of()))
    # The car's rear is 9 m away and 2 m wide and high; the walker 20 m away, 6 m to the right.
    car = (slice(91, 179), slice(196, 284))
    walker = (slice(135 - 18, 135 + 18), slice(240 + 113, 240 + 127))
    outside = np.ones_like(mask)
    for rows, columns in (car, walker):
        outside[rows.start - 1 : rows.stop + 2, columns.start - 1 : columns.stop + 2] = False
        assert mask[rows, columns].mean() > 0.97  # noise may hit its own average
    assert not mask[outside].any()


def test_margin_classes_and_small_boxes(logs):
    picture = noise()
    mask = changed(picture, BlurBoxes(logs, classes=["vehicle"])(picture, facts_of()))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (columns[0], columns[-1]) == pytest.approx((240 - 44.4 * 1.2, 240 + 44.4 * 1.2), abs=2)
    assert (rows[0], rows[-1]) == pytest.approx((135 - 44.4 * 1.2, 135 + 44.4 * 1.2), abs=2)
    rewrite(logs, frame_of(boxes=[[201.6, 0, 1.5, 2, 2, 2, 0]], names=["vehicle"]))  # 4 px
    assert not changed(picture, BlurBoxes(logs)(picture, facts_of())).any()
    assert changed(picture, BlurBoxes(logs, min_size_px=0)(picture, facts_of())).any()
    rewrite(logs, frame_of(boxes=[], names=[]))
    assert not changed(picture, BlurBoxes(logs)(picture, facts_of())).any()


def detail(pixels):
    """Energy of the finest detail: mean squared difference of neighbours."""
    levels = np.asarray(pixels, np.float64)
    return (np.diff(levels, axis=0) ** 2).mean() + (np.diff(levels, axis=1) ** 2).mean()


def test_detail_is_gone(logs):
    picture = noise()
    blurred = np.asarray(BlurBoxes(logs)(picture, facts_of()))
    car = (slice(95, 175), slice(200, 280))
    assert detail(np.asarray(picture)[car]) > 1000 * detail(blurred[car])


@pytest.mark.parametrize("square_px", [2, 3, 6])
def test_a_checkerboard_plate_cannot_be_recovered(logs, square_px):
    """A plate of 24 x 6 px (0.52 m at 9 m are 23 px) and its negative leave nearly the same blur."""
    across, down = np.meshgrid(np.arange(24), np.arange(6))
    board = ((across // square_px + down // square_px) % 2).astype(bool)
    results = []
    for pattern in (board, ~board):
        pixels = np.asarray(noise()).copy()
        pixels[150:156, 228:252] = np.where(pattern, 255, 0)[..., None]
        results.append(np.asarray(BlurBoxes(logs)(Image.fromarray(pixels), facts_of())).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 12  # where they differed by 255


def test_a_region_keeps_no_more_numbers_than_its_cells(logs):
    """Blurred regions of many pictures span 6 x 6 dimensions at most; what else there is, rounding to levels does."""
    hook = BlurBoxes(logs, classes=("vehicle",))
    patches = []
    for seed in range(80):
        coarse = noise(seed).crop((0, 0, 60, 34)).resize((480, 272), Image.Resampling.NEAREST).crop((0, 0, 480, 270))
        patches.append(np.asarray(hook(coarse, facts_of()))[100:170, 205:275, 0].ravel())
    strength = np.linalg.svd(np.array(patches) - np.mean(patches, 0), compute_uv=False)
    assert strength[36] < 0.01 * strength[0]


def test_a_far_box_before_a_near_one_gives_nothing_back(logs):
    """The small cells of a far car must not bring back what a walker before it hides, in whichever order they come."""
    far, near = [101.6, 0, 1.5, 4, 2, 1.5, 0], [6.6, 0, 1.5, 0.6, 0.8, 1.8, 0]
    picture = noise()
    for boxes, names in (((far, near), ("vehicle", "pedestrian")), ((near, far), ("pedestrian", "vehicle"))):
        rewrite(logs, frame_of(boxes=boxes, names=names))
        blurred = np.asarray(BlurBoxes(logs)(picture, facts_of()))
        inside = (slice(131, 139), slice(236, 244))
        assert detail(np.asarray(picture)[inside]) > 300 * detail(blurred[inside])


def test_half_a_car_is_blurred_as_strongly_as_a_whole_one(logs):
    """At the picture's border the cells are those of the whole outline."""
    rewrite(logs, frame_of(boxes=[[5.6, 2.5, 1.5, 2, 2, 2, 0]], names=["vehicle"]))  # its rear spans 200 to 467 px left
    blurred = np.asarray(BlurBoxes(logs)(noise(), facts_of())).astype(int)
    assert np.abs(np.diff(blurred[60:200, :40], axis=1)).max() <= 6
    grown = np.flatnonzero(changed(noise(), blurred.astype(np.uint8)).any(0)).max()
    # It grew by a share of half the picture's height, not of what reaches beyond the picture.
    assert grown == pytest.approx(240 - 1.5 / 5 * FOCAL_PX + 0.1 * HEIGHT_PX / 2, abs=2)


def test_deterministic_and_harmless(logs):
    picture = noise()
    before = picture.tobytes()
    hook = BlurBoxes(logs)
    first = hook(picture, facts_of())
    assert hook(picture, facts_of()).tobytes() == first.tobytes()
    assert picture.tobytes() == before
    assert hook(picture.convert("L"), facts_of()).mode == "RGB"
    again = pickle.loads(pickle.dumps(hook))
    assert again == hook
    assert again(picture, facts_of()).tobytes() == first.tobytes()


def test_a_log_is_read_once_as_long_as_its_pictures_come_in_a_row(logs, monkeypatch):
    other = LOG.replace("veh-35", "veh-36")
    (logs / f"{other}.pkl").write_bytes((logs / f"{LOG}.pkl").read_bytes())
    reads = []
    genuine = lookup.read_pickle
    monkeypatch.setattr(lookup, "read_pickle", lambda path: reads.append(path.stem) or genuine(path))
    hook = BlurBoxes(logs)
    for number in range(3):
        hook(noise(), facts_of(number))
    hook(noise(), facts_of(log=other))
    hook(noise(), facts_of())
    assert reads == [LOG, other, LOG]
    rewrite(logs, frame_of(boxes=[], names=[]))  # a changed file is read anew
    assert not changed(noise(), hook(noise(), facts_of())).any()


def without(key):
    return {name: part for name, part in frame_of().items() if name != key}


REFUSED = [
    ([without("anns")], {}, r"its boxes cannot be found \(anns: missing\)"),
    ([without("cams")], {}, "0 frames '0000000000000000' with this picture"),
    ([frame_of(names=["car", "pedestrian"])], {}, "'car' is none of vehicle"),
    ([frame_of(boxes=np.full((2, 7), np.nan))], {}, "anns.gt_boxes: a value is not a finite number"),
    ([frame_of(lidar2ego=np.zeros((4, 4)))], {}, "lidar2ego: not a rotation"),
    ([frame_of(), frame_of()], {}, "has 2 frames '0000000000000000' with this picture"),
    ([frame_of(token=7), 3, "frame", None], {}, "0 frames '0000000000000000' with"),
    ([frame_of()], {"token": "ffff"}, "0 frames 'ffff' with"),
    ([frame_of()], {"image": f"{LOG}/CAM_F0/other.jpg"}, "0 frames '0000000000000000' with this picture"),
    ([frame_of()], {"log": "../secret"}, "log: '../secret' is not a plain name"),
    ([frame_of()], {"log": "a/b"}, "log: 'a/b' is not a plain name"),
    ([frame_of()], {"log": "nowhere"}, r"nowhere.pkl: No such file"),
    ({"token": frame_of()}, {}, "it holds a dict, not a list of frames"),
]


@pytest.mark.parametrize(("content", "facts", "message"), REFUSED)
def test_no_picture_leaves_unblurred_in_silence(logs, caplog, content, facts, message):
    (logs / f"{LOG}.pkl").write_bytes(pickle.dumps(content))
    facts = facts_of() | facts
    with pytest.raises(UserError, match=f"(?s){message}.*; set missing to leave_out or keep"):
        BlurBoxes(logs)(noise(), facts)
    with pytest.raises(BrokenImage, match=message):
        BlurBoxes(logs, missing="leave_out")(noise(), facts)
    with caplog.at_level(logging.WARNING):
        assert not changed(noise(), BlurBoxes(logs, missing="keep")(noise(), facts)).any()
        BlurBoxes(logs, missing="keep")(noise(), facts)
    assert len([record for record in caplog.records if "not blurred" in record.getMessage()]) == 1


def test_a_pickle_that_runs_code_is_refused(logs):
    (logs / f"{LOG}.pkl").write_bytes(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.")
    for _ in range(2):  # the second time from memory
        with pytest.raises(UserError, match=r"it names 'os\.system'"):
            BlurBoxes(logs)(noise(), facts_of())


def test_a_cropped_picture_is_refused(logs):
    with pytest.raises(UserError, match="was it cropped"):
        BlurBoxes(logs)(noise().crop((105, 0, 375, 270)), facts_of())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"logs": "nowhere"}, "nowhere does not exist; it should be the folder of log pickles"),
        ({"classes": ["vehicles"]}, r"classes \['vehicles'\]: choose among vehicle, pedestrian"),
        ({"classes": []}, r"classes \[\]: choose among"),
        ({"margin": -0.1}, "margin -0.1 should be"),
        ({"margin": "wide"}, "margin 'wide' should be"),
        ({"cells": 0}, "cells 0 should be 1 to 10"),
        ({"cells": 40}, "cells 40 should be 1 to 10; more would leave faces recognisable"),
        ({"cells": 2.5}, "cells 2.5 should be"),
        ({"min_size_px": 200}, "min_size_px 200 should be 0 to 24"),
        ({"missing": "ignore"}, "missing 'ignore' is unknown; choose refuse, leave_out or keep"),
    ],
)
def test_wrong_settings(logs, settings, message):
    with pytest.raises(UserError, match=message):
        BlurBoxes(**({"logs": logs} | settings))


# ---- hooks by name

MODULE = """
from PIL import ImageOps

def flip(picture, facts, axis="across"):
    return ImageOps.mirror(picture) if axis == "across" else ImageOps.flip(picture)

class Grey:
    def __init__(self, strength=1.0):
        self.strength, self._cache = strength, {}

    def __call__(self, picture, facts):
        return ImageOps.grayscale(picture).convert("RGB")

def with_one_argument(picture):
    return picture

hidden = lambda picture, facts: picture
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_hooks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield "my_hooks"
    sys.modules.pop("my_hooks", None)


def test_functions_and_classes_by_name(mine, logs):
    picture = noise()
    plain = hook_of("my_hooks.flip")
    assert apply_hook(plain, picture, {}).tobytes() == picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    down = hook_of("my_hooks.flip", {"axis": "down"})
    assert down(picture, {}).tobytes() == picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()
    grey = pickle.loads(pickle.dumps(hook_of("my_hooks.Grey", {"strength": 0.5})))
    assert grey(picture, {}).getpixel((0, 0))[0] == grey(picture, {}).getpixel((0, 0))[1]
    blur = hook_of("roadstill.data.privacy.BlurBoxes", {"logs": str(logs), "classes": ["vehicle"]})
    assert isinstance(blur, NamedHook)
    assert blur.call == BlurBoxes(logs, classes=("vehicle",))


def test_defaults_are_for_those_who_take_them(mine, logs):
    defaults = {"logs": logs, "axis": "down"}
    assert hook_of("my_hooks.flip", defaults=defaults).settings == {"axis": "down"}
    assert hook_of("my_hooks.flip", {"axis": "across"}, defaults=defaults).settings == {"axis": "across"}
    assert hook_of("my_hooks.Grey", defaults=defaults).settings == {}
    assert hook_of("roadstill.data.privacy.BlurBoxes", {"cells": 4}, defaults=defaults).call == BlurBoxes(logs, cells=4)


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("flip", {}, "hook 'flip' with settings {} cannot be used"),
        ("my_hooks.nothing", {}, "no 'my_hooks.nothing'"),
        ("my_hooks.number", {}, "not a callable|not callable"),
        ("my_hooks.with_one_argument", {}, "too many positional arguments"),
        ("my_hooks.flip", {"axes": 2}, "axes"),
        ("my_hooks.Grey", {"weight": 2}, "weight"),
        ("my_hooks.hidden", {}, "cannot be handed to worker processes"),
        ("roadstill.data.privacy.BlurBoxes", {}, "logs"),
        ("roadstill.data.privacy.BlurBoxes", {"logs": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_names_that_are_no_hooks(mine, path, settings, message):
    with pytest.raises(UserError, match=message):
        hook_of(path, settings)


def test_what_a_set_remembers(mine, logs, tmp_path):
    down = hook_of("my_hooks.flip", {"axis": "down"})
    told = describe(down)
    assert told["name"] == "my_hooks.flip"
    assert told["settings"] == {"axis": "down"}
    assert describe(hook_of("my_hooks.flip", {"axis": "down"})) == told
    assert describe(down.call) == told  # as it is without its name
    assert describe(hook_of("my_hooks.flip"))["digest"] != told["digest"]
    assert describe(hook_of("my_hooks.Grey"))["settings"] == {"strength": 1.0}
    blur = describe(BlurBoxes(logs))
    assert blur["name"] == "roadstill.privacy.BlurBoxes"  # as sets of the old layout name it
    assert blur == describe(hook_of("roadstill.privacy.BlurBoxes", {"logs": logs}))
    assert blur["settings"]["classes"] == ["vehicle", "pedestrian", "bicycle"]
    assert blur == describe(hook_of("roadstill.data.privacy.BlurBoxes", {"logs": logs}))
    (tmp_path / "code" / "my_hooks.py").write_text(MODULE + "# another text\n")
    assert describe(down)["digest"] != told["digest"]
    assert describe(max)["name"] == "builtins.max"


def test_settings_that_json_cannot_hold_are_told_by_type():
    class Odd:
        def __init__(self):
            self.rng, self.size, self._secret = np.random.default_rng(0), (1, 2), 3

        def __call__(self, picture, facts):
            return picture

    assert describe(Odd())["settings"] == {"rng": "Generator", "size": [1, 2]}
    assert describe(Odd()) == describe(Odd())


def raises(error):
    def hook(picture, facts):
        raise error

    return hook


def test_a_hook_that_fails_or_returns_no_picture():
    facts = facts_of()
    for made, message in (
        (None, "NoneType"),
        (noise().resize((8, 8)), r"RGB \(8, 8\)"),
        (noise().convert("L"), r"L \(480, 270\)"),
    ):
        with pytest.raises(UserError, match=rf"{LOG}/CAM_F0/0+.jpg: the hook returned {message}, not an RGB picture"):
            apply_hook(lambda picture, facts, made=made: made, noise(), facts)
    with pytest.raises(UserError, match=f"{LOG}.*: the hook failed: OSError: no weights"):
        apply_hook(raises(OSError("no weights")), noise(), facts)
    with pytest.raises(BrokenImage, match="leave me out"):
        apply_hook(raises(BrokenImage("leave me out")), noise(), facts)
    with pytest.raises(UserError, match=r"^mine$"):
        apply_hook(raises(UserError("mine")), noise(), facts)


# ---- the built-in world


def test_boxes_of_the_world_cover_what_it_draws(tmp_path):
    """What differs between a street with its traffic and without it is blurred, shadows on the road aside."""
    world = write_world(tmp_path / "world", drives=2, seed=3, frames=(20,))
    hook = BlurBoxes(world / "navsim_logs" / "mini", margin=0.05, min_size_px=0)
    renderer = Renderer(256, 144)
    covered, drawn, blurred, pixels = 0, 0, 0, 0
    try:
        for image, scene in islice(scenes_of(world, drives={1}), 0, None, 10):
            near = [one for one in scene.objects if math.dist((one.x_m, one.y_m), (scene.ego_x_m, scene.ego_y_m)) < 60]
            with_traffic = renderer.draw(replace(scene, objects=tuple(near)))  # its logs have no boxes beyond 64 m
            without = renderer.draw(replace(scene, objects=()))
            traffic = np.abs(with_traffic.astype(int) - without).max(-1) > 40
            log = Path(image).parts[0]
            paths = {entry["cams"]["CAM_F0"]["data_path"]: entry for entry in read_pickle(hook.logs / f"{log}.pkl")}
            facts = {"log": log, "token": paths[image]["token"], "image": image}
            mask = changed(with_traffic, hook(Image.fromarray(with_traffic), facts))
            covered, drawn, blurred = covered + (traffic & mask).sum(), drawn + traffic.sum(), blurred + mask.sum()
            pixels += mask.size
    finally:
        renderer.close()
    assert drawn > 1000
    assert covered > 0.97 * drawn
    assert blurred < 0.5 * pixels  # parked cars, bins and margins are blurred as well, and not the street
