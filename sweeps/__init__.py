"""Sweeps for W&B, a YAML file each: `basisbench list sweeps`."""
