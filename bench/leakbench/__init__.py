"""leakbench: how slow a leak a detector still finds, how soon, and how often it cries wolf. `python -m bench.leakbench`."""
