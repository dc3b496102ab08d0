"""Hostile names made inert: see `parkwarden.model.safe`, which alerts use too."""

from parkwarden.model.safe import MAX_COMBINING, MAX_TEXT, inert, inert_lines, middle

__all__ = ["MAX_COMBINING", "MAX_TEXT", "inert", "inert_lines", "middle"]
