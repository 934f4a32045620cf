"""Selectors as a user would write them, for tests to name by dotted path."""

import numpy as np


class ByFeatures:
    """Wants features; may take the largest or the smallest of a column."""

    def __init__(self, features, column=0, largest: bool = False):
        self.features, self.column, self.largest = features, column, largest

    def choose(self, images, rows, *, count, rng):
        found = self.features(images, rows)[:, self.column]
        return rows[np.argsort(-found if self.largest else found)[:count]]


class AtShare:
    """Cannot be made without its setting."""

    def __init__(self, share: float):
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}; it is from 0 to 1")
        self.share = share

    def choose(self, images, rows, *, count, rng):
        first = round(self.share * (len(rows) - count))
        return rows[first : first + count]


class Typed:
    """Its annotation is written as text."""

    def __init__(self, limit: "float" = 1.0):
        self.limit = limit

    def choose(self, images, rows, *, count, rng):
        return rows[:count]


class Faulty:
    """Does what its setting names."""

    def __init__(self, how="raises"):
        self.how = how

    def choose(self, images, rows, *, count, rng):
        if self.how == "raises":
            raise KeyError("speed")
        return {"few": rows[: count - 1], "twice": rows[[0] * count], "beyond": rows[:count] + 1000}[self.how]
