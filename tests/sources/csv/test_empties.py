"""Columns of unequal length that were put side by side, against cells that are empty now and then."""

import numpy as np
import pytest

from roadstill.sources.csv.empties import Empties


def found(*masks, most=0.2):
    """What is said of one column that comes in these batches."""
    empties = Empties(most)
    for mask in masks:
        empties.add({"image": np.asarray(mask, bool), "speed": np.zeros(len(mask), bool)})
    return empties.found()


def column(filled, empty):
    return np.arange(filled + empty) >= filled


@pytest.mark.parametrize(("filled", "empty"), [(1200, 4800), (1200, 1200), (1200, 300), (1200, 60), (20, 6)])
def test_a_block_at_the_end(filled, empty):
    said = found(column(filled, empty))
    rows = filled + empty
    assert said.startswith(f"{empty:,} of {rows:,} rows have no image, {empty:,} of them the last of the file")
    assert "--csv.max_empty 1" in said
    assert found(column(filled, empty), most=1) is None


def test_a_block_over_several_batches():
    mask = column(1000, 200)
    assert found(mask[:900], mask[900:1050], mask[1050:1100], mask[1100:]) == found(mask)
    assert found(mask, column(1000, 0)) is None  # it is not the end


@pytest.mark.parametrize(("filled", "empty"), [(1200, 0), (1200, 4), (1200, 24), (3, 1)])
def test_a_few_rows_at_the_end_are_a_torn_file(filled, empty):
    assert found(column(filled, empty)) is None


def test_many_empty_cells_anywhere():
    scattered = np.arange(1000) % 3 == 1
    assert found(scattered).startswith("333 of 1,000 rows have no image; if columns")
    assert found(scattered, most=0.4) is None
    assert found(np.arange(1000) % 6 == 1) is None
