"""Named protocols for training classifiers, as fields of `AgentConfig`.

``head`` trains a logistic head on frozen ImageNet features. The others are those for sets distilled from CIFAR-10:
``dc`` is that of the gradient-matching line (Zhao, Mopuri and Bilen 2021; augmentation of Zhao and Bilen 2021),
``author`` that of the thesis' author on sets from EDM. The short forms differ only in the number of epochs.
"""

from typing import Any

_DC: dict[str, Any] = {
    "network": "convnet-3", "optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4,
    "epochs": 1000, "decay_at": [0.5], "decay": 0.1, "batch_size": 256, "augment": "dsa", "normalise": "cifar10",
}  # fmt: skip
_AUTHOR: dict[str, Any] = {
    "network": "convnet-3", "optimiser": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 5e-4,
    "epochs": 2000, "decay_at": [2 / 3, 5 / 6], "decay": 0.2, "batch_size": 128, "augment": "cutmix",
    "cutmix_probability": 0.5, "normalise": "unit",
}  # fmt: skip
_HEAD: dict[str, Any] = {
    "head_only": True, "head_init": "zero", "steps": 300, "learning_rate": 1e-3, "batch_size": 64,
}  # fmt: skip
PROTOCOLS: dict[str, dict[str, Any]] = {
    "dc": _DC,
    "author": _AUTHOR,
    "dc-200": _DC | {"epochs": 200},
    "author-200": _AUTHOR | {"epochs": 200},
    "head": _HEAD,
}
