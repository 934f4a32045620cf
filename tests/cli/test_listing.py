"""What the table of options says of a verb."""

from roadstill.cli.listing import options_of


def test_options_within_settings_and_what_they_take():
    found = options_of("generate")
    assert found["takes"] == {"out": "PATH"}
    assert found["options"]["--per_class"] == "N"
    assert found["options"]["--which"] == "{ema,trained}"
    assert found["options"]["--sampling.noise.eta"] == "NUMBER"
    assert "--out" not in found["options"]


def test_earlier_names_of_settings_are_known():
    assert "--tuning.ema_decay" in options_of("finetune")["old"]
