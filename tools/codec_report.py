"""What a codec costs: PSNR by region, perceptual distance, pattern of blocks, and agents that see through it.

    python tools/codec_report.py quality runs/demo/sets/dev --logs runs/demo/world/navsim_logs/mini [--codec FILE ...]
    python tools/codec_report.py blocks FOLDER ...
    python tools/codec_report.py agents runs/demo/sets --out FOLDER [--codec FILE] [--seeds 10]

quality: persons, vehicles and rears are the boxes of the logs in the picture (rears: rear faces of vehicles that look
our way). tail_lamps are pixels inside rears, and signals pixels outside of vehicles, that are as bright and as purely
red, amber or green as `lampness` over 0.25 asks for (in the true picture). The distance is `perceptual_distance`.
blocks: `block_ratios` (8, 4 and 8/3 px) and `border_ratio` of any image sets, refined and generated ones as well, and
of folders of pictures of one size.
agents: balanced accuracy on the real dev part of agents that learned from real and from reconstructed pictures, and on
the reconstructed dev part of the former, over seeds.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.agents import AgentConfig, FeatureCache, train_agent
from roadstill.codecs import Codec, from_pixels, load_codec
from roadstill.codecs.losses import imagenet_features, lampness
from roadstill.codecs.quality import (
    MEASURED_BLOCKS,
    Errors,
    block_ratios,
    border_ratio,
    perceptual_distance,
    reconstruct_imageset,
    reconstructed,
)
from roadstill.data.outlines import region_masks
from roadstill.evaluation import evaluate
from roadstill.images import read_image
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.runs import require_folder

BATCH, LAMP = 16, 0.25
COLUMNS = ("all", "persons", "vehicles", "rears", "tail_lamps", "signals")


def masks_of(images: ImageSet, rows: NDArray[np.int64], pixels: torch.Tensor, logs: Path) -> dict[str, torch.Tensor]:
    """Masks ``[b, s, s]`` of all regions."""
    each = [region_masks(images, int(row), logs) for row in rows]
    masks = {name: torch.from_numpy(np.stack([one[name] for one in each])) for name in each[0]}
    lit = lampness(pixels)[:, 0] > LAMP
    return masks | {"tail_lamps": lit & masks["rears"], "signals": lit & ~masks["vehicles"]}


@torch.no_grad()
def quality(images: ImageSet, codecs: dict[str, Codec], logs: Path) -> None:
    """Prints one line for each codec."""
    features = imagenet_features(MEASURED_BLOCKS)
    errors, made = {name: Errors() for name in codecs}, {name: [] for name in codecs}
    for rows, seen in images.batches(BATCH):
        pixels = from_pixels(torch.from_numpy(seen))
        masks = masks_of(images, rows, pixels, logs)
        for name, codec in codecs.items():
            pictures = reconstructed(codec, seen)
            made[name].append(pictures)
            through = from_pixels(torch.from_numpy(pictures))
            errors[name].add(through, pixels, masks)
            errors[name].distances += perceptual_distance(features, through, pixels).tolist()
    print(f"{len(images)} pictures of {images.size_px} px; PSNR in dB; blocks: 8, 4 and 8/3 px, borders")
    print(f"{'codec':<24} " + " ".join(f"{name:>10}" for name in (*COLUMNS, "distance", "blocks")))
    for name in codecs:
        psnr = errors[name].psnr_db()
        cells = " ".join(f"{psnr[key]:>10.2f}" if key in psnr else f"{'-':>10}" for key in COLUMNS)
        print(f"{name:<24} {cells} {np.mean(errors[name].distances):>10.4f}     {told(np.concatenate(made[name]))}")
    print(f"{'the pictures themselves':<24} {'':>76}     {told(images.pixels())}")


def told(pixels: NDArray[np.uint8]) -> str:
    """The ratios of a pattern of 8 px in pictures, and that of borders, as text."""
    return " ".join(f"{ratio:.2f}" for ratio in (*block_ratios(pixels).values(), border_ratio(pixels)))


def pictures_of(folder: Path) -> NDArray[np.uint8]:
    """All pictures of an image set, or of a folder of pictures of one size at any depth."""
    if (folder / "set.json").is_file():
        return open_imageset(folder).pixels()
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
    return np.stack([np.asarray(read_image(path)) for path in files])


def agents(sets: Path, out: Path, codec: Codec, config: AgentConfig, seeds: int) -> None:
    """Prints what agents lose by the codec, each seed and the means."""
    real = {part: open_imageset(sets / part) for part in ("train", "dev")}
    seen = {}
    for part, images in real.items():
        there = (out / part / "set.json").is_file()
        seen[part] = open_imageset(out / part) if there else reconstruct_imageset(images, codec, out / part)
    cache, rows = FeatureCache(), []
    print("balanced accuracy in %: real to real, real to reconstructed, reconstructed to real")
    for seed in range(seeds):
        plain = train_agent(real["train"], config=config, seed=seed, cache=cache)
        through = train_agent(seen["train"], config=config, seed=seed, cache=cache)
        pairs = ((plain, real["dev"]), (plain, seen["dev"]), (through, real["dev"]))
        rows.append([100 * evaluate(agent, images).balanced_accuracy for agent, images in pairs])
        print(f"seed {seed}: " + ", ".join(f"{value:.1f}" for value in rows[-1]), flush=True)
    scores = np.array(rows)
    for name, column in (("tested on reconstructions", 1), ("trained on reconstructions", 2)):
        lost = scores[:, 0] - scores[:, column]
        error = lost.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
        print(f"{name}: {lost.mean():.2f} points lost (standard error {error:.2f}), of {scores[:, 0].mean():.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_quality, of_blocks, of_agents = (verbs.add_parser(name) for name in ("quality", "blocks", "agents"))
    of_quality.add_argument("images", type=Path, help="image set made by prepare")
    of_quality.add_argument("--logs", type=Path, required=True, help="folder of the log pickles")
    of_quality.add_argument("--codec", type=Path, nargs="*", help="codecs as load_codec takes them; the shipped one")
    of_blocks.add_argument("folders", type=Path, nargs="+", help="image sets, or folders of pictures")
    of_agents.add_argument("sets", type=Path, help="folder with train and dev")
    of_agents.add_argument("--out", type=Path, required=True, help="folder for the reconstructed sets")
    of_agents.add_argument("--codec", type=Path)
    of_agents.add_argument("--seeds", type=int, default=10)
    of_agents.add_argument("--steps", type=int, default=200)
    of_agents.add_argument("--batch_size", type=int, default=64)
    of_agents.add_argument("--learning_rate", type=float, default=5e-4)
    of_agents.add_argument("--freeze", type=int, default=6, help="stages whose output is computed once for all seeds")
    options = parser.parse_args()
    if options.verb == "quality":
        codecs = {"/".join(path.parts[-2:])[:24]: load_codec(path) for path in options.codec or []}
        logs = require_folder(options.logs, "the folder of log pickles")
        quality(open_imageset(options.images), codecs or {"shipped": load_codec()}, logs)
    elif options.verb == "blocks":
        for folder in options.folders:
            print(f"{folder}: {told(pictures_of(folder))}")
    else:
        config = AgentConfig(
            network="efficientnet-lite0", steps=options.steps, batch_size=options.batch_size, freeze=options.freeze,
            learning_rate=options.learning_rate, batch_norm="fixed", head_init="zero",
        )  # fmt: skip
        agents(options.sets, options.out, load_codec(options.codec), config, options.seeds)


if __name__ == "__main__":
    main()
