"""Documents of an older schema, in the form of today's."""

from collections.abc import Mapping

_METRICS = ("accuracy", "candidate_accuracy", "probability_difference", "kl")
_STATISTICS = {f"nodes_at_{threshold}": f"nodes@{threshold}" for threshold in ("0.5", "0.8", "0.9")}


def upgraded(document: object) -> object:
    """Return `document`, one of version 2 in the form of version 3; what is no such document as it is.

    Until version 2 a reported metric was a field of the curve, and one more for the complement; sizes at a threshold
    were called ``nodes_at_0.8``. Nothing is checked here: what was wrong before is wrong after.
    """
    if not isinstance(document, Mapping) or document.get("schema_version") != 2:
        return document
    new = {**document, "schema_version": 3}
    if isinstance(curve := document.get("curve"), Mapping) and "reported" not in curve:
        lists = dict(curve)
        reported = {
            name: {"circuit": lists.pop(name), "complement": lists.pop(f"{name}_complement")}
            for name in _METRICS
            if name in lists and f"{name}_complement" in lists
        }
        new["curve"] = {**lists, "reported": reported}
    if isinstance(summary := document.get("summary"), Mapping) and not summary.keys() & set(_STATISTICS.values()):
        new["summary"] = {_STATISTICS.get(name, name): value for name, value in summary.items()}
    return new
