"""Judges of a fleet over time: one module per detector, each a pure function over columns; `fuse` makes findings of signals."""
