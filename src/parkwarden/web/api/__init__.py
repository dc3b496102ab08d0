"""One module per family of routes under /api/v1: what a program sees."""
