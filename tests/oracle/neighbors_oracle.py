#!/usr/bin/env python3
"""MODEL.md 5.5 (`denoise: neighbors`) in numpy, written independently of the C code.

Makes a small synthetic set and writes it with what section 5.5 makes of it into one safetensors file:

    neighbors_oracle.py OUT.safetensors [--seed S] [--set key=value ...]
    neighbors_oracle.py --check

Needs python3-numpy. Float64 inside, float32 and int32 in the file. Section numbers in comments are those of MODEL.md.
Seeds S, S+1, ... are tried until no decision is close (`margins`), so that float32 implementations decide alike.

input.events [E,4] (user, item, behavior, time) by user, behavior, time, item · input.featuresk [N+1,D_k] ·
input.presentk [N+1] · expect.denoisedk [N+1,D_k] · expect.beliefk [N+1] · expect.threshold [1] ·
expect.counts [2] (|C|, those of C with S <= threshold) · expect.samples [S,4] (user, time, target, part 0 train 1 valid
2 test) by part, user, time · expect.ids [S,B,L] · expect.whole [U,B,L] (the whole histories) · expect.says_nothing [K],
only where a modality says nothing.
"""
import argparse
import json
import math
import struct
import sys

import numpy as np

CONFIG = dict(users=24, items=40, behaviors=2, length=8, modalities=[6], modality_denoise=True, behavior_denoise=True)
# The synthetic set: clusters of items, clicks per user (from, to), shares of noise, where features are missing (by
# modality), how often a click leads deeper, and that at the same time or much later, or after an earlier click too (in other
# company); how many items come only at the end of a user's events; every few-th user buys hardly anything; which
# modalities have clusters of their own, by a generator of their own (none if empty; then it isn't in the file either).
SET = dict(clusters=5, clicks=[16, 34], noise_items=0.1, accidental=0.12, missing=[0.1], spread=0.2, deeper=0.35,
           same_time=0.15, late=0.1, early=0.25, repeat=0.15, new=2, few=6, useless=[])
DEFAULTS = dict(CONFIG, **SET)
WINDOW, NEIGHBORS, HEAVIEST = 20, 32, 4096
EPS_S, EPS_W = 1e-4, 1e-6


# The synthetic set.
def make_features(c, rng, cluster, seed):
    """One modality after the other: features, which items have them, which of those are noise."""
    out = []
    for k, dim in enumerate(c["modalities"]):
        N = c["items"]
        center = 1.3 * rng.standard_normal((c["clusters"], dim))
        own = np.random.default_rng([seed, k]).permutation(cluster) if c["useless"] and c["useless"][k] else cluster
        x = center[own] + c["spread"] * rng.standard_normal((N + 1, dim))
        present = rng.random(N + 1) >= c["missing"][k]
        if c["missing"][k] and c["new"]:
            present[N] = False                                                 # and it has no neighbor
        noise = np.zeros(N + 1, dtype=bool)
        noise[1:] = rng.random(N) < c["noise_items"]
        noise &= present
        x[noise] = 1.6 * rng.standard_normal((noise.sum(), dim))
        f = 0.7 * rng.standard_normal(dim) + (0.5 + k) * x                     # off the origin, on a scale of its own
        present[0] = False
        f[~present] = 0
        out.append((f.astype(np.float32).astype(np.float64), present, noise))
    return out


def make_user(c, rng, u, cluster):
    """A user's events as a set of (item, behavior, time), and the clicks of it that were accidental."""
    N, B = c["items"], c["behaviors"]
    limit = rng.integers(0, 3) if u % c["few"] == c["few"] - 1 else N          # different target items
    if B == 1:
        limit = max(limit, 1)
    events, accidental, target_at, target_items, past = set(), set(), {}, set(), []

    def add(i, b, t):
        if b == B - 1:
            if i not in target_items and len(target_items) >= limit:
                return
            while target_at.get(t, i) != i:                                    # one target item at a time
                t += 1
            target_at[t] = i
            target_items.add(i)
        events.add((i, b, t))
        return t

    likes = rng.permutation(c["clusters"])[:2]
    pick = lambda own: int(rng.choice([i for i in range(1, N + 1 - c["new"]) if cluster[i] in own]))
    other = [g for g in range(c["clusters"]) if g not in likes]
    t, now = int(rng.integers(1, 30)), likes[0]
    for n in range(int(rng.integers(*c["clicks"]))):
        t += int(rng.integers(0, 4))
        if rng.random() < 0.12:
            now = likes[int(rng.integers(0, 2))]
        if rng.random() < c["accidental"]:
            i = pick(other)
            if add(i, 0, t) is not None:
                accidental.add((i, t))
            continue
        i = past[int(rng.integers(0, len(past)))] if past and rng.random() < c["repeat"] else pick([now])
        past.append(i)
        if rng.random() > 0.05 or B == 1:                                      # else bought without a click
            add(i, 0, t)
        at = t
        for b in range(1, B):
            if rng.random() > (c["deeper"] if b == 1 else 0.75):
                break
            way = rng.random()
            at += 0 if way < c["same_time"] else int(rng.integers(30, 60)) if way > 1 - c["late"] else int(rng.integers(1, 9))
            at = add(i, b, at)
            if at is None:
                break
            if rng.random() < c["early"]:
                add(i, 0, max(1, t - int(rng.integers(5, 30))))
    if not events:
        add(pick([now]), 0, t)
    return events, accidental


def make_set(c, seed):
    """events: list by user of sets (item, behavior, time); features by modality; the accidental clicks by user."""
    rng = np.random.default_rng(seed)
    cluster = np.concatenate([[0], rng.permutation(np.arange(c["items"]) % c["clusters"])])
    features = make_features(c, rng, cluster, seed)
    users = [make_user(c, rng, u, cluster) for u in range(c["users"])]
    events, accidental = [e for e, _ in users], [a for _, a in users]
    seen = {i for e in events for i, _, _ in e}
    for i in range(1, c["items"] + 1):                                         # every item has an event
        if i not in seen:
            # Beside an item of its cluster, at a user who may have any number of target items.
            at = sorted((u, t) for u, e in enumerate(events) for j, _, t in e
                        if cluster[j] == cluster[i] and u % c["few"] != c["few"] - 1)
            u, t = at[int(rng.integers(0, len(at)))]
            if i > c["items"] - c["new"]:
                t = 1 + max(t for _, _, t in events[u])                        # training does not see it
            while any(s == t and b == c["behaviors"] - 1 for _, b, s in events[u]):
                t += 1
            events[u].add((i, 0, t))
    return dict(events=events, features=features, accidental=accidental, cluster=cluster)


# Samples (section 2).
def samples_of(events, B):
    """A user's (time, target, part), oldest first, and the time of the validation sample (infinity: none)."""
    first = {}
    for i, b, t in events:
        if b == B - 1:
            first[i] = min(t, first.get(i, t))
    order = sorted((t, i) for i, t in first.items())
    if len(order) < 3:
        return [(t, i, 0) for t, i in order], math.inf
    part = [0] * (len(order) - 2) + [1, 2]
    return [(t, i, s) for (t, i), s in zip(order, part)], order[-2][0]


# Sequences (section 5.5): places p = 0, 1, ... with item, behavior and time, lists of equal length.
class Sequence:
    def __init__(self, events, B):
        deepest = {}
        for i, b, t in events:
            deepest[t, i] = max(b, deepest.get((t, i), 0))
        self.place = {key: p for p, key in enumerate(sorted(deepest))}         # of (time, item)
        self.item = [i for _, i in self.place]
        self.time = [t for t, _ in self.place]
        self.behavior = [deepest[key] for key in self.place]
        self.a = [10.0 ** (b / (B - 1)) if B > 1 else 1.0 for b in self.behavior]
        self.samples, self.valid = samples_of(events, B)

    def before(self, end):
        """How many places are before a time; they are the first ones."""
        return sum(t < end for t in self.time)


# Neighbors (section 5.5).
def pair_terms(seqs, N):
    """terms[i][j]: the summands of w_ij, unsorted."""
    terms = [dict() for _ in range(N + 1)]
    for s in seqs:
        n = s.before(s.valid)
        for p in range(n):
            for q in range(max(0, p - WINDOW), min(n, p + WINDOW + 1)):
                if s.item[p] != s.item[q]:
                    terms[s.item[p]].setdefault(s.item[q], []).append(s.a[p] * s.a[q] / abs(p - q))
    return terms


def neighbor_lists(terms):
    """For every item the arrays j and w_ij, which sum to 1."""
    out = []
    for row in terms:
        w = {j: math.fsum(t) for j, t in row.items()}
        best = sorted(w, key=lambda j: (-w[j], j))[:NEIGHBORS]
        v = np.array([w[j] for j in best])
        out.append((np.array(best, dtype=int), v / v.sum() if len(best) else v))
    return out


def item_weights(seqs, N):
    """Sum of a over the events that training may look at."""
    out = np.zeros(N + 1)
    for s in seqs:
        for p in range(s.before(s.valid)):
            out[s.item[p]] += s.a[p]
    return out


# Features (section 5.5).
def square(v):
    return (v * v).mean(-1)


def kernel_mean(p, dist, scale, y):
    """Sum_j p_j e^(-dist_j/scale) y_j over the sum of the weights; all exponents moved by the same number."""
    use = p > 0
    p, dist, y = p[use], dist[use], y[use]
    g = p * np.exp(-(dist - dist.min()) / scale)
    return g @ y / g.sum()


def standardize(F, present):
    """x, mean and sd."""
    mean = F[present].mean(0) if present.any() else np.zeros(F.shape[1])
    sd = math.sqrt(((F[present] - mean) ** 2).mean()) if present.any() else 0.0
    sd = sd if sd > 0 else 1.0
    x = (F - mean) / sd
    x[~present] = 0
    return x, mean, sd


def landmarks(present, heavy):
    return sorted((i for i in range(1, len(present)) if present[i]), key=lambda i: (-heavy[i], i))[:HEAVIEST]


def belief(x, present, near, heavy):
    N = len(x) - 1
    order = landmarks(present, heavy)
    rho = np.zeros(N + 1)
    for i in range(1, N + 1):
        if not present[i]:
            continue
        p = np.zeros(N + 1)
        p[order] = 0.1 / len(order)
        p[i] = 0
        j, w = near[i]
        p[j] += w
        p[~present] = 0
        if (p > 0).any():
            rho[i] = square(kernel_mean(p, square(x - x[i]), 0.1, x) - x[i])
    ranked = np.sort(rho[present])
    kappa = max(0.3, 2 * ranked[len(ranked) // 2]) if len(ranked) else 0.3
    r = 1 / (1 + (rho / kappa) ** 6)
    r[~present] = 0
    return r


def use(x, present, near, heavy):
    """mean(K), 3 sd(K)/sqrt(n) and n."""
    order, K = landmarks(present, heavy), []
    for i in range(1, len(x)):
        j, w = near[i]
        w, j = w[present[j]], j[present[j]]
        m = [v for v in order if v != i]
        if not present[i] or not len(j) or not m:
            continue
        alike = np.exp(-square(x - x[i]) / 0.3)
        K.append((w * alike[j]).sum() / w.sum() - alike[m].mean())
    n = len(K)
    return (float(np.mean(K)), 3 * float(np.std(K)) / math.sqrt(n), n) if n else (0.0, 0.0, 0)


def consensus(x, r, near):
    y, q = x.copy(), r.copy()
    for _ in range(3):
        c = np.zeros_like(x)
        for i in range(1, len(x)):
            j, w = near[i]
            g = w * q[j]
            if not (g > 0).any():
                continue
            mean = g @ y[j] / g.sum()
            c[i] = kernel_mean(g, square(mean - y[j]), 0.3, y[j])
        y = r[:, None] * x + (1 - r[:, None]) * c
        q = r + 0.2 * (1 - r)
    return y


# Events (section 5.5).
def likeness(s, p, end, y):
    """S(p) with the events before `end`."""
    n, i = s.before(end), s.item[p]
    near = [q for q in range(max(0, p - WINDOW), min(n, p + WINDOW + 1)) if s.item[q] != i]
    if not near:
        return 1.0
    w = np.array([s.a[q] / math.sqrt(abs(p - q)) for q in near])
    items = [s.item[q] for q in near]
    dist = sum(square(yk[items] - yk[i]) for yk in y) / len(y)
    return float((w * np.exp(-dist / 0.3)).sum() / w.sum())


def goes_deeper(s, p, end):
    """Whether the item has a deeper event at a place p ... p+20 before `end`."""
    return any(s.item[q] == s.item[p] and s.behavior[q] > 0 for q in range(p, min(s.before(end), p + WINDOW + 1)))


def threshold(seqs, y, B):
    """theta, the S of C and of D."""
    C, D = [], []
    for s in seqs:
        for p in range(s.before(s.valid)):
            if s.behavior[p] == B - 1:
                D.append(likeness(s, p, s.valid, y))
            elif s.behavior[p] == 0 and not goes_deeper(s, p, s.valid):
                C.append(likeness(s, p, s.valid, y))
    C, D = np.array(C), np.array(D)
    good = [v for v in C if len(D) and (D <= v).sum() / len(D) <= 0.1 * ((C <= v).sum() / len(C))]
    return max(good, default=-1.0), C, D


def history(events, s, tau, c, y, theta, log):
    """The last L items by behavior [B, L] before tau, without the events left out."""
    B, L = c["behaviors"], c["length"]
    ids = np.zeros((B, L), dtype=np.int32)
    end = max(tau, s.valid)
    for b in range(B):
        row = []
        for t, i in sorted((t, i) for i, eb, t in events if eb == b and t < tau):
            if b == 0 and y is not None:
                p = s.place[t, i]
                if not goes_deeper(s, p, end):
                    S = likeness(s, p, end, y)
                    log.append((S, tau, i, t, p, end))
                    if S <= theta:
                        continue
            row.append(i)
        row = row[-L:]
        if row:
            ids[b, L - len(row):] = row
    if y is not None and not ids.any():                                        # rather all than none
        return history(events, s, tau, c, None, theta, log)
    return ids


def compute(c, data):
    """Everything of section 5.5: a dictionary of tensors for the file, and what the checks need."""
    B, N = c["behaviors"], c["items"]
    events, K = data["events"], len(data["features"])
    seqs = [Sequence(e, B) for e in events]
    terms = pair_terms(seqs, N)
    near, heavy = neighbor_lists(terms), item_weights(seqs, N)
    T, y, uses, nothing = {}, [], [], []
    T["input.events"] = np.array(sorted((u, b, t, i) for u, e in enumerate(events) for i, b, t in e))[:, [0, 3, 1, 2]]
    for k, (F, present, _) in enumerate(data["features"]):
        T[f"input.features{k}"], T[f"input.present{k}"] = F, present.astype(np.int32)
        x, mean, sd = standardize(F, present)
        if c["modality_denoise"]:
            r = belief(x, present, near, heavy)
            uses.append(use(x, present, near, heavy))
            mean_K, bound, n = uses[k]
            nothing.append(n > 0 and mean_K <= bound)
            if nothing[k]:
                x, r = np.zeros_like(x), np.zeros_like(r)
            else:
                x = consensus(x, r, near)
            T[f"expect.belief{k}"] = r
        T[f"expect.denoised{k}"] = sd * x
        if not (nothing and nothing[k]):
            y.append(x)
    if any(nothing):
        T["expect.says_nothing"] = np.array(nothing, dtype=np.int32)
    if not (c["behavior_denoise"] and B > 1 and y):
        y, theta, C, D = None, -1.0, np.zeros(0), np.zeros(0)                  # all events stay
    else:
        theta, C, D = threshold(seqs, y, B)
    T["expect.threshold"] = np.array([theta], dtype=float)
    T["expect.counts"] = np.array([len(C), (C <= theta).sum()], dtype=np.int32)
    rows = sorted((part, u, t, i) for u, s in enumerate(seqs) for t, i, part in s.samples)
    T["expect.samples"] = np.array([(u, t, i, part) for part, u, t, i in rows], dtype=np.int32).reshape(-1, 4)
    log = []
    T["expect.ids"] = np.array([history(events[u], seqs[u], t, c, y, theta, log)
                                for part, u, t, i in rows], dtype=np.int32).reshape(-1, B, c["length"])
    T["expect.whole"] = np.array([history(e, s, math.inf, c, y, theta, log) for e, s in zip(events, seqs)], dtype=np.int32)
    return T, dict(seqs=seqs, terms=terms, near=near, theta=theta, C=C, D=D, y=y, log=log, rows=rows,
                   uses=uses, nothing=nothing)


# Margins: what makes a seed unfit, None if nothing does.
def margins(c, m):
    for i, row in enumerate(m["terms"]):                                       # the cut to 32 neighbors
        if len(row) > NEIGHBORS:
            w = sorted(((math.fsum(t), j) for j, t in row.items()), key=lambda v: (-v[0], v[1]))
            edge = w[NEIGHBORS - 1][0]
            if abs(w[NEIGHBORS][0] - edge) > EPS_W * edge:
                continue
            # A tie: sums that are the same in any order, and so in float32.
            if len({tuple(sorted(row[j])) for v, j in w if abs(v - edge) <= EPS_W * edge}) > 1:
                return f"neighbors of item {i} are close"
            if any(len(row[j]) > 2 for v, j in w if abs(v - edge) <= EPS_W * edge):
                return f"neighbors of item {i} are equal as sums"
    for s in m["seqs"]:
        t = [t for t, _, _ in s.samples]
        if len(set(t)) < len(t):
            return "targets at the same time"
    for k, (mean_K, bound, n) in enumerate(m["uses"]):
        if not n or abs(mean_K - bound) <= 0.05 * bound:
            return f"whether modality {k} says nothing is close"
        if m["nothing"][k] != bool(c["useless"] and c["useless"][k]):
            return f"modality {k} says {'nothing' if m['nothing'][k] else 'something'}"
    if m["y"] is None:
        return None
    C, D, theta = m["C"], m["D"], m["theta"]
    if not len(C) or not len(D):
        return "C or D is empty"
    every = np.concatenate([C, D, [S for S, *_ in m["log"]]])
    if ((np.abs(every - theta) < EPS_S) & (every != theta)).any() or (C == theta).sum() > 1 or (D == theta).any():
        return "an S is close to theta"
    share = lambda v, x: (v <= x).sum() / len(v)
    for v in C:                                                                # theta's condition, S moved a little
        e = EPS_S / 10 if v < 1 else 0.0
        worst, best = share(D, v + e) - 0.1 * share(C, v - e), share(D, v - e) - 0.1 * share(C, v + e)
        if v == theta:
            worst = share(D, v + e) - 0.1 * share(C, v)
        if (v > theta and best <= 1e-9) or (v == theta and worst > -1e-9):
            return "the condition for theta is close"
    return None


def find(c, seed):
    for s in range(seed, seed + 500):
        data = make_set(c, s)
        T, m = compute(c, data)
        why = margins(c, m)
        if why is None:
            return s, data, T, m
        print(f"seed {s}: {why}", file=sys.stderr)
    raise SystemExit("no seed fits")


# Checks.
def edge_tie(row):
    w = sorted((-math.fsum(t) for t in row.values()))
    return len(w) > NEIGHBORS and abs(w[NEIGHBORS] - w[NEIGHBORS - 1]) <= -EPS_W * w[NEIGHBORS]


def coverage(c, data, m):
    """What of section 5.5 the set puts to use, as a dictionary of counts."""
    out = dict(longest=max(len(s.item) for s in m["seqs"]),
               cut_lists=sum(len(r) > NEIGHBORS for r in m["terms"]), edge_ties=sum(edge_tie(r) for r in m["terms"]),
               no_neighbors=sum(not r for r in m["terms"][1:]),
               no_validation=sum(s.valid == math.inf for s in m["seqs"]),
               merged=sum(len(e) - len(s.item) for e, s in zip(data["events"], m["seqs"])))
    if m["uses"]:
        out.update(use=[f"{mean_K:.3f}/{bound:.3f}" for mean_K, bound, _ in m["uses"]])
    if m["y"] is None:
        return out
    out.update(C=len(m["C"]), D=len(m["D"]), theta=round(float(m["theta"]), 4), left_out=int((m["C"] <= m["theta"]).sum()))
    # Decisions about events in histories that another reading would have made otherwise.
    th, y, n = m["theta"], m["y"], dict(by_end_deeper=0, by_end_sum=0, late=0)
    for u, tau in [(u, t) for _, u, t, _ in m["rows"]] + [(u, math.inf) for u in range(len(m["seqs"]))]:
        s = m["seqs"][u]
        end = max(tau, s.valid)
        for i, b, t in data["events"][u]:
            if b or t >= tau:
                continue
            p = s.place[t, i]
            deep, S = goes_deeper(s, p, end), likeness(s, p, end, y)
            n["by_end_deeper"] += deep and S <= th and not goes_deeper(s, p, tau)
            n["by_end_sum"] += not deep and (S <= th) != (likeness(s, p, tau, y) <= th)
            n["late"] += not deep and S <= th and any(s.item[q] == i and s.behavior[q] > 0 for q in range(p, s.before(end)))
    out.update({k: int(v) for k, v in n.items()})
    return out


def centered(F, present):
    return np.where(present[:, None], F - F[present].mean(0), 0)


def by_hand():
    """A set so small that the answers are written out here."""
    c = dict(DEFAULTS, users=1, items=4, modalities=[2], length=5, modality_denoise=False)
    e = {(1, 0, 1), (2, 0, 2), (3, 0, 3), (3, 1, 3), (1, 1, 5), (4, 0, 5)}
    s = Sequence(e, 2)
    assert s.item == [1, 2, 3, 1, 4] and s.behavior == [0, 0, 1, 1, 0] and s.a == [1, 1, 10, 10, 1]
    assert s.samples == [(3, 3, 0), (5, 1, 0)] and s.valid == math.inf
    w = [{j: math.fsum(t) for j, t in r.items()} for r in pair_terms([s], 4)]
    assert abs(w[1][2] - (1 / 1 + 10 / 2)) < 1e-12 and abs(w[1][3] - (10 / 2 + 100 / 1)) < 1e-12 and abs(w[2][4] - 1 / 3) < 1e-12
    j, v = neighbor_lists(pair_terms([s], 4))[2]
    assert list(j) == [3, 1, 4] and abs(v[0] - 10 / (10 + 6 + 1 / 3)) < 1e-12
    F = np.array([[0, 0], [1, 1], [1, 1], [-1, -1], [-1, -1]], dtype=float)
    x, mean, sd = standardize(F, np.array([False] + 4 * [True]))
    assert sd == 1 and not mean.any()
    near = [1 / math.sqrt(1), 10 / math.sqrt(1), 10 / math.sqrt(2), 1 / math.sqrt(3)]        # of place 1: 1, 3, 1, 4
    z = math.exp(-4 / 0.3)
    assert abs(likeness(s, 1, math.inf, [x]) - (near[0] + z * near[1] + near[2] + z * near[3]) / sum(near)) < 1e-12
    assert abs(likeness(s, 1, 3, [x]) - 1) < 1e-12 and likeness(s, 0, 2, [x]) == 1
    assert goes_deeper(s, 0, math.inf) and not goes_deeper(s, 0, 5) and goes_deeper(s, 2, 5) and not goes_deeper(s, 1, math.inf)
    events = [e]
    T, m = compute(c, dict(events=events, features=[(F, np.array([False] + 4 * [True]), None)]))
    # C: items 2 and 4; D: 3 and 1 at time 5. Item 4 at place 4: D_pq = 0 only to item 3.
    assert len(m["C"]) == 2 and len(m["D"]) == 2
    assert T["expect.samples"].tolist() == [[0, 3, 3, 0], [0, 5, 1, 0]]
    assert T["expect.ids"][:, 1].tolist() == [[0] * 5, [0] * 4 + [3]]


def two_items_belief():
    """Belief and consensus of two items that are each other's only neighbor, by hand."""
    x = np.array([[0.0], [1.0], [-1.0]])
    near = [(np.zeros(0, dtype=int), np.zeros(0)), (np.array([2]), np.ones(1)), (np.array([1]), np.ones(1))]
    r = belief(x, np.array([False, True, True]), near, np.array([0.0, 1, 1]))
    assert np.allclose(r[1:], 1 / (1 + 0.5 ** 6))                              # rho = 4, kappa = 8
    y = x[1:, 0]
    for _ in range(3):
        y = r[1] * x[1:, 0] + (1 - r[1]) * y[::-1]
    assert np.allclose(consensus(x, r, near)[1:, 0], y)


def use_by_hand():
    """Five items, the last without features; two are alike and two are. z: the likeness of those that aren't."""
    x, present = np.array([[0.0], [1], [1], [-1], [-1], [0]]), np.array([False, True, True, True, True, False])
    heavy, z = np.ones(6), math.exp(-4 / 0.3)
    near = lambda *rows: [(np.array([j for j, _ in r], dtype=int), np.array([w for _, w in r])) for r in ((), *rows)]
    mean_K, bound, n = use(x, present, near([(2, 0.5), (5, 0.5)], [(1, 1.0)], [(4, 0.75), (1, 0.25)], [(5, 1.0)], [(1, 1.0)]), heavy)
    K = np.array([1, 1, 0.75 + 0.25 * z]) - (1 + 2 * z) / 3                     # items 4 and 5 do not count
    assert n == 3 and abs(mean_K - K.mean()) < 1e-12 and abs(bound - 3 * K.std() / math.sqrt(3)) < 1e-12 and mean_K > bound
    mean_K, bound, n = use(x, present, near([(3, 1.0)], [(4, 1.0)], [(1, 1.0)], [(2, 1.0)], []), heavy)
    assert n == 4 and abs(mean_K - (z - (1 + 2 * z) / 3)) < 1e-12 and abs(bound) < 1e-12 and mean_K < 0
    assert use(x, present, near([(5, 1.0)], [], [], [], [(1, 1.0)]), heavy)[2] == 0
    assert use(x, np.arange(6) == 1, near([(2, 1.0)], [], [], [], []), heavy)[2] == 0


def says_nothing(seed):
    """A modality that says nothing beside one that does, and alone."""
    c = dict(DEFAULTS, modalities=[6, 9], missing=[0.1, 0.1], useless=[1, 0])
    seed, data, T, m = find(c, seed)
    (F, present, _), second = data["features"]
    assert T["expect.says_nothing"].tolist() == [1, 0] and not T["expect.belief0"].any() and len(m["y"]) == 1
    assert not T["expect.denoised0"].any()
    # The other modality and all histories are as without the first; not so if it were counted, as 0.
    alone = compute(dict(c, modalities=[9], missing=[0.1], useless=[]), dict(data, features=[second]))[0]
    assert "expect.says_nothing" not in alone
    for a, b in (("denoised1", "denoised0"), ("belief1", "belief0"), *[(v, v) for v in ("threshold", "counts", "ids", "whole")]):
        assert (T["expect." + a] == alone["expect." + b]).all()
    assert abs(threshold(m["seqs"], [np.zeros((c["items"] + 1, 6))] + m["y"], 2)[0] - m["theta"]) > EPS_S
    # With features left alone it is a modality like others.
    raw, n = compute(dict(c, modality_denoise=False), data)
    assert len(n["y"]) == 2 and "expect.says_nothing" not in raw
    assert np.allclose(raw["expect.denoised0"], centered(F, present))
    # Alone: all events stay.
    only = dict(c, modalities=[6], missing=[0.1], useless=[1])
    T, m = compute(only, dict(data, features=data["features"][:1]))
    plain = compute(dict(only, behavior_denoise=False), dict(data, features=data["features"][:1]))[0]
    assert T["expect.says_nothing"].tolist() == [1] and T["expect.threshold"] == -1 and not T["expect.counts"].any()
    assert all((T[k] == plain[k]).all() for k in T) and (T["expect.ids"] != alone["expect.ids"]).any()
    # How often each kind says nothing, by chance too.
    told = np.zeros(2, dtype=int)
    for s in range(1, 41):
        told += np.array(compute(dict(c, behavior_denoise=False), make_set(c, s))[1]["nothing"])
    print(f"seed {seed}; forty sets: {told[0]} useless and {told[1]} useful modalities say nothing")
    assert told[0] >= 36 and told[1] == 0


def check():
    by_hand()
    two_items_belief()
    use_by_hand()
    says_nothing(1)
    c = dict(DEFAULTS)
    seed, data, T, m = find(c, 1)
    F, present, noise = data["features"][0]
    r, clean = T["expect.belief0"], present & ~noise
    print(f"seed {seed}: belief of noise {r[noise].max():.3f} at most, of clean features {r[clean].min():.3f} at least")
    assert noise.any() and (r[noise] < 0.5).all() and (r[clean] > 0.9).all()
    # What takes the place of noise, and of nothing, is like the item's cluster.
    center = np.stack([F[clean & (data["cluster"] == g)].mean(0) for g in range(c["clusters"])])[data["cluster"]]
    _, mean, sd = standardize(F, present)
    d = square(T["expect.denoised0"] + mean - center) / sd ** 2
    known = np.array([i > 0 and len(m["terms"][i]) > 0 for i in range(c["items"] + 1)])
    bad = known & (noise | ~present)
    print(f"distance to the cluster: noise {np.median((square(F - center) / sd ** 2)[noise]):.3f} before, "
          f"noise and missing {np.median(d[bad]):.3f} after, clean {d[clean].max():.3f} at most")
    assert np.median(d[bad]) < 0.1 and (d[clean] < 0.5).all()
    print("coverage", coverage(c, data, m))
    # Switches: with events left alone, histories are plain; with features left alone, they are only centered.
    plain = compute(dict(c, behavior_denoise=False), data)[0]
    raw = compute(dict(c, modality_denoise=False), data)[0]
    assert (plain["expect.denoised0"] == T["expect.denoised0"]).all()
    assert np.allclose(raw["expect.denoised0"], centered(F, present))
    assert (plain["expect.ids"] != T["expect.ids"]).any() and (plain["expect.ids"][:, 1] == T["expect.ids"][:, 1]).all()
    # Accidental clicks are left out, others mostly not (without those that are made to be in other company).
    c = dict(c, early=0.0)
    hit = {True: [0, 0], False: [0, 0]}
    for seed in range(1, 9):
        data = make_set(c, seed)
        m = compute(c, data)[1]
        for s, acc in zip(m["seqs"], data["accidental"]):
            for p in range(s.before(s.valid)):
                if s.behavior[p] == 0 and not goes_deeper(s, p, s.valid):
                    h = hit[(s.item[p], s.time[p]) in acc]
                    h[0] += likeness(s, p, s.valid, m["y"]) <= m["theta"]
                    h[1] += 1
    print(f"eight sets: left out {hit[True][0]} of {hit[True][1]} accidental clicks, {hit[False][0]} of {hit[False][1]} others")
    assert hit[True][0] > 0.6 * hit[True][1] and hit[False][0] < 0.1 * hit[False][1]
    # Without noise, hardly anything is left out.
    left = {}
    for name, c2 in (("without", dict(c, accidental=0.0, noise_items=0.0)), ("with", c)):
        left[name] = sum(compute(c2, make_set(c2, s))[0]["expect.counts"] for s in range(1, 9))
        print(f"eight sets {name} noise: {left[name][1]} of {left[name][0]} left out")
    assert left["without"][1] < 0.05 * left["without"][0] < left["with"][1]
    print("all checks passed")


# File (section 13).
def save(path, tensors, meta):
    head, blobs, at = {"__metadata__": meta}, [], 0
    for k, v in tensors.items():
        a = np.asarray(v)
        a = np.ascontiguousarray(a.astype(np.float32) if a.dtype.kind == "f" else a.astype(np.int32))
        raw = a.tobytes()
        head[k] = {"dtype": "F32" if a.dtype.kind == "f" else "I32", "shape": list(a.shape), "data_offsets": [at, at + len(raw)]}
        blobs.append(raw)
        at += len(raw)
    h = json.dumps(head, separators=(",", ":")).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h + b"".join(blobs))
    return 8 + len(h) + at


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out", nargs="?")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--set", action="append", default=[], metavar="key=value")
    ap.add_argument("--check", action="store_true")
    a = ap.parse_args()
    if a.check:
        return check()
    if not a.out:
        ap.error("the name of the file to write is missing")
    c = dict(DEFAULTS)
    for kv in a.set:
        k, v = kv.split("=", 1)
        if k not in c:
            raise SystemExit(f"unknown key {k!r}")
        c[k] = json.loads(v)
    if len(c["missing"]) != len(c["modalities"]):
        raise SystemExit("missing wants a share for every modality")
    if c["useless"] and len(c["useless"]) != len(c["modalities"]):
        raise SystemExit("useless wants 0 or 1 for every modality")
    seed, data, T, m = find(c, a.seed)
    config = {k: c[k] for k in CONFIG}
    meta = {"format": "m3bsr-neighbors", "version": "1", "seed": str(seed), "config": json.dumps(dict(config, seed=seed), sort_keys=True),
            "set": json.dumps({k: c[k] for k in SET if k != "useless" or c[k]}, sort_keys=True)}
    size = save(a.out, T, meta)
    print(f"{a.out}: seed {seed}, {size} bytes, {len(T['input.events'])} events, {len(T['expect.samples'])} samples", coverage(c, data, m))


if __name__ == "__main__":
    main()
