"""Grids with a name, a YAML file each: `basisbench run --board NAME`, `basisbench list boards`."""
