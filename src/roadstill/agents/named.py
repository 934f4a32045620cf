"""Named protocols for training classifiers, as fields of `AgentConfig`.

``head`` trains a logistic head on frozen ImageNet features. The others are those for sets distilled from CIFAR-10, of
which a table has to name the one that it used, since random pictures alone gain 7 points from one to the next: ``dc``
of Zhao, Mopuri and Bilen 2021, without augmentation; ``dsa`` of Zhao and Bilen 2021; ``mtt`` of Cazenavette et al.
2022 (``dsa`` with the learning rate that the set carries); ``idc`` of Kim et al. 2022; ``datm`` of Guo et al. 2024;
``ncfm`` of Wang et al. 2025; ``author`` that of the thesis' author on sets from EDM. The short forms differ only in the
number of epochs.
"""

from typing import Any

_DSA: dict[str, Any] = {
    "network": "convnet-3", "optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4,
    "epochs": 1000, "decay_at": [0.5], "decay": 0.1, "batch_size": 256, "augment": "dsa", "normalise": "cifar10",
}  # fmt: skip
_IDC: dict[str, Any] = _DSA | {
    "decay_at": [2 / 3, 5 / 6], "decay": 0.2, "batch_size": 64, "augment": "dsa_cutmix", "cutmix_probability": 0.5,
}  # fmt: skip
_NCFM: dict[str, Any] = {
    "network": "convnet-3", "optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 5e-4, "epochs": 2000,
    "batch_size": 128, "augment": "dsa_cutmix", "cutmix_probability": 0.5, "normalise": "cifar10",
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
    "dc": _DSA | {"epochs": 300, "augment": "none"},
    "dsa": _DSA,
    "mtt": _DSA | {"recipe": "apply"},
    "idc": _IDC,
    "datm": _DSA | {"batch_size": 128, "recipe": "apply"},
    "ncfm": _NCFM,
    "author": _AUTHOR,
    "dsa-200": _DSA | {"epochs": 200},
    "author-200": _AUTHOR | {"epochs": 200},
    "head": _HEAD,
}
