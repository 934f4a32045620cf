import pytest

from roadstill.errors import UserError
from roadstill.report.costs import Minutes, minutes, stage_records
from roadstill.runs import write_json


def save(run, **stages):
    for name, (inputs, seconds) in stages.items():
        record = {"key": "k", "inputs": dict.fromkeys(inputs, "k"), "seconds": seconds}
        write_json(run / "stages" / name.replace("__", "@").replace("_", "-") / "stage.json", record)
    return minutes(stage_records(run))


def test_what_all_arms_need_is_nobodys_and_the_rest_is_told_apart(tmp_path):
    found = save(
        tmp_path,
        world=([], 600), sets=(["world"], 600), encode=(["sets"], 60), finetune_mine=(["encode"], 120),
        set_mine_0=(["sets", "encode", "finetune-mine"], 12), set_mine_1=(["sets", "finetune-mine"], 24),
        agent_mine_0=(["sets", "set-mine-0"], 6), agent_mine_1=(["sets", "set-mine-1"], 6),
        agent_full_0=(["sets"], 90),
    )  # fmt: skip
    assert found == {
        ("full", ""): Minutes(0, 0, 1.5),
        ("mine", ""): Minutes(3, pytest.approx(0.3), pytest.approx(0.1)),
    }
    assert found["mine", ""].total == pytest.approx(3.4)


def test_budgets_and_further_agents_are_kept_apart(tmp_path):
    found = save(tmp_path, set_mine__10_0=([], 60), agent_mine__10_0=(["set-mine@10-0"], 60))
    write_json(tmp_path / "stages" / "agent-mine@10+soft-0" / "stage.json", {"seconds": 120})
    assert found[("mine@10", "")] == Minutes(0, 1, 1)
    assert minutes(stage_records(tmp_path))[("mine@10", "soft")] == Minutes(0, 1, 2)


def test_stages_that_need_each_other_do_not_hang(tmp_path):
    found = save(tmp_path, a=(["b"], 60), b=(["a"], 60), agent_mine_0=(["a"], 0))
    assert found["mine", ""].once == 2


def test_a_damaged_record_is_named(tmp_path):
    write_json(tmp_path / "stages" / "sets" / "stage.json", {"inputs": ["sets"]})
    with pytest.raises(UserError, match=r"stage\.json, inputs"):
        stage_records(tmp_path)
