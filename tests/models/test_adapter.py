"""The adapter against the Hugging Face model itself, on every architecture."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from basisbench.errors import UserError
from basisbench.models.adapter import Edit, Model, Start
from basisbench.models.sites import SITES, Site
from toys.models import ARCHITECTURES, LAYERS, VOCABULARY, random_hf

pytestmark = pytest.mark.parametrize("architecture", ARCHITECTURES)


def tokens_and_last() -> tuple[Tensor, Tensor]:
    ids = torch.randint(3, VOCABULARY, (4, 7), generator=torch.Generator().manual_seed(1))
    ids[:, :2] = ids[:1, :2]
    return ids, torch.tensor([6, 6, 3, 5])


def run_all(model: Model) -> dict[Site, Tensor]:
    ids, last = tokens_and_last()
    stored: dict[Site, Tensor] = {}

    def keep(site: Site) -> Edit:
        return lambda x: stored.update({site: x})

    sites = [Site(layer, kind) for layer in range(LAYERS) for kind in SITES if model.has_site(Site(layer, kind))]
    with torch.no_grad():
        model.forward(ids, last, edits=[(site, keep(site)) for site in sites])
    return stored


def test_logits_equal_the_hugging_face_models(architecture: str, tiny: Callable[[str], Model]) -> None:
    model, hf = tiny(architecture), random_hf(architecture)
    ids, last = tokens_and_last()
    with torch.no_grad():
        expected = hf(ids).logits[torch.arange(4), last]
        hidden = model.forward(ids, last)
        torch.testing.assert_close(model.logits(hidden), expected, atol=1e-5, rtol=1e-5)
        some = ids[:, :3]
        torch.testing.assert_close(model.logits_of(hidden, some), expected.gather(1, some), atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing(architecture: str, tiny: Callable[[str], Model]) -> None:
    model = tiny(architecture)
    ids, last = tokens_and_last()
    with torch.no_grad():
        together = model.forward(ids, last)
        alone = torch.cat([model.forward(ids[i : i + 1, : last[i] + 1], last[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_starting_at_a_layer_is_the_same_pass(architecture: str, layer: int, tiny: Callable[[str], Model]) -> None:
    model, stored = tiny(architecture), run_all(tiny(architecture))
    ids, last = tokens_and_last()
    at = Site(layer, "resid_pre") if layer < LAYERS else Site(layer - 1, "resid_post")
    with torch.no_grad():
        torch.testing.assert_close(
            model.forward(ids, last, start=Start(layer, stored[at])), model.forward(ids, last), atol=1e-5, rtol=1e-5
        )


def test_a_cached_prefix_is_the_same_pass(architecture: str, tiny: Callable[[str], Model]) -> None:
    model = tiny(architecture)
    ids, last = tokens_and_last()
    with torch.no_grad():
        plain = model.forward(ids, last)
        for rows in (ids[:1, :2], ids[:, :2]):
            cached = model.forward(ids[:, 2:], last - 2, prefix=model.prefix(rows))
            torch.testing.assert_close(cached, plain, atol=1e-5, rtol=1e-5)
        doubled = model.forward(ids[:, 2:].repeat(2, 1), (last - 2).repeat(2), prefix=model.prefix(ids[:, :2]).tiled(2))
        torch.testing.assert_close(doubled, plain.repeat(2, 1), atol=1e-5, rtol=1e-5)


def test_a_cache_that_stays_empty_is_an_error(
    architecture: str, tiny: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with transformers 5.24, whose layers no longer see the cache that transformer_lens hands them."""
    model = tiny(architecture)
    monkeypatch.setattr(model, "_run_body", lambda tokens, cache, use_cache: None)
    with pytest.raises(RuntimeError, match="did not keep the keys and values"):
        model.prefix(torch.tensor([[2, 3]]))


def test_projection_weights_carry_site_to_site(architecture: str, tiny: Callable[[str], Model]) -> None:
    model, stored = tiny(architecture), run_all(tiny(architecture))
    for layer in range(LAYERS):
        for source, target in (("mlp_post", "mlp_proj"), ("attn_z", "attn_proj")):
            weight = model.projection(source, layer)
            x = stored[Site(layer, source)]
            y = stored[Site(layer, target)]
            bias = y[0, 0] - x[0, 0] @ weight
            torch.testing.assert_close(x @ weight + bias, y, atol=1e-5, rtol=1e-5)


def test_summands_make_the_residual_stream(architecture: str, tiny: Callable[[str], Model]) -> None:
    stored = run_all(tiny(architecture))
    for layer in range(LAYERS):
        before, attn, mlp = (stored[Site(layer, kind)] for kind in ("resid_pre", "attn_out", "mlp_out"))
        torch.testing.assert_close(before + attn + mlp, stored[Site(layer, "resid_post")], atol=1e-5, rtol=1e-5)


def test_a_site_the_model_lacks_is_refused(architecture: str, tiny: Callable[[str], Model]) -> None:
    with pytest.raises(UserError, match=r"valid layers: 0 to 2"):
        tiny(architecture).require_site(Site(LAYERS, "mlp_out"))


def test_neurons_by_column_are_the_models_neurons(architecture: str, tiny: Callable[[str], Model]) -> None:
    model, stored = tiny(architecture), run_all(tiny(architecture))
    assert model.computes_neurons
    units = torch.tensor([3, 0, 17])
    for layer in range(LAYERS):
        got = model.neurons(layer, stored[Site(layer, "mlp_in")], units)
        torch.testing.assert_close(got, stored[Site(layer, "mlp_post")][..., units], atol=1e-5, rtol=1e-5)
