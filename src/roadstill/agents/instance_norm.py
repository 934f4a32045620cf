"""Instance norm, ReLU and average pooling in one operation, with few passes over memory and few allocations.

At 32 x 32 x 128 these three cost as much as the convolutions. PyTorch's group norm needs the contiguous layout, while
its pooling and the convolutions are fastest with channels last; and allocating large tensors again and again costs page
faults. So the norm is written out for channels last, with its own backward pass, and its intermediate results stay in
buffers that are reused.
"""

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPSILON = 1e-5
_buffers = threading.local()


class InstanceNorm(nn.Module):
    """Group norm of one channel per group, then optionally ReLU and average pooling; computed in float32.

    Args:
        channels: number of scales and shifts.
        active: whether ReLU follows.
        pool: side of the squares that are averaged at the end; 1 for no pooling.
    """

    def __init__(self, channels: int, *, active: bool = True, pool: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.active, self.pool = active, pool
        self.plain = False  # whether gradients are to have gradients, which the operation of its own has not

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[b, c, h, w]`` to ``[b, c, h // pool, w // pool]`` of the same type."""
        if self.plain or x.device.type != "cpu":
            return self.plainly(x)
        out: Tensor = _Norm.apply(x, self.weight, self.bias, self.active, self.pool)
        return out

    def plainly(self, x: Tensor) -> Tensor:
        """The same with PyTorch's own operations."""
        x = F.group_norm(x, len(self.weight), self.weight, self.bias, EPSILON)
        x = F.relu(x) if self.active else x
        return F.avg_pool2d(x, self.pool) if self.pool > 1 else x


class _Norm(torch.autograd.Function):
    """With x the input, r = 1 / sigma, n places: y = pool(relu(weight * r * (x - mean) + bias))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, active: bool, pool: int) -> Tensor:
        rows = _rows(x)
        count = rows.shape[1]
        centred = _buffer("centred", rows).copy_(rows)
        mean = centred.sum(1, keepdim=True).div_(count)
        centred.sub_(mean)
        out = torch.mul(centred, centred, out=_buffer("out", rows))
        inverse = out.sum(1, keepdim=True).div_(count).add_(EPSILON).rsqrt_()
        ctx.save_for_backward(x, mean, inverse, weight, bias)
        ctx.active, ctx.pool = active, pool
        torch.addcmul(bias, centred, weight * inverse, out=out)
        if active:
            out.relu_()
        picture = _pictures(out, x.shape)
        return (F.avg_pool2d(picture, pool) if pool > 1 else picture.clone()).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, mean, inverse, weight, bias = ctx.saved_tensors
        rows, scale = _rows(x), weight * inverse
        count = rows.shape[1]
        centred = _buffer("centred", rows).copy_(rows).sub_(mean)
        out, pulled = _buffer("out", rows), _buffer("pulled", rows)
        gradient = gradient.float().contiguous(memory_format=torch.channels_last)
        if ctx.pool > 1:
            torch.ops.aten.avg_pool2d_backward.grad_input(
                gradient, _pictures(centred, x.shape), [ctx.pool] * 2, [ctx.pool] * 2, [0, 0], False, True, None,
                grad_input=_pictures(pulled, x.shape),
            )  # fmt: skip
        else:
            pulled.copy_(_rows(gradient))
        if ctx.active:
            torch.addcmul(bias, centred, scale, out=out)
            torch.ops.aten.threshold_backward.grad_input(pulled, out, 0, grad_input=pulled)
        # dx = weight r (dy - mean(dy) - r^2 (x - mean) mean(dy (x - mean))), means over the places of a channel.
        shift = pulled.sum(1, keepdim=True)
        size = torch.mul(pulled, centred, out=out).sum(1, keepdim=True).mul_(inverse)
        torch.addcmul(shift * scale / -count, centred, size * inverse * scale / -count, out=out)
        back = _pictures(out.addcmul_(pulled, scale), x.shape)
        back = back.clone() if x.dtype == out.dtype else back.to(x.dtype)
        return back, size.sum((0, 1)), shift.sum((0, 1)), None, None


def _rows(x: Tensor) -> Tensor:
    """Returns ``[b, c, h, w]`` as ``[b, h * w, c]``, without a copy if the channels are last in memory."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])


def _pictures(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_rows`, a view."""
    return rows.view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)


def _buffer(name: str, like: Tensor) -> Tensor:
    """A float32 tensor of this shape with arbitrary content, reused between calls; each thread has its own."""
    known: Tensor | None = getattr(_buffers, name, None)
    if known is None or known.numel() < like.numel():
        known = torch.empty(like.numel())
        setattr(_buffers, name, known)
    return known[: like.numel()].view(like.shape)
