"""Writes tests/golden/logs: tiny logs in the structure of OpenScene's, with the numpy that runs this.

    python3.11 -m venv /tmp/numpy1 && /tmp/numpy1/bin/pip install "numpy==1.23.4"
    /tmp/numpy1/bin/python tools/write_golden_logs.py     # numpy1-*.pkl
    .venv/bin/python tools/write_golden_logs.py           # numpy2-*.pkl

Needs numpy and nothing else. The test compares every file with what `golden_log` returns under the test's numpy.
"""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from made_logs import make_frame, make_log  # noqa: E402

FOLDER = ROOT / "tests" / "golden" / "logs"
KINDS = {"frames": (2, 4, 5), "scene": (5,)}


def golden_log(kind: str) -> "list[dict[str, Any]]":
    """Returns the log of one kind: three frames with unusual types, or a scene of fourteen; one camera each."""
    log = make_log(14, 1) if kind == "scene" else [make_frame(0, 0), make_frame(1, 3), make_frame(2, 1)]
    for frame in log:
        frame["cams"] = {"CAM_F0": frame["cams"]["CAM_F0"]}
    if kind == "frames":
        log[1].update(
            timestamp=np.int64(log[1]["timestamp"]),
            frame_idx=np.int32(1),
            ego_dynamic_state=[np.float64(4.125), np.float32(0.125), np.float16(-1.5), 0.25],
            traffic_lights=[(np.int64(70_000), np.bool_(True)), (70_001, np.False_)],
            map_location=np.str_("us-ma-boston"),
        )
        log[2]["can_bus"] = log[2]["can_bus"].astype(">f8")
        log[2]["driving_command"] = np.eye(4, dtype=np.int64)[:, 2]  # not contiguous
        log[2]["ego_dynamic_state"] = np.array(log[2]["ego_dynamic_state"], np.float32)
    return log


def main() -> None:
    """Writes the files of this numpy's major version."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kind, protocols in KINDS.items():
        for protocol in protocols:
            path = FOLDER / f"numpy{np.__version__.split('.')[0]}-{kind}-protocol{protocol}.pkl"
            path.write_bytes(pickle.dumps(golden_log(kind), protocol))
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes, numpy {np.__version__}")


if __name__ == "__main__":
    main()
