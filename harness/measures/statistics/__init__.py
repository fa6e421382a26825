"""The statistics of a curve, one file a family: each module lists its records as `RECORDS`."""
