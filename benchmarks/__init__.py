"""Measurements of quality and speed; not part of the package that is installed."""
