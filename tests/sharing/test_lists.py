import io
import json

import pytest

from roadstill.sharing.lists import pair, write_entries


@pytest.mark.parametrize("count", [0, 1, 3])
def test_lists_and_mappings_are_json(count):
    file = io.StringIO()
    write_entries(file, (json.dumps(number) for number in range(count)), "[]")
    assert json.loads(file.getvalue()) == list(range(count))
    file = io.StringIO()
    write_entries(file, (pair(f'"{number}', [number]) for number in range(count)), "{}")
    assert json.loads(file.getvalue()) == {f'"{number}': [number] for number in range(count)}
