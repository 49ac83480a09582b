"""The network of the peer: an iBOT-style Vision Transformer with [OBJ], in plain eager PyTorch.

It does what the published code does, the way the published code does it: strided convolution for
patches, separate q/k/v copies, scores masked as [B, H, T, T], a projection head on every token.
Letters: B images, T = 1 + N tokens, D width, H heads, K prototypes.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, allowed=None):
        b, t, d = x.shape
        qkv = self.qkv(x).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = q @ k.transpose(-2, -1) * self.scale
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        mixed = scores.softmax(dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, dim, heads, mlp_ratio, drop):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(dim, int(mlp_ratio * dim)), nn.GELU(), nn.Linear(int(mlp_ratio * dim), dim)
        )
        self.drop = drop

    def drop_path(self, branch):
        if not self.training or self.drop == 0:
            return branch
        keep = 1 - self.drop
        kept = torch.rand((branch.shape[0], 1, 1), device=branch.device).add_(keep).floor_()
        return branch / keep * kept

    def forward(self, x, allowed=None):
        x = x + self.drop_path(self.attn(self.norm1(x), allowed))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Backbone(nn.Module):
    def __init__(self, model, size):
        super().__init__()
        dim, depth = model["dim"], model["depth"]
        self.patch = model["patch"]
        self.embed = nn.Conv2d(3, dim, kernel_size=self.patch, stride=self.patch)
        self.obj_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (size // self.patch) ** 2, dim))
        self.masked_embed = nn.Parameter(torch.zeros(1, dim))
        rates = torch.linspace(0, model["dropPath"], depth).tolist()
        self.blocks = nn.ModuleList(
            Block(dim, model["heads"], model["mlpRatio"], rate) for rate in rates
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def positions(self, h, w):
        n = self.pos_embed.shape[1] - 1
        if h * w == n and h == w:
            return self.pos_embed
        side = int(math.sqrt(n))
        grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        factors = ((h + 0.1) / side, (w + 0.1) / side)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat(
            (self.pos_embed[:, :1], grid.permute(0, 2, 3, 1).reshape(1, h * w, -1)), dim=1
        )

    def forward(self, images, visible=None, hidden=None):
        b, _, height, width = images.shape
        x = self.embed(images)
        if hidden is not None:
            # Not by index assignment, as published: torch.compile would stop at it.
            guessed = hidden.reshape(b, 1, x.shape[2], x.shape[3])
            x = torch.where(guessed, self.masked_embed.to(x.dtype)[:, :, None, None], x)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat((self.obj_token.expand(b, -1, -1), x), dim=1)
        x = x + self.positions(height // self.patch, width // self.patch)
        allowed = None if visible is None else self.allowed(visible)
        for block in self.blocks:
            x = block(x, allowed)
        return self.norm(x)

    @staticmethod
    def allowed(visible):
        """[B, N] bool to [B, 1, T, T]: [OBJ] sees itself and the visible patches, others all."""
        b, n = visible.shape
        allowed = torch.ones(b, 1, 1 + n, 1 + n, dtype=torch.bool, device=visible.device)
        allowed[:, 0, 0, 1:] = visible
        return allowed


class Head(nn.Module):
    def __init__(self, dim, head):
        super().__init__()
        hidden, bottleneck = head["hidden"], head["bottleneck"]
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.last_layer = nn.utils.weight_norm(
            nn.Linear(bottleneck, head["prototypes"], bias=False)
        )
        self.last_layer.weight_g.data.fill_(1)

    def forward(self, x):
        return self.last_layer(F.normalize(self.mlp(x), dim=-1))


class Network(nn.Module):
    """Backbone and shared head; returns logits of [OBJ] [B, K] and of all patches [B, N, K]."""

    def __init__(self, recipe):
        super().__init__()
        self.backbone = Backbone(recipe["model"], recipe["views"]["globals"]["size"])
        self.head = Head(recipe["model"]["dim"], recipe["head"])
        for name, weight in self.named_parameters():
            if weight.ndim > 1 and "weight_g" not in name and "masked_embed" not in name:
                nn.init.trunc_normal_(weight, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, images, visible=None, hidden=None):
        logits = self.head(self.backbone(images, visible, hidden))
        return logits[:, 0], logits[:, 1:]
