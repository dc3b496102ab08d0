"""The functions of a profile by what they hold: `go tool pprof -top` as rows. Pure.

`flat` is what stands at the function's own line (it allocated, it ran), `cum` what stands at it and below it. Recursion counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parkwarden.model import Frame, Profile


@dataclass(frozen=True, slots=True)
class Top:
    """One function; `frame` is its place where it holds most."""

    frame: Frame
    flat: int
    cum: int


@dataclass(frozen=True, slots=True)
class Tops:
    """The functions of one column, most held first."""

    name: str
    unit: str
    """As the profile tells them: `inuse_space`, `bytes`."""
    total: int
    rows: list[Top]
    functions: int
    """Of the whole profile; `rows` are the first of them."""


def default_column(profile: Profile) -> int:
    """What pprof shows by itself: the last one; of a heap profile memory in use."""
    names = [name for name, _unit in profile.sample_types]
    return names.index("inuse_space") if "inuse_space" in names else len(names) - 1


def tops(profile: Profile, column: int, limit: int) -> Tops:
    """The functions of `column` (an index of `sample_types`), most by themselves first."""
    name, unit = profile.sample_types[column]
    values = profile.values[:, column]
    weights = np.zeros(len(profile.stacks), dtype=np.int64)
    np.add.at(weights, profile.stack, values)
    flat: dict[str, int] = {}
    cum: dict[str, int] = {}
    best: dict[str, tuple[int, Frame]] = {}
    for stack, weight in zip(profile.stacks, weights.tolist(), strict=True):
        if not weight or not stack.frames:
            continue
        leaf = stack.frames[0].function
        flat[leaf] = flat.get(leaf, 0) + weight
        # of a recursive function's frames the innermost stays
        for function, frame in {frame.function: frame for frame in reversed(stack.frames)}.items():
            cum[function] = cum.get(function, 0) + weight
            if function not in best or weight > best[function][0]:
                best[function] = (weight, frame)
    ranked = sorted(cum, key=lambda f: (-abs(flat.get(f, 0)), -abs(cum[f]), f))
    rows = [Top(best[f][1], flat.get(f, 0), cum[f]) for f in ranked[:limit]]
    return Tops(name, unit, int(values.sum()), rows, len(ranked))
