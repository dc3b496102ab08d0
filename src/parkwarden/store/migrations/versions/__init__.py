"""One module per step. A step is never edited after a release: its tables are written out, not taken from `store/tables`."""
