"""How often the limits' judges are wrong about ordinary services: days of descriptors, threads and memory that run out of nothing.

    nice -n 5 python -m bench.limits_quiet --instances 300 --days 1 --seed 1

Every instance is one kind of service with limits that fit it, so tight that what it does matters: day tides, ramps of load within minutes, reconnect
storms, pools that fill in a line or ever slower (to at most 0.75 of the limit), restarts, bursts of threads that stay, collectors' saw teeth, caches that
fill to 0.8 of the memory, and processes whose heap is meant to rise to GOMEMLIMIT (GOGC=off). Nothing in it ever reaches a limit, so each
`exhausting` is false. Prints episodes (an instance's uninterrupted time under a verdict; gaps below ten minutes are none) and the share of time in `tight`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.descriptors import DescriptorWindows
from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import LIMITS, ROW, Windows
from parkwarden.judge.fleet.limits import Limits
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Instance

Floats = npt.NDArray[np.float64]

EVERY_S = 5.0
TICK = 12
"""Readings between two judgements: a minute. What is wrong for less is missed."""
DAY_S = 86_400.0
GAP_S = 600.0
MIB = float(1 << 20)


def correlated(rng: np.random.Generator, shape: tuple[int, int], minutes: float) -> Floats:
    """Noise of deviation 1 that forgets itself in so many minutes, along the second axis."""
    keep = float(np.exp(-EVERY_S / 60 / minutes))
    out = rng.normal(0, 1, shape)
    out[:, 1:] *= np.sqrt(1 - keep * keep)
    for i in range(1, shape[1]):
        out[:, i] += keep * out[:, i - 1]
    return out


def fleet(
    instances: int, days: float, seed: int
) -> tuple[dict[str, Floats], dict[str, Floats], list[list[int]], Floats]:
    """Readings (field -> (instances, n)), limits (field -> (instances,)), samples at which each restarts, and the peak share of any limit."""
    rng = np.random.default_rng(seed)
    n = int(days * DAY_S / EVERY_S)
    t = np.arange(n) * EVERY_S
    shape = (instances, n)
    tide = 1 + rng.uniform(0.1, 0.6, (instances, 1)) * np.sin(
        2 * np.pi * (t / DAY_S + rng.uniform(0, 1, (instances, 1)))
    )
    load = tide * (1 + 0.05 * correlated(rng, shape, 3.0) + 0.08 * correlated(rng, shape, 30.0))
    age = np.zeros(shape)
    restarts: list[list[int]] = []
    for i in range(instances):
        for _ in range(rng.poisson(6 * days)):  # ramps and pushes: load up by half within minutes, back within an hour
            at, up, stay = (
                int(rng.integers(n)),
                int(rng.uniform(60, 1800) / EVERY_S),
                int(rng.uniform(300, 3600) / EVERY_S),
            )
            shape_of = np.concatenate([np.linspace(0, 1, up), np.ones(stay), np.linspace(1, 0, up)])
            load[i, at : at + len(shape_of)] *= 1 + rng.uniform(0.1, 0.8) * shape_of[: n - at]
        begun = sorted(int(k) for k in rng.integers(1, n, rng.poisson(1.5 * days)))
        restarts.append(begun)
        edges = [-int(rng.uniform(0, DAY_S) / EVERY_S), *begun, n]
        for a, b in pairwise(edges):
            age[i, max(a, 0) : b] = (np.arange(max(a, 0), b) - a) * EVERY_S
    most = load.max(axis=1, keepdims=True)
    load /= most  # 1 at the greatest need
    fills = rng.uniform(60, 3600, (instances, 1))
    in_line = rng.random((instances, 1)) < 0.5
    filled = np.where(in_line, np.minimum(age / fills, 1), 1 - np.exp(-age / fills * 2))
    top = rng.uniform(0.1, 0.75, (instances, 1))  # of the limit, at the greatest need
    fd_limit = rng.choice([1024.0, 4096.0, 65536.0], (instances, 1))
    pool = rng.uniform(0, 0.7, (instances, 1))
    fds = fd_limit * top * (pool * filled + (1 - pool) * load)
    for i in range(instances):
        for _ in range(rng.poisson(3 * days)):  # reconnect storms
            at, long = int(rng.integers(n)), int(rng.uniform(30, 240) / EVERY_S)
            fds[i, at : at + long] *= 1 + rng.uniform(0.1, 0.25)
    threads = 12 + 30 * load * rng.random((instances, 1))
    for i in range(instances):
        for _ in range(rng.poisson(2 * days)):  # bursts of blocking calls: they stay until the next start
            at, up = int(rng.integers(n)), int(rng.uniform(5, 300) / EVERY_S) + 1
            end = next((k for k in restarts[i] if k > at), n)
            rise = np.minimum(np.arange(max(end - at, 0)) / up, 1) * rng.choice([50, 300, 1500])
            threads[i, at:end] = np.maximum(threads[i, at:end], 12 + rise)
    limit = rng.choice([256.0, 1024.0, 4096.0], (instances, 1)) * MIB
    kept = rng.uniform(0.1, 0.8, (instances, 1))  # of the limit, cache and all
    cache = rng.uniform(0, 0.7, (instances, 1))
    live = limit * kept * (cache * filled + (1 - cache) * load)
    period = np.exp(rng.uniform(np.log(5), np.log(110), (instances, 1)))
    tooth = (age / period) % 1
    off = rng.random((instances, 1)) < 0.15  # GOGC=off: up to nearly all, in minutes
    depth = rng.uniform(0.05, 0.5, (instances, 1))
    memory = live * (1 - depth + depth * tooth)
    long_tooth = (age / rng.uniform(300, 3600, (instances, 1))) % 1
    memory = np.where(off, limit * (0.3 + 0.6 * long_tooth), memory)
    gcs = np.where(off, np.floor(age / 1200), np.floor(age / period))
    memory *= 1 + 0.004 * rng.normal(0, 1, shape)
    numbers = {"open_fds": np.floor(fds), "threads": np.floor(threads), "mem_used": memory, "num_gc": gcs}
    tops = np.max(
        [fds.max(axis=1) / fd_limit[:, 0], memory.max(axis=1) / limit[:, 0], threads.max(axis=1) / 10_000], axis=0
    )
    return numbers, {"max_fds": fd_limit[:, 0], "mem_limit": limit[:, 0]}, restarts, tops


def simulate(instances: int, days: float, seed: int) -> dict[str, object]:
    """Episodes by detector and verdict, and instance-days."""
    numbers, limits, restarts, tops = fleet(instances, days, seed)
    windows = Windows()
    for i in range(instances):
        windows.started(Instance(id=f"i{i}", start_time=-1.0))
    for name, values in limits.items():
        windows.limits[LIMITS.index(name), :instances] = values
    judge = Limits(windows, SiteWindows(), DescriptorWindows(), lambda _: ("main",))
    rules = Rules()
    n = len(numbers["open_fds"][0])
    due = sorted((k, i) for i, ks in enumerate(restarts) for k in ks)
    last: dict[tuple[str, str, str], float] = {}
    episodes: dict[str, int] = defaultdict(int)
    held: dict[str, float] = defaultdict(float)
    for k in range(n):
        while due and due[0][0] <= k:
            at, i = due.pop(0)
            windows.started(Instance(id=f"i{i}", start_time=at * EVERY_S))
            for name, values in limits.items():
                windows.limits[LIMITS.index(name), i] = values[i]
        rows, heads = np.arange(instances), windows.head[:instances].copy()
        windows.columns[1:, rows, heads] = np.nan
        windows.columns[0, rows, heads] = k * EVERY_S
        for name, values in numbers.items():
            windows.columns[ROW[name], rows, heads] = windows.latest[ROW[name], rows] = values[:, k]
        windows.latest[0, rows] = k * EVERY_S
        windows.head[:instances] = (heads + 1) % windows.samples
        windows.count[:instances] = np.minimum(windows.count[:instances] + 1, windows.samples)
        if k % TICK:
            continue
        now = k * EVERY_S
        for signal in judge.judge(now, rules):
            what = (signal.instance, signal.detector, signal.verdict.value)
            kind = f"{signal.detector} {signal.verdict.value}" + (" told" if signal.confidence >= 0.8 else "")
            episodes[kind] += now - last.get(what, -1e9) > GAP_S
            held[kind] += TICK * EVERY_S / DAY_S
            last[what] = now
    return {
        "instance_days": instances * days,
        "highest_share": float(tops.max()),
        "episodes": dict(sorted(episodes.items())),
        "days_held": {name: round(d, 2) for name, d in sorted(held.items())},
        "put_off": judge.put_off,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(json.dumps(simulate(asked.instances, asked.days, asked.seed), indent=2))


if __name__ == "__main__":
    main()
