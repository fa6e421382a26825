"""From a name to a basis of a model: registered, or out of a file."""

from pathlib import Path

from basisbench.bases.basis import BASES, Basis, BasisFactory
from basisbench.bases.user_file import basis_from_file
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.registry import with_option
from basisbench.user_code import file_and_name


def basis_file(name: str) -> tuple[Path, str] | None:
    """The file and the attribute that ``path/to/file.py:Name`` stands for (see `user_code.file_and_name`)."""
    return file_and_name("basis", name)


def find_basis(name: str) -> BasisFactory:
    """Return what makes the basis called `name` of a model.

    `name` is registered, ``registered:option``, or ``path/to/file.py:Name``.

    Raises UserError for an unknown name and for a file that cannot be imported.
    """
    if file := basis_file(name):
        return basis_from_file(*file)
    base, _, option = name.partition(":")
    return with_option("basis", base, BASES.get(base), option)


def load_basis(name: str, model: Model) -> Basis:
    """Return the basis called `name`, bound to `model`; raises UserError as `find_basis` and `bind_basis` do."""
    return bind_basis(name, find_basis(name), model)


def bind_basis(name: str, factory: BasisFactory, model: Model) -> Basis:
    """Return the basis that `factory` makes of `model`, with the name that results give it.

    That is the name asked for; of a file, the part behind the colon. Raises UserError for something that is no
    basis, or reads or writes a site that the model lacks.
    """
    basis = factory(model)
    if not isinstance(basis, Basis):
        raise UserError(f"basis '{name}' is a {type(basis).__name__}: valid: a basisbench.Basis")
    for layer in basis.layers():
        for site in (basis.read(layer), *basis.writes(layer)):
            model.require_site(site)
        # passes start at the first layer that holds a node: what it reads must not lie before
        if basis.read(layer).layer != layer or any(site.layer < layer for site in basis.writes(layer)):
            raise UserError(
                f"basis '{name}': units of layer {layer} read {basis.read(layer)} and write "
                f"{', '.join(map(str, basis.writes(layer)))}: valid: read layer {layer}, write it or later ones"
            )
        if read_only := [site for site in basis.writes(layer) if site.spec.read_only]:
            raise UserError(f"basis '{name}' writes {read_only[0]}, which can only be read")
    file = basis_file(name)
    basis.name = file[1] if file else name
    return basis
