"""Training SAEs and transcoders for every layer of a model in one pass over text."""
