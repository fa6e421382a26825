"""The results that a figure is made of: found in folders, bad files set aside, and chosen by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basisbench.errors import UserError, unknown_name
from basisbench.results.files import RankingArrays
from basisbench.results.find import Stored, find_results
from basisbench.results.schema import Result


@dataclass(frozen=True)
class Reading:
    """The results found in folders, where each lies, and a line for each file that is no good or not used."""

    results: tuple[Result, ...]
    stored: dict[str, Stored]
    problems: tuple[str, ...]

    def ranking(self, result: Result) -> RankingArrays:
        """Return the nodes of one of the results."""
        return self.stored[result.name].arrays(result)[1]

    def only(self, tasks: Sequence[str], bases: Sequence[str], methods: Sequence[str]) -> "Reading":
        """Return the results of these tasks, bases and methods (all, if none is named); raises UserError if unknown."""
        kept = self.results
        for kind, plural, names in (
            ("task", "tasks", tasks),
            ("basis", "bases", bases),
            ("method", "methods", methods),
        ):
            known = {getattr(result.cell, kind) for result in self.results}
            for name in names:
                if name not in known:
                    raise unknown_name(kind, name, known)
            kept = tuple(result for result in kept if not names or getattr(result.cell, kind) in names)
            if not kept:
                raise UserError(f"no result has these {plural} with what was asked before: name fewer")
        return Reading(kept, self.stored, self.problems)


def read_folders(folders: Sequence[Path]) -> Reading:
    """Return the results in `folders` and the folders in them, each once; a bad file is a line in `problems`.

    Raises UserError for a folder that is not there and if there is no good result.
    """
    found: dict[str, Result] = {}
    places: dict[str, Stored] = {}
    problems: list[str] = []
    for stored in find_results(folders):
        try:
            result = stored.result()
        except UserError as error:
            problems.append(str(error))
            continue
        first = found.setdefault(result.name, result)
        kept = places.setdefault(result.name, stored)
        if first.arrays_sha256 != result.arrays_sha256:
            problems.append(f"{stored.path} has other numbers than {kept.path}, which counts")
    if not found:
        where = ", ".join(map(str, folders))
        bad = f", {len(problems)} bad, the first: {problems[0]}" if problems else ""
        raise UserError(f"no results in {where}{bad}: valid are folders that `basisbench run` wrote to")
    return Reading(tuple(found[name] for name in sorted(found)), places, tuple(problems))
