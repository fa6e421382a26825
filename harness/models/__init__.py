"""Models: from names to sites, logits and gradients. TransformerLens is imported in `adapter` alone."""

from basisbench.models.adapter import Edit, Model, Prefix, Start
from basisbench.models.loading import load_model
from basisbench.models.recording import record
from basisbench.models.sites import SITES, Site, SiteKind

__all__ = ["SITES", "Edit", "Model", "Prefix", "Site", "SiteKind", "Start", "load_model", "record"]
