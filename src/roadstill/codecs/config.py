"""Settings of a codec's training."""

from dataclasses import dataclass, field

from roadstill.codecs.small import CodecConfig
from roadstill.runs import check_ranges, later


@dataclass(frozen=True)
class CodecTraining:
    """How a codec is trained.

    Attributes:
        codec: shape of the autoencoder.
        steps: optimiser steps.
        batch_size: pictures per step.
        learning_rate: peak; it falls to zero along half a cosine.
        warmup_steps: steps of linear rise.
        squared: weight of the squared error; the absolute error alone is slow to leave the mean picture.
        edge: weight of the differences between neighbouring pixels, at three scales; much of it delays flat colours.
        perceptual: weight of ImageNet features (EfficientNet-Lite0, extra ``offline-agent``); 0 leaves them out.
        red: extra weight of a pixel as red as can be, so that small lamps survive the mean over a picture.
        lamps: extra weight of a pixel as bright and as purely red, amber or green as can be.
        detail: extra weight of a pixel that differs from those around it as much as can be: persons, thin things.
        noise: largest standard deviation of the noise on raw latents; the decoder learns to tolerate a
            generator's errors.
        shrink: weight of the squared raw latents; keeps them away from the decoder's soft clamp at 3.
        coarse_share: share of steps that decode latents averaged 2 x 2 and compare with half the picture; this makes
            latents smoother and easier for a diffusion model (Kouzelis et al. 2025, equivariance regularisation).
        crop_px: side of the random part of each picture that is trained on, a multiple of the downsampling; whole
            pictures if not given. Four quarters teach more than one whole, and cells then lie anywhere.
        flip: mirrors half of the pictures; a codec knows no left and right.
        bf16: computes in bfloat16 where the machine does; weights stay float32.
        held_out: pictures that are never trained on, for the figures in ``metrics.jsonl``.
        log_every: steps per line of metrics.
        save_every: steps per saved state.
    """

    codec: CodecConfig = field(default_factory=CodecConfig)
    steps: int = 8000
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    squared: float = 2.0
    edge: float = 0.3
    perceptual: float = 0.0
    red: float = 2.0
    lamps: float = later(0.0)
    detail: float = later(0.0)
    noise: float = 0.05
    shrink: float = 1e-3
    coarse_share: float = 0.2
    crop_px: int | None = later(None)
    flip: bool = True
    bf16: bool = True
    held_out: int = 32
    log_every: int = 100
    save_every: int = 500

    def __post_init__(self) -> None:
        check_ranges(self)
