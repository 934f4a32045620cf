"""Models of timm as agents; timm is not part of the base installation, since it depends on torchvision."""

from pathlib import Path

from roadstill.agents.backbones import IMAGENET, load_safetensors, one_line, staged
from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError


def timm_backbone(
    name: str, num_classes: int, size_px: int, weights: Path | None, *, trained: bool, features: int | None = None
) -> StagedNetwork:
    """A model of timm, without its classifier.

    Args:
        name: name of the model in timm.
        num_classes: number of logits.
        size_px: side of the pictures.
        weights: safetensors file, folder with ``model.safetensors`` or hub name (``timm/resnet18.a1_in1k``); random
            if not given. Their classifier is left out.
        trained: False leaves the weights random, for a caller that loads others right away.
        features: width of the features, if it is known.

    Raises:
        UserError: timm is not installed, does not have the model, or the weights do not fit.
    """
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"the agent network timm:{name} needs timm ({error.name} is missing): pip install timm"
        ) from None
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"timm cannot build {name!r}: {one_line(error)}") from None
    about = network.pretrained_cfg
    if trained and weights is not None:
        classifier = about.get("classifier") or ()
        names = (classifier,) if isinstance(classifier, str) else classifier
        load_safetensors(network, weights, leave_out=tuple(f"{each}." for each in names))
    norm = (about.get("mean") or IMAGENET[0], about.get("std") or IMAGENET[1])
    weights = weights if trained else None
    return staged(network, f"timm:{name}", num_classes, size_px, norm=norm, weights=weights, features=features)
