#!/usr/bin/env python3
"""The model of core/model/MODEL.md in PyTorch, written independently of the C code.

Writes a vector file: one safetensors file with a configuration, every parameter, every input (random
draws included), and what a correct implementation must compute from them.

    m3bsr_oracle.py OUT.safetensors [--seed S] [--set key=value ...]

Needs python3-torch and python3-numpy (Debian packages). Float64 inside, float32 in the file.
Section numbers in comments are those of MODEL.md.
"""
import argparse
import json
import math
import struct

import numpy as np
import torch
import torch.nn.functional as F

DEFAULTS = dict(
    batch=3, behaviors=2, modalities=[7, 5], length=5, items=11, width=8, heads=2,
    expert="transformer", expert_layers=2, expert_taps=8, encoder="linear", ffn_mult=4,
    diffusion_steps=10, beta_start=1e-4, beta_end=0.02, objective="eps",
    infer_start=5, infer_steps=2, denoise="replace", denoise_scale=0.3, modality_denoise=True, behavior_denoise=True,
    interests="both", contrast="interests", temperature=0.1, router="softmax", router_floor=0.5, fusion="none",
    trend=0, loss="full", negatives=0, w_modality=0.1, w_behavior=0.1, w_contrast=0.01,
    lr=1e-3, beta1=0.9, beta2=0.999, adam_eps=1e-4, weight_decay=0.0, clip=1.0, train_steps=3,
)
CHOICES = dict(
    objective=("eps", "x0"), denoise=("replace", "gated"), interests=("both", "specific", "common"),
    contrast=("interests", "users", "targets"),
    router=("softmax", "sigmoid", "balanced", "modality", "normed"), fusion=("none", "table", "scores"),
    loss=("full", "sampled"),
)


def experts_used(c):
    """Whether the configuration has common and specific interests (section 8), and V (section 10)."""
    has_c, has_s = c["interests"] != "specific", c["interests"] != "common"
    return has_c, has_s, has_c + has_s * c["behaviors"] * (len(c["modalities"]) + 1)


def has_contrast(c):
    return c["contrast"] != "interests" or c["interests"] == "both"            # section 9


# Parameters (section 3).
class Params:
    """Named leaf tensors, created in a fixed order from one generator."""

    def __init__(self, gen):
        self.gen, self.t = gen, {}

    def add(self, name, *shape, std=None, value=None):
        if value is not None:
            x = torch.full(shape, float(value), dtype=torch.float64)
            # Off the trivial point, so that a wrong use of the parameter shows.
            x = x + 0.1 * torch.randn(*shape, generator=self.gen, dtype=torch.float64)
        else:
            std = 1.0 / math.sqrt(shape[-1]) if std is None else std
            x = std * torch.randn(*shape, generator=self.gen, dtype=torch.float64)
        x = x.float().double()          # exactly representable in the file
        self.t[name] = x.requires_grad_(True)

    def linear(self, name, out, inp, groups=None):
        g = [] if groups is None else [groups]
        self.add(name + ".weight", *g, out, inp)
        self.add(name + ".bias", *g, out, std=0.1)

    def norm(self, name, d, groups=None):
        g = [] if groups is None else [groups]
        self.add(name + ".weight", *g, d, value=1.0)
        self.add(name + ".bias", *g, d, value=0.0)

    def attention(self, name, d, groups=None):
        self.linear(name + ".in", 3 * d, d, groups)
        self.linear(name + ".out", d, d, groups)


def build_expert(p, name, c, groups):
    d, f = c["width"], c["width"] * c["ffn_mult"]
    if c["expert"] == "transformer":
        for i in range(c["expert_layers"]):
            q = f"{name}.layer{i}"
            p.norm(q + ".norm1", d, groups)
            p.attention(q + ".attn", d, groups)
            p.norm(q + ".norm2", d, groups)
            p.linear(q + ".ffn1", f, d, groups)
            p.linear(q + ".ffn2", d, f, groups)
        p.norm(name + ".norm", d, groups)
    elif c["expert"] == "gru":
        p.linear(name + ".input", 3 * d, d, groups)
        p.linear(name + ".hidden", 3 * d, d, groups)
        p.norm(name + ".norm", d, groups)
    elif c["expert"] == "pool":
        p.linear(name + ".score", 1, d, groups)
        p.linear(name + ".ffn1", f, d, groups)
        p.linear(name + ".ffn2", d, f, groups)
        p.norm(name + ".norm", d, groups)
    elif c["expert"] in ("mingru", "conv"):
        for i in range(c["expert_layers"]):
            q = f"{name}.layer{i}"
            p.norm(q + ".norm1", d, groups)
            if c["expert"] == "mingru":
                p.linear(q + ".gate", d, d, groups)
                p.linear(q + ".candidate", d, d, groups)
            else:
                p.add(q + ".filter", *([] if groups is None else [groups]), d, c["expert_taps"])
            p.norm(q + ".norm2", d, groups)
            p.linear(q + ".ffn1", f, d, groups)
            p.linear(q + ".ffn2", d, f, groups)
        p.norm(name + ".norm", d, groups)
    else:
        raise SystemExit(f"unknown expert {c['expert']!r}")


def build_denoiser(p, name, d, mult, gated, own):
    p.linear(name + ".time1", d, d)
    p.linear(name + ".time2", d, d)
    p.norm(name + ".norm1", d)
    p.attention(name + ".attn", d)
    p.norm(name + ".norm2", d)
    p.linear(name + ".ffn1", d * mult, d)
    p.linear(name + ".ffn2", d, d * mult)
    if gated and own:                                                          # section 5.4
        p.linear(name + ".own", d, d)
    if gated:
        p.add(name + ".gate.weight", 1, value=4.0)
        p.add(name + ".gate.bias", 1, value=-6.0)


def build_params(c, gen):
    p = Params(gen)
    d, B, K, L = c["width"], c["behaviors"], len(c["modalities"]), c["length"]
    G, gated = B * (K + 1), c["denoise"] == "gated"
    has_c, has_s, V = experts_used(c)
    p.add("item.weight", c["items"] + 1, d, std=0.5)
    with torch.no_grad():
        p.t["item.weight"][0] = 0.0
    p.add("encoder.id.position", L, d, std=0.1)
    p.norm("encoder.id.norm", d)
    for k, dim in enumerate(c["modalities"]):
        q = f"encoder.feature{k}"
        if c["encoder"] == "linear":
            p.linear(q + ".proj", d, dim)
        elif c["encoder"] == "mlp":
            p.linear(q + ".proj1", d * c["ffn_mult"], dim)
            p.linear(q + ".proj2", d, d * c["ffn_mult"])
        else:
            raise SystemExit(f"unknown encoder {c['encoder']!r}")
        p.add(q + ".position", L, d, std=0.1)
        p.norm(q + ".norm", d)
    if c["modality_denoise"]:
        for k in range(K):
            build_denoiser(p, f"denoise.modality{k}", d, c["ffn_mult"], gated, own=True)
    if c["behavior_denoise"]:
        for b in range(B - 1):
            build_denoiser(p, f"denoise.behavior{b}", d, c["ffn_mult"], gated, own=False)
    if has_s:
        build_expert(p, "experts.specific", c, G)
    if has_c:
        p.attention("experts.cross", d)
        build_expert(p, "experts.shared", c, None)
    if has_contrast(c):
        p.linear("contrast.proj1", d, d)
        p.linear("contrast.proj2", d, d)
    if c["router"] == "modality":                                              # section 10
        for m in range(K + 1 if has_c and has_s else 0):
            p.linear(f"router.modality{m}.hidden", d, 2 * d)
            p.linear(f"router.modality{m}.gate", 1, d)
    elif V > 1:
        p.linear("router.hidden", d, V * d)
        p.linear("router.gate", 1 if c["router"] == "sigmoid" else V, d)
    if c["fusion"] != "none":
        for k, dim in enumerate(c["modalities"]):
            p.add(f"fusion.feature{k}.weight", d, dim)
    if c["trend"] > 0:
        p.add("trend.weight", 1, value=0.5)
    return p.t


# Building blocks (section 4).
def linear(P, name, x):
    """x [..., in] with weight [out, in], or x [G, ..., in] with weight [G, out, in]."""
    w, b = P[name + ".weight"], P[name + ".bias"]
    if w.dim() == 2:
        return x @ w.t() + b
    view = [w.shape[0]] + [1] * (x.dim() - 2) + [w.shape[1]]
    return torch.einsum("g...i,goi->g...o", x, w) + b.view(view)


def norm(P, name, x):
    w, b = P[name + ".weight"], P[name + ".bias"]
    y = F.layer_norm(x, (x.shape[-1],), eps=1e-5)
    if w.dim() == 2:
        view = [w.shape[0]] + [1] * (x.dim() - 2) + [w.shape[1]]
        w, b = w.view(view), b.view(view)
    return y * w + b


def attention(P, name, q, kv, key_mask, heads):
    """Multi-head attention. q [..., Lq, d], kv [..., Lk, d], key_mask [..., Lk] bool.
    A query with no valid key attends to nothing: its head output is 0 (before the out projection)."""
    d = q.shape[-1]
    wi, bi = P[name + ".in.weight"], P[name + ".in.bias"]

    def proj(x, i):
        w, b = wi[..., i * d:(i + 1) * d, :], bi[..., i * d:(i + 1) * d]
        return linear({"p.weight": w, "p.bias": b}, "p", x)

    def split(x):
        return x.reshape(*x.shape[:-1], heads, d // heads).transpose(-2, -3)

    qh, kh, vh = split(proj(q, 0)), split(proj(kv, 1)), split(proj(kv, 2))
    s = qh @ kh.transpose(-1, -2) / math.sqrt(d // heads)
    m = key_mask[..., None, None, :]
    s = s.masked_fill(~m, float("-inf"))
    s = s - torch.where(m.any(-1, keepdim=True), s.amax(-1, keepdim=True), torch.zeros_like(s[..., :1])).detach()
    e = torch.exp(s) * m
    a = e / e.sum(-1, keepdim=True).clamp_min(1e-30)
    h = (a @ vh).transpose(-2, -3)
    return linear(P, name + ".out", h.reshape(*h.shape[:-2], d))


def expert(P, name, x, mask, c):
    """x [..., L, d] with mask [..., L] bool -> [..., d]; 0 where the sequence is empty (section 7)."""
    any_ = mask.any(-1)[..., None].to(x.dtype)
    if c["expert"] == "transformer":
        for i in range(c["expert_layers"]):
            q = f"{name}.layer{i}"
            a = norm(P, q + ".norm1", x)
            x = x + attention(P, q + ".attn", a, a, mask, c["heads"])
            f = norm(P, q + ".norm2", x)
            x = x + linear(P, q + ".ffn2", F.relu(linear(P, q + ".ffn1", f)))
        y = x[..., -1, :]
    elif c["expert"] == "gru":
        d = x.shape[-1]
        xi = linear(P, name + ".input", x)
        h = torch.zeros_like(x[..., 0, :])
        for l in range(x.shape[-2]):
            hh = linear(P, name + ".hidden", h)
            i, g = xi[..., l, :], None
            r = torch.sigmoid(i[..., :d] + hh[..., :d])
            z = torch.sigmoid(i[..., d:2 * d] + hh[..., d:2 * d])
            g = torch.tanh(i[..., 2 * d:] + r * hh[..., 2 * d:])
            m = mask[..., l, None].to(x.dtype)
            h = m * ((1 - z) * g + z * h) + (1 - m) * h
        y = h
    elif c["expert"] in ("mingru", "conv"):
        m = mask[..., None]
        for i in range(c["expert_layers"]):
            q = f"{name}.layer{i}"
            u = norm(P, q + ".norm1", x)
            if c["expert"] == "mingru":
                z, v = torch.sigmoid(linear(P, q + ".gate", u)), linear(P, q + ".candidate", u)
                h, states = torch.zeros_like(u[..., 0, :]), []
                for l in range(x.shape[-2]):
                    h = torch.where(m[..., l, :], (1 - z[..., l, :]) * h + z[..., l, :] * v[..., l, :], h)
                    states.append(h)
                x = x + torch.stack(states, -2)
            else:
                u, w, L = u * m, P[q + ".filter"], x.shape[-2]
                if w.dim() == 3:                                    # [G, d, K] beside u [G, n, L, d]
                    w = w.reshape(w.shape[0], *[1] * (u.dim() - 3), *w.shape[1:])
                K = w.shape[-1]
                for k in range(K):
                    far = K - 1 - k
                    if far < L:
                        x = x + F.pad((u * w[..., None, :, k])[..., :L - far, :], (0, 0, far, 0))
            f = norm(P, q + ".norm2", x)
            x = x + linear(P, q + ".ffn2", F.relu(linear(P, q + ".ffn1", f)))
        y = x[..., -1, :]
    else:  # pool
        s = linear(P, name + ".score", x)[..., 0].masked_fill(~mask, float("-inf"))
        s = s - torch.where(mask.any(-1, keepdim=True), s.amax(-1, keepdim=True), torch.zeros_like(s[..., :1])).detach()
        e = torch.exp(s) * mask
        a = e / e.sum(-1, keepdim=True).clamp_min(1e-30)
        v = (a[..., None] * x).sum(-2)
        y = v + linear(P, name + ".ffn2", F.relu(linear(P, name + ".ffn1", v)))
    return norm(P, name + ".norm", y) * any_


# Diffusion (section 5).
def alpha_bar(c):
    """abar[t], t = 0..T; abar[0] = 1."""
    T = c["diffusion_steps"]
    beta = np.linspace(c["beta_start"], c["beta_end"], T) if T > 1 else np.array([c["beta_start"]])
    return torch.tensor(np.concatenate([[1.0], np.cumprod(1.0 - beta)]), dtype=torch.float64)


def time_embedding(t, d):
    half = d // 2
    w = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
    a = t.double()[..., None] * w
    return torch.cat([torch.sin(a), torch.cos(a)], -1)


def denoiser(P, name, x, cond, cond_mask, t, c):
    """Network output for noisy x [..., n, L, d], condition [..., n, L, d], step t [n]."""
    tau = linear(P, name + ".time2", F.silu(linear(P, name + ".time1", time_embedding(t, x.shape[-1]))))
    own = linear(P, name + ".own", cond) if name + ".own.weight" in P else 0.0     # section 5.4
    q = norm(P, name + ".norm1", x + tau[:, None, :] + own)
    r = norm(P, name + ".norm2", q + attention(P, name + ".attn", q, cond, cond_mask, c["heads"]))
    return linear(P, name + ".ffn2", F.relu(linear(P, name + ".ffn1", r)))


def to_x0(out, xt, ab, c):
    return out if c["objective"] == "x0" else (xt - torch.sqrt(1 - ab) * out) / torch.sqrt(ab)


def to_eps(out, xt, ab, c):
    return (xt - torch.sqrt(ab) * out) / torch.sqrt(1 - ab) if c["objective"] == "x0" else out


def diffuse_train(P, name, x0, mask, cond, cond_mask, t, noise, c):
    """One random step: returns the reconstruction of x0 and the loss, for replace the masked mean squared error."""
    ab = alpha_bar(c)[t.long()][:, None, None]
    xt = torch.sqrt(ab) * x0 + torch.sqrt(1 - ab) * noise
    out = denoiser(P, name, xt, cond, cond_mask, t, c)
    want = noise if c["objective"] == "eps" else x0
    m = mask[..., None].to(x0.dtype)
    if c["denoise"] == "gated":                                                # section 5.4: Cauchy's loss
        kappa, rho = c["denoise_scale"], ((out - want) ** 2).mean(-1)
        each = kappa * torch.log1p(rho / kappa) if kappa > 0 else rho
        loss = (m[..., 0] * each).sum() / m.sum().clamp_min(1.0)
    else:
        count = (m.sum() * x0.shape[-1]).clamp_min(1.0)
        loss = (m * (out - want) ** 2).sum() / count
    return to_x0(out, xt, ab, c) * m, loss


def diffuse_infer(P, name, x0, mask, cond, cond_mask, c):
    """Deterministic reverse process from infer_start down to 0 in infer_steps steps (DDIM, eta = 0)."""
    AB, n = alpha_bar(c), x0.shape[-3]
    S, start = c["infer_steps"], c["infer_start"]
    grid = [int(math.floor(start * (S - i) / S + 0.5)) for i in range(S + 1)]
    x = torch.sqrt(AB[start]) * x0
    for a, b in zip(grid[:-1], grid[1:]):
        t = torch.full((n,), a, dtype=torch.int64)
        out = denoiser(P, name, x, cond, cond_mask, t, c)
        x = torch.sqrt(AB[b]) * to_x0(out, x, AB[a], c) + torch.sqrt(1 - AB[b]) * to_eps(out, x, AB[a], c)
    return x * mask[..., None].to(x0.dtype)


def gate_open(P, name, x, xh, mask, cond_mask):
    """How far each position of x [..., L, d] goes to its reconstruction xh: g [..., L] (section 5.4)."""
    m = mask.to(x.dtype)
    rho = ((xh - x) ** 2).mean(-1).detach()
    mean = (m * rho).sum(-1, keepdim=True) / m.sum(-1, keepdim=True).clamp_min(1.0)
    g = torch.sigmoid(P[name + ".gate.weight"] * (rho / (mean + 1e-6)) + P[name + ".gate.bias"])
    return g * cond_mask.any(-1, keepdim=True).to(x.dtype)


def denoise(P, name, x, mask, cond, cond_mask, t, noise, c, train):
    """Sections 5.2 to 5.4: the sequence that takes the place of x, and the loss (0 in inference)."""
    loss = torch.zeros((), dtype=torch.float64)
    if c["denoise"] == "replace":
        if train:
            return diffuse_train(P, name, x, mask, cond, cond_mask, t, noise, c)
        return diffuse_infer(P, name, x, mask, cond, cond_mask, c), loss
    if train:
        _, loss = diffuse_train(P, name, x.detach(), mask, cond.detach(), cond_mask, t, noise, c)
    xh = diffuse_infer(P, name, x, mask, cond, cond_mask, c).detach()
    g = gate_open(P, name, x, xh, mask, cond_mask)
    return (x + g[..., None] * (xh - x)) * mask[..., None].to(x.dtype), loss


# The model (sections 4 to 11).
def encode(P, name, raw, mask, c):
    return norm(P, name + ".norm", raw + P[name + ".position"]) * mask[..., None].to(raw.dtype)


def item_vectors(P, inp, c):
    """e in histories and e in scores, each with a row per item and row 0 zero (section 10)."""
    E = P["item.weight"]
    if c["fusion"] == "none":
        return E, E
    W = [inp[f"features{k}"] @ P[f"fusion.feature{k}.weight"].t() for k in range(len(c["modalities"]))]
    if c["fusion"] == "table":
        e = E + sum(W)
        return e, e
    return E, torch.cat([E] + W, -1)


def contrast_interests(pc, ps, here, c):
    """Common interests against specific ones, per user. pc, ps [G, n, d] projected, here [n, G] (section 9)."""
    cc = torch.einsum("ind,jnd->nij", pc, pc) / c["temperature"]
    cs = torch.einsum("ind,knd->nik", pc, ps) / c["temperature"]
    top = 1.0 / c["temperature"]                                                # both cosines are <= 1
    neg = (torch.exp(cs - top) * here[:, None, :]).sum(-1)                      # [n, G]
    pos = torch.exp(cc - top)
    term = -(cc - top) + torch.log(pos + neg[:, :, None])
    pair = here[:, :, None] * here[:, None, :] * (1 - torch.eye(here.shape[1], dtype=torch.float64))
    return (pair * term).sum() / pair.sum().clamp_min(1.0)


def contrast_users(p, here, c):
    """A user's sequences against the other users' ones. p [G, n, d] projected, here [n, G] (section 9)."""
    top = 1.0 / c["temperature"]
    cos = torch.einsum("iad,jvd->aijv", p, p) / c["temperature"] - top          # [n, G, G, n]
    own = torch.einsum("iad,jad->aij", p, p) / c["temperature"] - top           # v = a
    total = (torch.exp(cos) * here.t()).sum(-1)                                 # over v with a sequence j
    pair = here[:, :, None] * here[:, None, :] * (1 - torch.eye(here.shape[1], dtype=torch.float64))
    term = -own + torch.log(torch.where(pair > 0, total, torch.ones_like(total)))
    return (pair * term).sum() / pair.sum().clamp_min(1.0)


def contrast_targets(pv, pe, target, here, c):
    """Every interest against the batch's targets (section 9).
    pv [S, n, d] and pe [n, d] projected, target [n], here [S, n]."""
    top = 1.0 / c["temperature"]
    cos = torch.einsum("sad,xd->sax", pv, pe) / c["temperature"] - top          # [S, n, n]
    own = torch.einsum("sad,ad->sa", pv, pe) / c["temperature"] - top           # x = a
    among = (target[:, None] != target) | torch.eye(len(target), dtype=torch.bool)
    term = -own + torch.log((torch.exp(cos) * among).sum(-1))
    return (here * term).sum() / here.sum().clamp_min(1.0)


def by_modality(v, present, M):
    """Means of v [G, n, d] over the user's non-empty b, 0 where there is none: [M, n, d]. present [G, n]."""
    G, n, d = v.shape
    count = present.reshape(G // M, M, n).sum(0).clamp_min(1.0)[..., None]      # [M, n, 1]
    return (present[..., None] * v).reshape(G // M, M, n, d).sum(0) / count


def router_modality(P, common, specific, present, M):
    """Every modality between its own two interests [G, n, d], one of which may be None. present [G, n] (section 10).
    Returns u_m [M, n, d] and the pi [n, G+1] that it amounts to."""
    G, n = present.shape
    here = present.reshape(G // M, M, n)                                        # [B, M, n]
    if common is None:
        g, user = torch.zeros(M, n, dtype=torch.float64), by_modality(specific, present, M)
    elif specific is None:
        g, user = torch.ones(M, n, dtype=torch.float64), by_modality(common, present, M)
    else:
        h, s = by_modality(common, present, M), by_modality(specific, present, M)
        v = torch.cat([h, s], -1)                                              # [M, n, 2d]
        q = [f"router.modality{m}" for m in range(M)]
        r = [linear(P, q[m] + ".gate", F.relu(linear(P, q[m] + ".hidden", v[m]))) for m in range(M)]
        g = torch.sigmoid(torch.stack(r, 0)[..., 0])                           # [M, n]
        user = g[..., None] * h + (1 - g[..., None]) * s
    each = here * (1 - g) / (M * here.sum(0).clamp_min(1.0))                    # [B, M, n]
    return user, torch.cat([g.mean(0)[None], each.reshape(G, n)], 0).t()


def forward(P, inp, c, train):
    ids = inp["ids"].long()                                  # [B, n, L]
    B, n, L = ids.shape
    K, d = len(c["modalities"]), c["width"]
    M = K + 1
    mask = ids != 0
    out = {}

    e_history, e_score = item_vectors(P, inp, c)
    x = [encode(P, "encoder.id", e_history[ids], mask, c)]                    # each [B, n, L, d]
    for k in range(K):
        q = f"encoder.feature{k}"
        raw = inp[f"features{k}"][ids]
        if c["encoder"] == "linear":
            h = linear(P, q + ".proj", raw)
        else:
            h = linear(P, q + ".proj2", F.relu(linear(P, q + ".proj1", raw)))
        x.append(encode(P, q, h, mask, c))
    out["encoded"] = torch.stack(x, 1)                                         # [B, M, n, L, d]

    zero = torch.zeros((), dtype=torch.float64)
    loss_m, loss_b = zero, zero
    if c["modality_denoise"] and K > 0:                                        # section 5.2
        total = zero
        for k in range(K):
            x[k + 1], l = denoise(P, f"denoise.modality{k}", x[k + 1], mask, x[0], mask, inp["t_modality"],
                                  inp["noise_modality"][k], c, train)
            total = total + l
        loss_m = total / K
    z = torch.stack(x, 1)                                                      # [B, M, n, L, d]
    out["after_modality"] = z
    if c["behavior_denoise"] and B > 1:                                        # section 5.3
        rows, total = [None] * B, zero
        rows[B - 1] = z[B - 1]
        for b in range(B - 2, -1, -1):
            mb, mc = mask[b].expand(M, n, L), mask[b + 1].expand(M, n, L)
            rows[b], l = denoise(P, f"denoise.behavior{b}", z[b], mb, rows[b + 1], mc, inp["t_behavior"],
                                 inp["noise_behavior"][b], c, train)
            total = total + l
        loss_b = total / (B - 1)
        z = torch.stack(rows, 0)
    out["after_behavior"] = z

    G = B * M
    has_c, has_s, V = experts_used(c)
    zg = z.reshape(G, n, L, d)
    mg = mask[:, None].expand(B, M, n, L).reshape(G, n, L)
    present = mg.any(-1).to(z.dtype)                                           # [G, n]
    if has_s:                                                                  # section 7: specific experts
        specific = out["specific"] = expert(P, "experts.specific", zg, mg, c)  # [G, n, d]
    if has_c:                                                                  # section 8: shared expert
        if B > 1:
            rows = []
            for b in range(B):
                others = [o for o in range(B) if o != b]
                kv = torch.cat([z[o] for o in others], -2)                     # [M, n, (B-1)L, d]
                km = torch.cat([mask[o] for o in others], -1).expand(M, n, -1)
                rows.append(z[b] + attention(P, "experts.cross", z[b], kv, km, c["heads"]))
            y = torch.stack(rows, 0).reshape(G, n, L, d)
        else:
            y = zg
        common = out["common"] = expert(P, "experts.shared", y, mg, c)         # [G, n, d]
        h_common = common.sum(0) / present.sum(0).clamp_min(1.0)[:, None]

    def head(v):                                                               # section 9
        w = linear(P, "contrast.proj2", F.relu(linear(P, "contrast.proj1", v)))
        return w / torch.sqrt((w * w).sum(-1, keepdim=True) + 1e-12)
    target = inp["target"].long()
    if not has_contrast(c):
        loss_c = zero
    elif c["contrast"] == "interests":
        loss_c = contrast_interests(head(common), head(specific), present.t(), c)
    elif c["contrast"] == "users":
        loss_c = contrast_users(head(common if has_c else specific), present.t(), c)
    else:
        v = torch.cat(([common] if has_c else []) + ([specific] if has_s else []), 0)
        loss_c = contrast_targets(head(v), head(e_history[target]), target, present.repeat(has_c + has_s, 1), c)

    if c["router"] == "modality":                                              # section 10
        user, gate = router_modality(P, common if has_c else None, specific if has_s else None, present, M)
        user = user.permute(1, 0, 2).reshape(n, M * d) if c["fusion"] == "scores" else user.mean(0)
    else:
        parts = ([h_common[None]] if has_c else []) + ([specific] if has_s else [])
        v = torch.cat(parts, 0)                                                # [V, n, d]
        if V > 1:
            r = linear(P, "router.gate", F.relu(linear(P, "router.hidden", v.permute(1, 0, 2).reshape(n, -1))))
        if V == 1:
            pi = torch.ones(n, 1, dtype=torch.float64)
        elif c["router"] == "softmax":
            pi = torch.softmax(r, -1)                                          # [n, V]
        elif c["router"] == "balanced":
            pi = (1 - c["router_floor"]) * torch.softmax(r, -1) + c["router_floor"] / V
        elif c["router"] == "normed":
            p = torch.softmax(r, -1)
            pi = p / (math.sqrt(V) * torch.sqrt((p * p).sum(-1, keepdim=True)))
        else:
            g = torch.sigmoid(r)
            pi = torch.cat([g, (1 - g).expand(n, G) / G], -1)
        gate = F.pad(pi, (0 if has_c else 1, 0 if has_s else G))               # [n, G+1], 0 for what is left out
        if c["fusion"] != "scores":
            user = torch.einsum("nv,vnd->nd", pi, v)
        else:
            user = torch.zeros(M, n, d, dtype=torch.float64)
            if has_c:                                                          # h_m: over the non-empty b
                h_m = common.reshape(B, M, n, d).sum(0) / present.reshape(B, M, n).sum(0).clamp_min(1.0)[..., None]
                user = user + gate[:, 0, None] * h_m
            if has_s:
                own = specific.reshape(B, M, n, d)
                user = user + torch.einsum("nbm,bmnd->mnd", gate[:, 1:].reshape(n, B, M), own)
            user = user.permute(1, 0, 2).reshape(n, M * d)
    out["gate"], out["user"] = gate, user

    scores = user @ e_score[1:].t()                                             # [n, N]
    if c["trend"] > 0:
        scores = scores + P["trend.weight"] * inp["trend"]
    if c["loss"] == "full":
        loss_r = F.cross_entropy(scores, target - 1)
    else:
        cand = torch.cat([target[:, None], inp["negatives"].long()], 1)
        logits = torch.einsum("nd,nkd->nk", user, e_score[cand])
        if c["trend"] > 0:
            logits = logits + P["trend.weight"] * inp["trend_sampled"]
        loss_r = F.cross_entropy(logits, torch.zeros(n, dtype=torch.int64))
    out["scores"] = scores
    out["loss_recommend"], out["loss_modality"], out["loss_behavior"], out["loss_contrast"] = loss_r, loss_m, loss_b, loss_c
    out["loss"] = loss_r + c["w_modality"] * loss_m + c["w_behavior"] * loss_b + c["w_contrast"] * loss_c
    return out


# Optimisation (section 11).
def adam_step(P, grads, state, step, c):
    """Clip by global norm, then AdamW (decoupled decay), bias-corrected as in PyTorch. Returns the norm before clipping."""
    total = torch.sqrt(sum((g * g).sum() for g in grads.values()))
    scale = min(1.0, c["clip"] / (float(total) + 1e-6)) if c["clip"] > 0 else 1.0
    for k, p in P.items():
        g = grads[k] * scale
        m, v = state[k]
        m.mul_(c["beta1"]).add_(g, alpha=1 - c["beta1"])
        v.mul_(c["beta2"]).addcmul_(g, g, value=1 - c["beta2"])
        with torch.no_grad():
            if c["weight_decay"]:
                p.mul_(1 - c["lr"] * c["weight_decay"])
            mh, vh = m / (1 - c["beta1"] ** step), v / (1 - c["beta2"] ** step)
            p.sub_(c["lr"] * mh / (torch.sqrt(vh) + c["adam_eps"]))
    return total


def make_inputs(c, gen):
    B, n, L, N, K, d, T = c["behaviors"], c["batch"], c["length"], c["items"], len(c["modalities"]), c["width"], c["diffusion_steps"]
    ids = torch.zeros(B, n, L, dtype=torch.int32)
    for b in range(B):
        for i in range(n):
            # user 0: full sequences; user 1: deepest behaviour empty; the others: random lengths, 0 included
            lo = L if i == 0 else (0 if (i == 1 and b == B - 1) else int(torch.randint(0, L + 1, (1,), generator=gen)))
            if i == 1 and b == 0:
                lo = max(lo, 1)
            if lo:
                ids[b, i, L - lo:] = torch.randint(1, N + 1, (lo,), generator=gen).int()
    inp = {"ids": ids, "target": torch.randint(1, N + 1, (n,), generator=gen).int()}
    if c["loss"] == "sampled":
        inp["negatives"] = torch.randint(1, N + 1, (n, c["negatives"]), generator=gen).int()
    for k, dim in enumerate(c["modalities"]):
        f = torch.randn(N + 1, dim, generator=gen, dtype=torch.float64)
        f[0] = 0
        inp[f"features{k}"] = f.float().double()
    rnd = lambda *s: torch.randn(*s, generator=gen, dtype=torch.float64).float().double()
    inp["t_modality"] = torch.randint(1, T + 1, (n,), generator=gen).int()
    inp["t_behavior"] = torch.randint(1, T + 1, (n,), generator=gen).int()
    if c["modality_denoise"] and K:
        inp["noise_modality"] = rnd(K, B, n, L, d)
    if c["behavior_denoise"] and B > 1:
        inp["noise_behavior"] = rnd(B - 1, K + 1, n, L, d)
    if c["trend"] > 0:                                                         # section 10: z of counts, some of them 0
        z = torch.log1p(10 * F.relu(rnd(n, N) + 0.5)).float().double()
        inp["trend"] = z
        if c["loss"] == "sampled":
            cand = torch.cat([inp["target"][:, None], inp["negatives"]], 1).long()
            inp["trend_sampled"] = torch.gather(z, 1, cand - 1)
    return inp


# File (section 13).
def save(path, tensors, meta):
    kinds = {np.dtype("float32"): "F32", np.dtype("int32"): "I32"}
    head, blobs, at = {"__metadata__": meta}, [], 0
    for k, v in tensors.items():
        a = v.detach().numpy() if torch.is_tensor(v) else np.asarray(v)
        a = np.ascontiguousarray(a.astype(np.float32) if a.dtype.kind == "f" else a.astype(np.int32))
        raw = a.tobytes()
        head[k] = {"dtype": kinds[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + len(raw)]}
        blobs.append(raw)
        at += len(raw)
    h = json.dumps(head, separators=(",", ":")).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)))
        f.write(h)
        for b in blobs:
            f.write(b)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--set", action="append", default=[], metavar="key=value")
    a = ap.parse_args()
    c = dict(DEFAULTS)
    for kv in a.set:
        k, v = kv.split("=", 1)
        if k not in c:
            raise SystemExit(f"unknown key {k!r}")
        c[k] = v if isinstance(c[k], str) else json.loads(v)
    for k, allowed in CHOICES.items():
        if c[k] not in allowed:
            raise SystemExit(f"unknown {k} {c[k]!r}")
    if c["router"] == "sigmoid" and c["interests"] != "both":
        raise SystemExit("router sigmoid wants both kinds of interests")
    if c["trend"] < 0:
        raise SystemExit(f"trend {c['trend']} is negative")
    # Files without the options of sections 5.4 and 8 to 10 keep what they always had.
    marked = ("denoise", "interests", "contrast", "fusion", "trend")
    plain = c["router"] in ("softmax", "sigmoid") and all(c[k] == DEFAULTS[k] for k in marked)
    wanted = ["user", "scores", "gate", "after_modality", "after_behavior", "specific", "common"] + ([] if plain else ["encoded"])
    gen = torch.Generator().manual_seed(a.seed)
    P = build_params(c, gen)
    inp = make_inputs(c, gen)
    T = {"param." + k: v.detach().clone() for k, v in P.items()}
    T.update({"input." + k: v for k, v in inp.items()})

    with torch.no_grad():
        o = forward(P, inp, c, train=False)
    T.update({"infer." + k: o[k].clone() for k in wanted if k in o})

    state = {k: (torch.zeros_like(v), torch.zeros_like(v)) for k, v in P.items()}
    losses, norms = [], []
    for step in range(1, c["train_steps"] + 1):
        o = forward(P, inp, c, train=True)
        grads = dict(zip(P, torch.autograd.grad(o["loss"], list(P.values()), allow_unused=True)))
        grads = {k: (torch.zeros_like(P[k]) if g is None else g) for k, g in grads.items()}
        grads["item.weight"] = grads["item.weight"].clone()
        grads["item.weight"][0] = 0                          # the padding row never learns
        if step == 1:
            T.update({"train." + k: o[k].detach().clone() for k in wanted if k in o and k != "scores"})
            for k in ("loss", "loss_recommend", "loss_modality", "loss_behavior", "loss_contrast"):
                T["train." + k] = o[k].detach().reshape(1).clone()
            T.update({"grad." + k: g.clone() for k, g in grads.items()})
        losses.append(float(o["loss"].detach()))
        norms.append(float(adam_step(P, grads, state, step, c)))
    T["after.losses"] = torch.tensor(losses, dtype=torch.float64)
    T["after.grad_norms"] = torch.tensor(norms, dtype=torch.float64)
    T.update({"after." + k: v.detach() for k, v in P.items()})
    # Without trend, files keep the configuration that they always had.
    absent = {k for k, used in (("trend", c["trend"]), ("expert_taps", c["expert"] == "conv")) if not used}
    config = json.dumps({k: v for k, v in c.items() if k not in absent}, sort_keys=True)
    save(a.out, T, {"format": "m3bsr-vectors", "version": "1", "seed": str(a.seed), "config": config})
    print(f"{a.out}: {len(T)} tensors, losses {' '.join(f'{x:.6f}' for x in losses)}")


if __name__ == "__main__":
    main()
