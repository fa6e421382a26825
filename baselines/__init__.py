"""The bases that ship with Basisbench, one file a family; each is an entry point in pyproject.toml."""
