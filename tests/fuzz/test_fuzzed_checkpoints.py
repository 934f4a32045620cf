"""Records of generators, codecs, latents and agents with any value at any place end in a value or in one line."""

import json

import pytest
from fuzz_checkpoints import METADATA, READERS, read, read_file, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fuzzed_records import VALUES, changed, places

RECORDS = [file for file in READERS if file.endswith(("json", METADATA))]
# What lies near what a size may be, where a check by type alone would let it pass.
SIZES = st.sampled_from([0, -1, 1, 2, 3, 7, 100, 10**4, 10**6, 10**9, 2**31, 0.0, 1.0, 1e30, [], [0], [1] * 100, {}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("whole")
    whole(made)
    return made


@settings(max_examples=150)
@given(file=st.sampled_from(RECORDS), data=st.data())
def test_any_value_at_any_place(folder, file, data):
    record = json.loads(whole(folder)[file])
    path = data.draw(st.sampled_from(list(places(record))))
    text = json.dumps(changed(record, path, data.draw(VALUES | SIZES)))
    read_file(file, text.encode(errors="replace"), folder)


@settings(max_examples=60)
@given(file=st.sampled_from(RECORDS), data=st.data())
def test_any_field_may_be_missing_or_more(folder, file, data):
    record = json.loads(whole(folder)[file])
    name = data.draw(st.sampled_from(sorted(record)))
    record.pop(name)
    record |= data.draw(st.dictionaries(st.text(max_size=8), VALUES, max_size=2))
    read_file(file, json.dumps(record).encode(errors="replace"), folder)


@settings(max_examples=100)
@given(file=st.sampled_from([*READERS]), at=st.integers(0, 2**16), put=st.binary(min_size=1, max_size=9))
def test_other_bytes_anywhere(folder, file, at, put):
    good = whole(folder)[file]
    at %= len(good) + 1
    read_file(file, good[:at] + put + good[at + len(put) :], folder)


@settings(max_examples=60)
@given(data=st.binary(max_size=80))
def test_any_bytes(folder, data):
    read(data, folder)


def test_the_harness_reads_what_is_whole(folder):
    for file, data in whole(folder).items():
        READERS[file](folder)
        read_file(file, data, folder)
