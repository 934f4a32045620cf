"""Published hyperparameters of minimax fine-tuning of EDM on CIFAR-10; docs/weights.md has them as commands."""

from roadstill.adapters import DiffFit
from roadstill.generator.config import EDMTraining, Ema, FinetuneConfig, Labels, Minimax

MINIMAX_CIFAR10 = {
    # Thesis, table of hyper-parameters: "SongUNet-ncsnpp", 4 GPUs. Its weights are tuned for a summed loss.
    "thesis": FinetuneConfig(
        steps=15_600,
        batch_size=256,
        learning_rate=1e-3,
        adapters=(DiffFit(),),
        minimax=Minimax(representativeness=8.0, diversity=16.0, memory_size=64),
        labels=Labels(balanced=False, dropout=0.0),
        edm=EDMTraining(loss_reduction="sum"),
    ),
    # The thesis author's public code of July 2024: 8 epochs on 2 GPUs. It multiplies the summed loss by 5e-4, and has
    # weights 0.002 and 0.008 beside it; Adam only sees the ratio, which is 4 and 16. It mirrors and augments further,
    # and draws from the last weights (``which="trained"``).
    "author": FinetuneConfig(
        steps=3_125,
        batch_size=128,
        learning_rate=1e-4,
        adapters=(DiffFit(),),
        minimax=Minimax(representativeness=4.0, diversity=16.0, memory_size=128),
        labels=Labels(balanced=False, dropout=0.0),
        ema=Ema(mode="reference"),
        edm=EDMTraining(loss_reduction="sum", augment=0.5),
    ),
}
