"""Studies: questions about one model, each answered by one command whose outcome is committed in ``results/``."""
