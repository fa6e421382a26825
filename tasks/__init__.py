"""Task families that ship with Basisbench, one module each, reached through entry points."""
