"""Equal to the last type, arrays included."""

import numpy as np


def same(ours, theirs):
    if isinstance(theirs, np.ndarray):
        assert type(ours) is np.ndarray
        assert ours.dtype.newbyteorder("=") == theirs.dtype.newbyteorder("=")  # pickle's own turns some bytes
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs
