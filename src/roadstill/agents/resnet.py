"""ResNet-18, the thesis' agent: built by transformers, with weights in either of the two common key layouts."""

import re
from pathlib import Path

from torch import Tensor, nn

from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError

_TORCHVISION = (
    (r"^conv1\.", "embedder.embedder.convolution."),
    (r"^bn1\.", "embedder.embedder.normalization."),
    (r"\.downsample\.0\.", ".shortcut.convolution."),
    (r"\.downsample\.1\.", ".shortcut.normalization."),
    (r"\.conv([12])\.", lambda found: f".layer.{int(found[1]) - 1}.convolution."),
    (r"\.bn([12])\.", lambda found: f".layer.{int(found[1]) - 1}.normalization."),
    (r"^layer([1-4])\.(\d)\.", lambda found: f"encoder.stages.{int(found[1]) - 1}.layers.{found[2]}."),
)


def resnet18(num_classes: int, weights: Path | None, *, trained: bool) -> StagedNetwork:
    """Ten stages: stem, 8 blocks, pooling to 512 features.

    Args:
        num_classes: number of logits.
        weights: state dict (.safetensors, .pth) or folder with ``model.safetensors``; random weights if not given.
        trained: False leaves the weights random, for a caller that loads others right away.

    Raises:
        UserError: the weights do not fit.
    """
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=num_classes,
    )
    network = ResNetModel(config)
    if trained and weights is not None:
        path = weights / "model.safetensors" if weights.is_dir() else weights
        try:
            network.load_state_dict(_our_keys(read_weights(path)))
        except RuntimeError as error:
            raise UserError(f"{path} does not contain a ResNet-18: {' '.join(str(error).split())[:200]}") from None
    blocks = [block for stage in network.encoder.stages for block in stage.layers]
    return StagedNetwork(
        [network.embedder, *blocks, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())],
        features=512,
        num_classes=num_classes,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        origin=str(weights) if weights else "random weights (no ImageNet weights were given)",
        pretrained=trained and weights is not None,
    )


def _our_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames keys of torchvision or of transformers' classifier to those of transformers' backbone, last layer cut."""
    renamed = {}
    for key, value in state.items():
        key = key.removeprefix("resnet.")
        if key.startswith(("fc.", "classifier.")):
            continue
        for pattern, name in _TORCHVISION:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    return renamed
