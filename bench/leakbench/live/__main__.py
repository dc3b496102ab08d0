"""`python -m bench.leakbench.live`."""

from __future__ import annotations

import sys

from bench.leakbench.live.run import main

sys.exit(main(sys.argv[1:]))
