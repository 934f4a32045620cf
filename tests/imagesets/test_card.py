"""Cards of sets: what the hub reads, what people read, and that neither depends on time or place."""

import pytest
import yaml

from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.imagesets.card import Layout, Portrait, card_of, without_places
from roadstill.imagesets.tally import Tally

NAVSIM = {"crop": "centre square", "labels": "accel_mps2 < 0", "split": "dev", "synthetic": False, "source": "navsim"}
GENERATED = {"method": "generated", "seed": 3, "checkpoint": "c" * 16, "codec": "d" * 16}


def portrait(about, rows=({"label": 0, "token": "t"}, {"label": 1, "token": "u"}), **more):
    tally = Tally(("not_brake", "brake"))
    for row in rows:
        tally.add({"file_name": "x", **row})
    return Portrait(tally, about, 64, **more)


def parts(text):
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_what_the_hub_reads():
    front, _ = parts(card_of(portrait(NAVSIM, name="Brakes", creators=("A",))))
    assert front["license"] == "cc-by-nc-sa-4.0"
    assert front["pretty_name"] == "Brakes"
    assert front["size_categories"] == ["n<1K"]
    assert front["task_categories"] == ["image-classification"]
    assert "synthetic" not in front["tags"]
    (config,) = front["configs"]
    assert config["data_files"] == [{"split": "validation", "path": ["metadata.jsonl", "*/*.png"]}]
    names = {"0": "not_brake", "1": "brake"}
    assert config["features"] == [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": names}}},
        {"name": "token", "dtype": "string"},
    ]


@pytest.mark.parametrize(
    ("about", "licences", "says"),
    [
        (NAVSIM, "cc-by-nc-sa-4.0", "Real pictures"),
        ({"synthetic": True}, "apache-2.0", "Synthetic: pictures rendered by a computer"),
        ({"source": "cifar10"}, "unknown", "Real pictures"),
        (GENERATED | {"sources": ["world"]}, "apache-2.0", "Synthetic: pictures drawn by a generative model"),
        (
            GENERATED | {"sources": ["navsim", "dit-weights"]}, ["cc-by-nc-4.0", "cc-by-nc-sa-4.0"],
            "All of these conditions hold together",
        ),
        (GENERATED, "unknown", "Where a licence is unknown, ask its owner"),
        ({"distilled": {"seed": 0}, "source": "cifar10"}, "unknown", "Synthetic: pictures whose pixels or latents"),
        (GENERATED | {"refined": {"seed": 0}}, "unknown", "Synthetic: pictures whose pixels or latents"),
        ({"published": {"file": "a.pt"}}, "unknown", "a distilled set that others published"),
        ({}, "unknown", "Pictures whose source was not recorded."),
    ],
)  # fmt: skip
def test_sources_and_nature_are_said_plainly(about, licences, says):
    front, body = parts(card_of(portrait(about)))
    assert front["license"] == licences
    assert says in body
    assert ("synthetic" in front["tags"]) == ("Synthetic: " in body)


def test_how_pictures_were_made_is_told():
    shared = {"solver": "dpm", "betas": "b" * 16}
    rows = [{"label": 0, "seed": 1} | shared, {"label": 1, "seed": 2} | shared]
    _, body = parts(card_of(portrait(GENERATED, rows)))
    assert '- checkpoint: `"cccccccccccccccc"`' in body
    assert '- betas of every picture: `"bbbbbbbbbbbbbbbb"`' in body
    assert "a seed for each picture: column `seed`" in body


def test_folders_of_this_machine_are_left_out():
    hook = {
        "name": "BlurBoxes",
        "settings": {"logs": "/home/me/secret/mini", "other": "C:\\Users\\me\\logs", "cells": 6},
    }
    about = NAVSIM | {"hook": hook, "group": "/drive_(x)/"}
    assert without_places(about)["hook"]["settings"] == {"logs": "mini", "other": "logs", "cells": 6}
    text = card_of(portrait(about))
    assert "/home" not in text
    assert "Users" not in text
    assert '- group: `"/drive_(x)/"`' in text
    assert "what a log has a box for was blurred" in text
    for other in ({"hook": "x"}, {"hook": {"settings": [1]}}, {}):
        assert without_places(other) == other


def test_layouts_and_results_of_others():
    other = Layout(("data/*.parquet",), "import this", "dataset_info", [{"name": "png", "dtype": "image"}], ("Boxes.",))
    front, body = parts(card_of(portrait(NAVSIM, layout=other, evaluation=["| 70 % |"])))
    assert front["dataset_info"] == {"features": [{"name": "png", "dtype": "image"}]}
    assert "features" not in front["configs"][0]
    assert "import this" in body
    assert "Boxes." in body
    assert "| 70 % |" in body
    front, _ = parts(card_of(portrait(NAVSIM, layout=Layout((), "import this"))))
    assert not {"configs", "dataset_info"} & set(front)


def test_texts_of_strangers_stay_within_their_line():
    about = {"method": "a`\n# b", "x\n# y": 1, "sources": ["m|n\n# o<b>"], "labels": "l`\nm", "long": "z" * 9000}
    front, body = parts(card_of(portrait(about, name="name\n# p")))
    assert front["pretty_name"] == "name\\n# p"
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert [line for line in headings if "b" == line[-1] or line[-1] in "yop"] == ["# name\\n# p"]
    assert "<b>" not in body
    assert len(card_of(portrait(about))) < 8000


def test_the_hubs_own_library_reads_it():
    hub = pytest.importorskip("huggingface_hub")
    data = hub.DatasetCard(card_of(portrait(GENERATED | {"sources": ["navsim", "world"]}))).data
    assert data.license == ["apache-2.0", "cc-by-nc-sa-4.0"]
    assert data.task_categories == ["image-classification"]


def test_a_saved_set_has_a_card_and_the_same_one_each_time(tmp_path):
    import numpy as np

    for name in ("one", "two"):
        with ImageSetWriter(tmp_path / name, ("off", "no", "1"), 8) as writer:
            for label in range(3):
                writer.add(np.full((8, 8, 3), label, np.uint8), label, {"token": "null", "image": "a/b.jpg"})
            writer.about.update(NAVSIM)
    text = (tmp_path / "one" / "README.md").read_text()
    assert text == (tmp_path / "two" / "README.md").read_text()
    assert text == (open_imageset(tmp_path / "one").save(tmp_path / "three").root / "README.md").read_text()
    names = parts(text)[0]["configs"][0]["features"][1]["dtype"]["class_label"]["names"]
    assert names == {"0": "off", "1": "no", "2": "1"}
