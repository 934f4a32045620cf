import re

from roadstill.report import figures

ARM = {"label": "one", "seeds": [3, 4], "class_accuracy": {"brake": {"mean": 0.98, "sd": 0.1}},
       "balanced_accuracy": {"mean": 0.97, "sd": 0.3, "values": [0.94, 1.0]}, "ece": {"mean": 0.1},
       "reliability": [{"answers": 10, "confidence": 0.6, "accuracy": 0.5}]}  # fmt: skip


def titles(svg):
    return re.findall(r"<title>(.*?)</title>", svg)


def test_every_mark_says_what_it_stands_for():
    assert titles(figures.seed_dots([ARM], 0.5)) == [
        "one, seed 3: 94.0 %", "one, seed 4: 100.0 %", "one: mean 97.0 ± 30.0 %"
    ]  # fmt: skip
    verdict = {"arm": "a", "baseline": "b", "difference": 0.1, "low": -0.1, "high": 0.3, "word": "better"}
    assert titles(figures.differences([verdict], {"a": "A <i>"})) == [
        "A &lt;i&gt; +10.0 points, -10.0 to +30.0: better"
    ]
    assert titles(figures.class_bars([ARM], ["brake"])) == ["one, brake: 98.0 ± 10.0 %"]
    assert titles(figures.reliability([ARM])) == ["one: 60 % sure, 50 % right, 10 answers"]
    curve = {"one": [(10, {"mean": 0.6, "sd": 0.1}), (50, {"mean": 0.7})]}
    assert titles(figures.learning_curves(curve, {"all": 0.9}, 0.5)) == [
        "one, 10 images a class: 60.0 ± 10.0 %", "one, 50 images a class: 70.0 ± 0.0 %"
    ]  # fmt: skip


def test_bars_of_a_deviation_end_where_shares_end():
    assert figures._within(97.0, 30.0).ravel().tolist() == [30.0, 3.0]
    assert figures._within(2.0, 30.0).ravel().tolist() == [2.0, 30.0]
