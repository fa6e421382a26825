"""A stand-in for the model hub: a local server, miniature models and dictionaries under the names of real ones."""
