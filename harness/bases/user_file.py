"""A user's own basis, out of a Python file: imported, then checked before anything is computed with it.

A mistake in someone's first basis must not become a wrong number, nor a traceback after an hour: what the file
raises is one line that names the file's own line, and one layer is compared with what `bases.basis.Basis` promises.
"""

from pathlib import Path

import torch
from torch import Tensor

from basisbench.bases.basis import Basis, BasisFactory
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.user_code import RAISED, from_file, reason_in

TOLERANCE = 1e-3


def basis_from_file(path: Path, attribute: str) -> BasisFactory:
    """Return the class or function `attribute` of the Python file `path`, made to check what it returns.

    Raises UserError for a file that is missing or fails to import and for a name that it does not define; the
    returned factory does if the user's fails or its basis breaks a promise.
    """
    made: BasisFactory = from_file(path, attribute)  # type: ignore[assignment]  # what it returns is checked

    def factory(model: Model) -> Basis:
        try:
            basis = made(model)
            if not isinstance(basis, Basis):
                raise UserError(f"'{attribute}' in {path} gave a {type(basis).__name__}: valid: a basisbench.Basis")
            if not basis.layers():
                raise UserError(f"basis '{attribute}' has no layer: valid: layers() with one or more")
            layer = basis.layers()[0]
            if broken := broken_promise(basis, model, layer):
                raise UserError(f"basis '{attribute}', layer {layer}: {broken}")
        except UserError:
            raise
        except RAISED as error:
            raise UserError(f"basis '{attribute}' failed: {reason_in(path, error)}") from error
        return basis

    return factory


def broken_promise(basis: Basis, model: Model, layer: int, x: Tensor | None = None) -> str | None:
    """Compare one layer with the promises of `Basis`, on activations x [2, 3, width] or random ones.

    Shapes; `units` selects columns; and <lift(f), g> = <f, project(g)>, as `project` is the transpose of `lift`.
    Returns which promise is broken, in words, or None. Raises UserError for a site that the model lacks.
    """
    for site in (basis.read(layer), *basis.writes(layer)):
        model.require_site(site)
    try:
        _compare(basis, model, layer, x)
    except _BrokenError as broken:
        return str(broken)
    return None


class _BrokenError(Exception):
    """A promise that is not kept, in words."""


def _compare(basis: Basis, model: Model, layer: int, x: Tensor | None) -> None:
    n_units = basis.n_units(layer)

    # one generator: were the same numbers drawn for f and g, a transposed square decoder would pass
    generator = torch.Generator().manual_seed(0)

    def random(width: int) -> Tensor:
        values = torch.randn(2, 3, width, generator=generator)
        return values.to(model.device, model.dtype)

    def agree(what: str, found: Tensor, expected: Tensor) -> None:
        # NaN is left to the run, which loses no more by it than this basis' cells; so are half precision's roundings
        close = torch.allclose(found.double(), expected.double(), TOLERANCE, TOLERANCE, equal_nan=True)
        if not close and model.dtype in (torch.float32, torch.float64):
            raise _BrokenError(what)

    def shaped(what: str, found: Tensor, width: int) -> Tensor:
        if found.shape != (2, 3, width):
            raise _BrokenError(f"{what} gave the shape {list(found.shape)} for [2, 3]: valid: [2, 3, {width}]")
        return found

    x = random(model.width(basis.read(layer).kind)) if x is None else x
    f = shaped("encode", basis.encode(layer, x), n_units)
    # the most active units and the first ones, which may be silent: last first, so that their order matters
    active = f.abs().amax((0, 1)).topk(min(2, n_units)).indices
    units = torch.cat([active, torch.arange(min(2, n_units), device=active.device)]).unique().flip(0)
    chosen = shaped("encode with `units`", basis.encode(layer, x, units), len(units))
    agree("encode with `units` must give those columns of encode", chosen, f[..., units])
    if not basis.has_error and tuple(basis.writes(layer)) == (basis.read(layer),):
        lost = x - basis.lift(layer, basis.read(layer), f)
        agree("has_error is False, but lift(encode(x)) is not x", lost, lost[:1, :1].expand_as(lost))
    some = random(n_units)
    for site in basis.writes(layer):
        g = random(model.width(site.kind))
        lifted = shaped("lift", basis.lift(layer, site, some), g.shape[-1])
        nothing = basis.lift(layer, site, torch.zeros_like(some))
        bias = "project must be the transpose of lift, but lift makes something of zeros: a bias is no unit's"
        agree(bias, nothing, nothing * 0)
        projected = shaped("project", basis.project(layer, site, g), n_units)
        size = lifted.norm(dim=-1) * g.norm(dim=-1) + 1e-30
        left, right = (lifted * g).sum(-1) / size, (some * projected).sum(-1) / size
        agree("project must be the transpose of lift", left, right)
        chosen = shaped("project with `units`", basis.project(layer, site, g, units), len(units))
        agree("project with `units` must give those columns of project", chosen, projected[..., units])
        alone = torch.zeros_like(some).index_copy(-1, units, some[..., units])
        chosen = shaped("lift with `units`", basis.lift(layer, site, some[..., units], units), g.shape[-1])
        agree("lift with `units` must give what those units write", chosen, basis.lift(layer, site, alone))
