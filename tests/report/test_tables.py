import numpy as np
from made_run import fake_comparison

from roadstill.report import write_report
from roadstill.report.tables import curves, overview
from roadstill.report.verdicts import comparisons
from roadstill.runs import write_json


def save(run, *budgets, agent=None):
    for place, budget in enumerate(budgets):
        found = fake_comparison(np.random.default_rng(place))
        found["about"]["per_class"] = {name: None if name == "full" else budget for name in found["arms"]}
        found["caveats"] = ["x: always", f"only at {budget}"]
        name = "-".join(["comparison", str(budget), *([agent] if agent else [])])
        write_json(run / f"{name}.json", found | {"about": found["about"] | {"agent": agent}})


def test_one_table_has_all_budgets_and_the_full_arm_once(tmp_path):
    save(tmp_path, 50, 10)
    found = comparisons(tmp_path)
    table = overview(found)
    assert [(row["label"], row["per_class"]) for row in table["rows"][:2]] == [
        ("Random real frames", 10), ("Untouched generator", 10)
    ]  # fmt: skip
    assert sum(row["name"] == "full" for row in table["rows"]) == 1
    assert len(table["rows"]) == 2 * 4 + 1
    assert len(table["feet"]) == 1
    assert not table["agents"]
    assert table["caveats"] == ["x: always", "10 images per class: only at 10", "50 images per class: only at 50"]


def test_learning_curves_need_two_budgets_of_an_agent(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 10, 50, agent="soft")
    ((agent, points, bounds),) = curves(comparisons(tmp_path))
    assert agent == "soft"
    assert [count for count, _ in points["Random real frames"]] == [10, 50]
    assert list(bounds) == ["Full training part"]
    assert overview(comparisons(tmp_path))["agents"]
    page = write_report(tmp_path).read_text()
    assert page.count("Learning curve:") == 1
    assert "<h3>Agent soft</h3>" in page
    assert "<td>the recipe’s own</td>" in page
