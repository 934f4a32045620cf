"""How well braking can be predicted from what the pictures of the built-in world show.

Simulates drives, applies the filters of the thesis, and fits gradient-boosted trees to the visible facts (``see_*``)
of one half of the drives; prints their accuracy on the other half. No picture is rendered.

    python tools/world_learnability.py --drives 150 --group demo
"""

import argparse
import time
from collections import Counter

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier, export_text

from roadstill.world.drive import drives_of, simulate

SIGHT = "see_"


def rows_of(group, drives, seed):
    """Returns one dict of facts per frame, and the seconds that the simulation took."""
    rows, seconds = [], 0.0
    for spec in drives_of(group, drives, seed):
        start = time.process_time()
        scenes = simulate(spec)
        seconds += time.process_time() - start
        rows += [scene.facts | {"drive": spec.index, "town": spec.town} for scene in scenes]
    return rows, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drives", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", default="demo")
    parser.add_argument("--errors", type=int, default=0, help="print this many frames that the trees get wrong")
    parser.add_argument("--tree", action="store_true", help="print the depth-3 tree")
    options = parser.parse_args()
    if options.seed >= 9000:
        parser.error("seeds from 9000 on are reserved for confirmation")
    rows, seconds = rows_of(options.group, options.drives, options.seed)
    print(f"frames {len(rows)}, {len(rows) / seconds:.0f} a second of one core")
    straight = [r for r in rows if r["command"] == 1]
    hard = [r for r in straight if abs(r["accel_mps2"]) > 1.0]
    kept = [r for r in hard if r["speed_mps"] >= 3.0]
    print(f"command straight {len(straight)}, |a| > 1: {len(hard)}, v >= 3: {len(kept)} ({len(kept) / len(rows):.1%})")
    names = sorted(name for name in kept[0] if name.startswith(SIGHT))
    x = np.array([[r[name] for name in names] for r in kept])
    y = np.array([r["accel_mps2"] < 0 for r in kept])
    print(f"brake share {y.mean():.1%}")
    test = np.array([r["drive"] % 2 == 1 for r in kept])
    trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.06, random_state=0).fit(x[~test], y[~test])
    shallow = DecisionTreeClassifier(max_depth=3, class_weight="balanced", random_state=0).fit(x[~test], y[~test])
    told = trees.predict(x[test])
    print(f"balanced accuracy, boosted trees: {balanced_accuracy_score(y[test], told):.4f}")
    print(f"balanced accuracy, depth-3 tree:  {balanced_accuracy_score(y[test], shallow.predict(x[test])):.4f}")
    if options.tree:
        print(export_text(shallow, feature_names=names))
    seen = [r for r, t in zip(kept, test, strict=True) if t]
    print("cause                frames  brake   wrong")
    for cause, number in Counter(r["cause"] for r in kept).most_common():
        of = [(r["accel_mps2"] < 0) != bool(t) for r, t in zip(seen, told, strict=True) if r["cause"] == cause]
        brake = np.mean([r["accel_mps2"] < 0 for r in kept if r["cause"] == cause])
        print(f"{cause:20} {number:6} {brake:6.1%} {np.mean(of or [0]):6.1%}")
    shown = 0
    for r, t in zip(seen, told, strict=True):
        if (r["accel_mps2"] < 0) != bool(t) and shown < options.errors:
            shown += 1
            short = {k.removeprefix(SIGHT): round(v, 1) for k, v in r.items() if k in names and v not in (0.0, 80.0)}
            head = f"d{r['drive']} l{r['log']} f{r['frame']} a {r['accel_mps2']:.2f} v {r['speed_mps']:.1f}"
            print(head, r["cause"], short)


if __name__ == "__main__":
    main()
