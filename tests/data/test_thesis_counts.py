"""The thesis' own counts are for its own selections and rules; what stands beside them is in test_indexing."""

import pytest

from roadstill.data.thesis_counts import THESIS, beside_thesis
from roadstill.errors import UserError
from roadstill.frames.filters import Funnel, FunnelRow


def rows(*names):
    return tuple(FunnelRow(name, 100 - step, {"not_brake": 60 - step, "brake": 40}) for step, name in enumerate(names))


RULES = ("all scenes", "command == straight", "|accel_mps2| > 1", "speed_mps >= 3")


def test_the_thesis_counts_add_up_where_both_classes_are_told():
    for table in THESIS.values():
        for name, total, *classes in table:
            assert None in classes or total == sum(classes), name


def test_other_presets_and_rules_are_refused():
    funnel = Funnel(rows(*RULES), other_rows=rows(*RULES[2:]))
    assert "navtrain-val" in beside_thesis(funnel, "navtrain-val")
    with pytest.raises(UserError, match="index with one of them as --preset"):
        beside_thesis(funnel, "navtest")
    with pytest.raises(UserError, match="leave out --filter"):
        beside_thesis(Funnel(rows(*RULES[:3]), other_rows=rows(*RULES[2:])), "navtrain-val")
