"""Valid pickles with random damage."""

from hypothesis import strategies as st

BYTES = st.one_of(
    st.binary(min_size=1, max_size=12), st.sampled_from([b"\x94", b"(", b"]", b"h\x00", b"R", b"b", b"."])
)


@st.composite
def damaged(draw, pickles):
    """A pickle after one to four random cuts, copies, insertions and flips, perhaps with a part of another."""
    data = bytearray(draw(st.sampled_from(pickles)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.one_of(st.integers(0, 16), st.integers(0, 4000))))
        part = data[start:stop]
        kind = draw(st.sampled_from(["flip", "set", "cut", "double", "move", "insert", "splice"]))
        if kind == "flip" and part:
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[start:stop] = draw(BYTES)
        elif kind == "cut":
            del data[start:stop]
        elif kind == "double":
            data[stop:stop] = part
        elif kind == "move":
            del data[start:stop]
            place = draw(st.integers(0, len(data)))
            data[place:place] = part
        elif kind == "insert":
            data[start:start] = draw(BYTES)
        else:
            other = draw(st.sampled_from(pickles))
            begin = draw(st.integers(0, len(other)))
            data[start:] = other[begin:]
    return bytes(data)
