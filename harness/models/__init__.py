"""Models: from a name to a model seen as sites, tokens, logits and gradients."""
