"""The figures, one a file: each module lists its records as `RECORDS`."""
