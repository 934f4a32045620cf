import pytest

from roadstill.protocols import PROTOCOLS


def test_the_four_protocols_of_the_field():
    assert list(PROTOCOLS) == ["honest", "thesis-honest", "thesis", "literature"]
    assert {name: each.watched for name, each in PROTOCOLS.items()} == {
        "honest": "dev", "thesis-honest": "dev", "thesis": "test", "literature": "test",
    }  # fmt: skip
    assert [name for name, each in PROTOCOLS.items() if each.plateau] == ["thesis"]
    assert all(("oracle" in each.chosen) == (each.watched == "test") for each in PROTOCOLS.values())


def test_shares_of_the_parts():
    given = (0.7, 0.15, 0.15)
    assert PROTOCOLS["honest"].shares(given) == {"train": 0.7, "dev": 0.15, "test": 0.15}
    assert PROTOCOLS["thesis-honest"].shares(given) == pytest.approx({"train": 0.765, "dev": 0.085, "test": 0.15})
    for name in ("thesis", "literature"):
        assert PROTOCOLS[name].shares(given) == pytest.approx({"train": 0.85, "test": 0.15})
    assert PROTOCOLS["honest"].shares((0.7, 0.3, 0.0)) == {"train": 0.7, "dev": 0.3}
    assert PROTOCOLS["honest"].shares((0, 0, 1)) == {"test": 1}
