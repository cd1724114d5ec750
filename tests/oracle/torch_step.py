#!/usr/bin/env python3
"""The oracle's model in float32, timed: what the figures of tools/results/RESULTS.md are compared with.

    torch_step.py BATCH THREADS LOSS [key=value ...]

The case is that of tools/bench/case-s.yaml; key=value changes it (keys as DEFAULTS in m3bsr_oracle.py). Prints the
median, the lowest and the highest time of a training step and of an inference with its top 10, and samples/s.
Environment: TORCH_DEVICE=cuda runs there, TORCH_COMPILE=1 through torch.compile, TORCH_AUTOCAST=1 in bfloat16.
"""
import contextlib
import json
import os
import pathlib
import resource
import sys
import time

import torch


def load_oracle():
    """The oracle's functions in float32: its source with the types replaced."""
    source = (pathlib.Path(__file__).resolve().parent / "m3bsr_oracle.py").read_text()
    source = source.replace("torch.float64", "torch.float32").replace(".double()", ".float()")
    names = {"__name__": "oracle32"}
    exec(compile(source, "oracle32", "exec"), names)
    return names


def timed(run, wait, warmup, repeats):
    for _ in range(warmup):
        run()
    times = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    times.sort()
    return times[len(times) // 2], times[0], times[-1]


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    batch, threads, loss = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    device = os.environ.get("TORCH_DEVICE", "cpu")
    on_cpu = device == "cpu"
    torch.set_num_threads(threads)
    if not on_cpu:
        torch.set_default_device(device)
    wait = (lambda: None) if on_cpu else torch.cuda.synchronize

    oracle = load_oracle()
    c = dict(oracle["DEFAULTS"], batch=batch, behaviors=2, modalities=[512], length=20, items=20741, width=128, heads=4,
             expert_layers=2, diffusion_steps=100, infer_start=50, infer_steps=1, loss=loss,
             negatives=99 if loss == "sampled" else 0)
    for assignment in sys.argv[4:]:
        key, value = assignment.split("=", 1)
        c[key] = value if isinstance(c[key], str) else json.loads(value)
    gen = torch.Generator(device).manual_seed(0)
    params = oracle["build_params"](c, gen)
    inputs = oracle["make_inputs"](c, gen)
    inputs["ids"] = torch.randint(1, c["items"] + 1, inputs["ids"].shape, generator=gen).int()  # full histories
    adam = torch.optim.Adam(list(params.values()), lr=1e-3)
    forward = torch.compile(oracle["forward"]) if os.environ.get("TORCH_COMPILE") else oracle["forward"]

    def precision():
        return torch.autocast(device, torch.bfloat16) if os.environ.get("TORCH_AUTOCAST") else contextlib.nullcontext()

    def step():
        for k in ("noise_modality", "noise_behavior"):
            if k in inputs:
                inputs[k] = torch.randn(inputs[k].shape)
        adam.zero_grad(set_to_none=True)
        with precision():
            out = forward(params, inputs, c, True)
        out["loss"].backward()
        torch.nn.utils.clip_grad_norm_(list(params.values()), 1.0)
        adam.step()

    def infer():
        with torch.no_grad(), precision():
            torch.topk(forward(params, inputs, c, False)["scores"], 10)

    repeats = 30 if not on_cpu else 7 if batch <= 64 else 4
    for name, run in (("step", step), ("infer", infer)):
        median, low, high = timed(run, wait, 1 if on_cpu else 5, repeats)
        print(f"{name} batch={batch} threads={threads} loss={loss}: median {median * 1e3:.1f} ms "
              f"(min {low * 1e3:.1f}, max {high * 1e3:.1f}) = {batch / median:.0f} samples/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = sum(p.numel() for p in params.values())
    print(f"peak RSS {peak:.0f} MiB, torch {torch.__version__}, parameters {count}")


if __name__ == "__main__":
    main()
