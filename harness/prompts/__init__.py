"""From a task's pairs to aligned tensors, and from a model's logits to outcomes."""

from basisbench.prompts.prompt_set import PLAIN, PromptSet, Scoring
from basisbench.prompts.selection import Filter, load_prompts

__all__ = ["PLAIN", "Filter", "PromptSet", "Scoring", "load_prompts"]
