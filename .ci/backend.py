"""setuptools' own build backend, but that an editable install comes before any folder that is called basisbench.

The finder that ``pip install -e .`` leaves is asked after Python's own, which takes a folder of that name without an
``__init__.py`` for the package: the clone itself, in a script, notebook or ``python -m basisbench`` started beside it.
"""

from setuptools.build_meta import *  # noqa: F403
from setuptools.command import editable_wheel

editable_wheel._FINDER_TEMPLATE = editable_wheel._FINDER_TEMPLATE.replace("meta_path.append(", "meta_path.insert(0, ")
