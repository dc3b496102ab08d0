"""`python -m parkwarden.kernels`: compile every kernel and keep its machine code, so that nobody waits later."""

from __future__ import annotations

import time

from parkwarden.kernels import load, names

for name in names():
    began = time.perf_counter()
    load(name)
    print(f"kernel {name}: ready after {time.perf_counter() - began:.1f} s")
