"""The diffusion transformer (Peebles and Xie 2023) in its original key layout, with DiffFit gammas."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from roadstill.errors import UserError
from roadstill.networks.conditions import AttributeEmbed, LabelEmbed, TimeEmbed
from roadstill.networks.conditions import time_sinusoid as time_sinusoid

# depth, hidden size, heads
SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}
GAMMA_SITES = ("reference", "residual_only")
MOST_TOKENS = 2**14  # in strangers' files, which do not hold the table of positions; 1,024 px in patches of 2 are 4,096


def dit(name: str, *, input_size: int, in_channels: int = 4, num_classes: int = 1000, **more: Any) -> "DiT":
    """A DiT by its published name, ``DiT-{S,B,L,XL}/{2,4,8}``; further keywords go to ``DiT``."""
    size, _, patch = name.removeprefix("DiT-").partition("/")
    if size not in SIZES or patch not in ("2", "4", "8") or not name.startswith("DiT-"):
        raise UserError(f"network {name!r} is unknown; choose DiT-S, -B, -L or -XL with /2, /4 or /8, as DiT-XL/2")
    depth, hidden_size, num_heads = SIZES[size]
    return DiT(
        input_size=input_size,
        patch_size=int(patch),
        in_channels=in_channels,
        hidden_size=hidden_size,
        depth=depth,
        num_heads=num_heads,
        num_classes=num_classes,
        **more,
    )


def position_table(hidden_size: int, side: int) -> Tensor:
    """The fixed 2-D sin-cos table ``[1, side * side, hidden]``: first half of the width the column, second the row."""
    rates = 10000.0 ** (-torch.arange(hidden_size // 4, dtype=torch.float64) / (hidden_size // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns = line[None, :, :].expand(side, side, -1)
    rows = line[:, None, :].expand(side, side, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, side * side, hidden_size).float()


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(shift.unsqueeze(1).to(x.dtype), normed, (1 + scale).unsqueeze(1).to(x.dtype))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of queries, keys and values ``[b, heads, n, d]``."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # On processors the fused kernel's backward pass takes four times as long in bfloat16 as these products.
        return ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


class PatchEmbed(nn.Module):
    """Cuts the latent into patches and projects each (a convolution whose stride is its width)."""

    def __init__(self, patch_size: int, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, hidden_size, patch_size, patch_size)

    def forward(self, z: Tensor) -> Tensor:
        """``[b, c, h, w]`` -> tokens ``[b, n, hidden]``, row by row."""
        p = self.proj.stride[0]
        b, c, h, w = z.shape
        patches = z.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * p * p)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Multi-head self-attention with a fused query-key-value projection; gammas scale both outputs."""

    gamma1: nn.Parameter | None
    gamma2: nn.Parameter | None

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.proj = nn.Linear(hidden_size, hidden_size)
        self.register_parameter("gamma1", None)
        self.register_parameter("gamma2", None)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, n, hidden]`` -> ``[b, n, hidden]``."""
        b, n, hidden = x.shape
        qkv = self.qkv(x)
        if self.gamma1 is not None:
            qkv = qkv * self.gamma1
        q, k, v = qkv.view(b, n, 3, self.num_heads, hidden // self.num_heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v).transpose(1, 2).reshape(b, n, hidden)
        out = self.proj(mixed)
        return out if self.gamma2 is None else out * self.gamma2


class Mlp(nn.Module):
    """Two linear layers with a tanh-approximated GELU between."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, 4 * hidden_size)
        self.fc2 = nn.Linear(4 * hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, n, hidden]`` -> ``[b, n, hidden]``."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP branches, each shifted, scaled and gated by the condition (adaLN-Zero)."""

    gamma1: nn.Parameter | None
    gamma2: nn.Parameter | None

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.attn = Attention(hidden_size, num_heads)
        self.mlp = Mlp(hidden_size)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 6 * hidden_size))
        self.register_parameter("gamma1", None)
        self.register_parameter("gamma2", None)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens ``[b, n, hidden]`` and condition ``[b, hidden]`` -> tokens."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(condition).chunk(6, dim=1)
        # The block's gammas scale the gates, which are small, instead of the tokens.
        gate_a = gate_a if self.gamma1 is None else gate_a * self.gamma1
        gate_m = gate_m if self.gamma2 is None else gate_m * self.gamma2
        x = torch.addcmul(x, gate_a.unsqueeze(1).to(x.dtype), self.attn(_modulated(x, shift_a, scale_a)).to(x.dtype))
        return torch.addcmul(x, gate_m.unsqueeze(1).to(x.dtype), self.mlp(_modulated(x, shift_m, scale_m)).to(x.dtype))

    def add_gammas(self, sites: str) -> None:
        """Adds the DiffFit scales of this block, all one."""
        like = self.mlp.fc2.weight
        hidden = like.shape[0]
        self.gamma1 = nn.Parameter(like.new_ones(hidden))
        self.gamma2 = nn.Parameter(like.new_ones(hidden))
        if sites == "reference":
            self.attn.gamma1 = nn.Parameter(like.new_ones(3 * hidden))
            self.attn.gamma2 = nn.Parameter(like.new_ones(hidden))


class FinalLayer(nn.Module):
    """Tokens -> patches of the output, modulated by the condition."""

    def __init__(self, hidden_size: int, patch_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, patch_width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens ``[b, n, hidden]`` -> ``[b, n, patch_width]``."""
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        return self.linear(_modulated(x, shift, scale))


class DiT(nn.Module):
    """Predicts the noise (and the variance, if learned) in a noisy latent at time t for class row y.

    Args:
        input_size: side of the square latent.
        patch_size: side of a token's patch; divides ``input_size``.
        in_channels: channels of the latent.
        hidden_size: width; divisible by 4 and by ``num_heads``.
        depth: number of blocks.
        num_heads: attention heads.
        num_classes: label rows without the null row, which is row ``num_classes``.
        learn_sigma: whether the output holds variance logits behind the noise.
        gammas: number of leading blocks with DiffFit scales; none by default.
        gamma_sites: ``reference`` (four vectors a block) or ``residual_only`` (the two of the residual branches).
        attributes: rows of a table of attributes, whose values are added to time and class; none by default.
        seed: seed of the initial weights.
    """

    def __init__(
        self,
        *,
        input_size: int,
        patch_size: int,
        in_channels: int,
        hidden_size: int,
        depth: int,
        num_heads: int,
        num_classes: int,
        learn_sigma: bool = True,
        gammas: int | None = None,
        gamma_sites: str = "reference",
        attributes: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if input_size % patch_size or hidden_size % num_heads or hidden_size % 4:
            raise UserError(
                f"DiT sizes do not fit: patch {patch_size} must divide input {input_size}, "
                f"and heads {num_heads} and 4 must divide hidden {hidden_size}"
            )
        self.input_size, self.patch_size, self.in_channels = input_size, patch_size, in_channels
        self.hidden_size, self.depth, self.num_heads, self.num_classes = hidden_size, depth, num_heads, num_classes
        self.learn_sigma = learn_sigma
        self.gammas, self.gamma_sites = 0, gamma_sites
        self.out_channels = in_channels * 2 if learn_sigma else in_channels
        self.save_memory = False  # recompute each block in the backward pass instead of keeping its activations
        self.x_embedder = PatchEmbed(patch_size, in_channels, hidden_size)
        self.t_embedder = TimeEmbed(hidden_size)
        self.y_embedder = LabelEmbed(num_classes, hidden_size)
        self.a_embedder = AttributeEmbed(attributes, hidden_size) if attributes else None
        table = position_table(hidden_size, input_size // patch_size)
        self.pos_embed = nn.Parameter(table, requires_grad=False)
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads) for _ in range(depth))
        self.final_layer = FinalLayer(hidden_size, patch_size * patch_size * self.out_channels)
        if gammas:
            self.add_gammas(gammas, gamma_sites)
        if not self.pos_embed.is_meta:
            initialise(self, torch.Generator().manual_seed(seed))

    @property
    def config(self) -> dict[str, Any]:
        """The keywords that build this network again (without its weights)."""
        names = ("input_size", "patch_size", "in_channels", "hidden_size", "depth", "num_heads", "num_classes")
        told = {name: getattr(self, name) for name in (*names, "learn_sigma", "gammas", "gamma_sites")}
        return told | ({"attributes": self.attributes} if self.attributes else {})

    @property
    def attributes(self) -> int:
        """Rows of the table of attributes."""
        return 0 if self.a_embedder is None else len(self.a_embedder.weight)

    def add_gammas(self, blocks: int, sites: str = "reference") -> None:
        """Gives the leading ``blocks`` blocks DiffFit scales, all one, so that the output does not change."""
        if sites not in GAMMA_SITES or not 0 < blocks <= self.depth:
            raise UserError(f"gammas in {blocks} of {self.depth} blocks at {sites!r}: choose 1 to {self.depth} blocks "
                            f"and one of {', '.join(GAMMA_SITES)}")  # fmt: skip
        for block in list(self.blocks)[:blocks]:
            assert isinstance(block, Block)
            block.add_gammas(sites)
        self.gammas, self.gamma_sites = blocks, sites

    def forward(self, z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Noisy latents ``[b, c, h, w]``, times ``[b]``, class rows ``[b]`` -> ``[b, 2c, h, w]``: noise, variance.

        Rows ``[b, 1 + a]`` hold rows of attributes behind the class's; see `AttributeEmbed`.
        """
        x = self.x_embedder(z) + self.pos_embed
        condition = self.t_embedder(t) + self.y_embedder(y if y.ndim == 1 else y[:, 0])
        if y.ndim == 2 and self.a_embedder is not None:
            condition = condition + self.a_embedder(y[:, 1:])
        for block in self.blocks:
            if self.save_memory and torch.is_grad_enabled():
                x = checkpoint(block, x, condition, use_reentrant=False)
            else:
                x = block(x, condition)
        return self._unpatched(self.final_layer(x, condition))

    def _unpatched(self, x: Tensor) -> Tensor:
        side, p = self.input_size // self.patch_size, self.patch_size
        x = x.view(-1, side, side, p, p, self.out_channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(-1, self.out_channels, self.input_size, self.input_size)


def initialise(network: DiT, generator: torch.Generator) -> None:
    """DiT's initial weights: Xavier in linear layers, N(0, 0.02) in label and time layers, zero in gates and output."""
    initialise_linear(network, generator)
    patch = network.x_embedder.proj
    nn.init.xavier_uniform_(patch.weight.data.flatten(1), generator=generator)
    assert patch.bias is not None
    nn.init.zeros_(patch.bias)
    for name, parameter in network.named_parameters():
        if name in ("y_embedder.embedding_table.weight", "t_embedder.mlp.0.weight", "t_embedder.mlp.2.weight"):
            nn.init.normal_(parameter, std=0.02, generator=generator)
        if "adaLN_modulation" in name or name == "final_layer.linear.weight":
            nn.init.zeros_(parameter)


def initialise_linear(network: nn.Module, generator: torch.Generator) -> None:
    """Xavier's weights and biases of zero in all linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
