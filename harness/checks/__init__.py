"""Checks of what others made: a basis, a task, what a model can do at all."""
