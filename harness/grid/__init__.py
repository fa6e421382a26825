"""Grids of cells: what is to be computed, who computes it, one cell, and what failed."""
