"""Pickles of exactly the structure that EDM publishes its networks in, of small networks of ours."""

import pickle
import sys
from collections import OrderedDict
from contextlib import contextmanager
from types import ModuleType

import numpy as np
from torch import nn

SOURCE = "import os\nos.system('touch {marker}')\nraise SystemExit('the text of the module was run')\n"
KINDS = {"Linear": "Linear", "Conv2d": "Conv2d", "Resampling": "Conv2d", "GroupNorm": "GroupNorm", "Block": "UNetBlock",
         "Sinusoid": "PositionalEmbedding", "Fourier": "FourierEmbedding"}  # fmt: skip


def reconstruct(meta):
    raise AssertionError("nothing may call this")


class EasyDict(dict):
    pass


class Persistent:
    def __init__(self, class_name, state, source):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return reconstruct, (self.meta,)


@contextmanager
def original_modules():
    """The names under which EDM's own code would be found."""
    made = {name: ModuleType(name) for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")}
    made["torch_utils.persistence"]._reconstruct_persistent_obj = reconstruct
    made["dnnlib.util"].EasyDict = EasyDict
    kept = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    reconstruct.__module__, reconstruct.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    EasyDict.__module__ = "dnnlib.util"
    try:
        yield
    finally:
        for name, module in kept.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})


def persistent(module, source, **state):
    """A module and its parts as the original's classes would be pickled."""
    parts = OrderedDict((name, persistent(part, source)) for name, part in module._modules.items() if part is not None)
    if isinstance(module, nn.ModuleDict):
        shell = nn.ModuleDict()
        shell._modules = parts
        return shell
    state |= {"training": False, "_parameters": OrderedDict(module._parameters), "_modules": parts}
    state |= {"_buffers": OrderedDict(module._buffers), "_non_persistent_buffers_set": set(), "_init_args": ()}
    state |= {"_backward_hooks": OrderedDict(), "_is_full_backward_hook": None}
    return Persistent(KINDS.get(type(module).__name__, type(module).__name__), state, source)


def settings_of(network):
    """The original's keywords of a network of ours."""
    plain = network.style == "ddpmpp"
    return EasyDict(
        img_resolution=network.input_size,
        in_channels=network.in_channels,
        out_channels=network.in_channels,
        label_dim=network.num_classes,
        augment_dim=network.augment_dim,
        model_channels=network.channels,
        channel_mult=list(network.channel_mult),
        num_blocks=network.num_blocks,
        attn_resolutions=list(network.attention),
        dropout=network.dropout,
        embedding_type="positional" if plain else "fourier",
        encoder_type="standard" if plain else "residual",
        decoder_type="standard",
        channel_mult_noise=1 if plain else 2,
        resample_filter=[1, 1] if plain else [1, 3, 3, 1],
    )


def content_of(network, *, marker="/nowhere", settings=None, outer="EDMPrecond", **state):
    """What such a file holds."""
    source = SOURCE.format(marker=marker)
    inner = persistent(network, source, _init_kwargs=settings or settings_of(network))
    precond = {"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict(model=inner)}
    precond |= {"img_channels": 3, "sigma_data": 0.5, "sigma_max": np.float64("inf"), "use_fp16": False} | state
    return {
        "ema": Persistent(outer, precond, source),
        "loss_fn": Persistent("EDMLoss", {"P_mean": -1.2, "P_std": 1.2, "sigma_data": 0.5}, source),
        "augment_pipe": Persistent("AugmentPipe", {"p": 0.12, "xflip": np.float32(1e8)}, source),
        "dataset_kwargs": EasyDict(path="datasets/cifar10-32x32.zip", use_labels=True, max_size=50000),
    }


def write(path, content, protocol=4):
    with original_modules(), path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments
