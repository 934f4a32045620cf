"""A set of as many pictures as are asked for, none of which is on disk."""

import random
import tracemalloc

from roadstill.imagesets.records import SetRecord
from roadstill.imagesets.streams import SetStream


class Endless(SetStream):
    def facts(self):
        for number in range(self.record.num_images):
            yield {"file_name": f"0_a/{number}.png", "label": 0, "token": f"{number:016x}", "speed_mps": number / 2}

    def png(self, facts):
        return random.Random(facts["token"]).randbytes(2**12)


def endless(root, count):
    return Endless(root, SetRecord(class_names=("a",), size_px=32, num_images=count, digest="0" * 16))


def peak_mib(write, *arguments):
    """Memory of Python's objects that a call needs at most."""
    tracemalloc.start()
    try:
        write(*arguments)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
