"""Published tasks under their own names: the task files in ``presets``, each read by `basisbench.tasks.mapped`.

Nothing is loaded before pairs are asked for. The data of ``mib`` (Mueller et al. 2025, arXiv 2504.13151) are on the
hub; those of ``marks`` (Marks et al. 2025, arXiv 2403.19647) in a clone of their repository, in the current folder or
the one that ``BASISBENCH_DATA`` names.
"""

from pathlib import Path

from basisbench.settings import make_settings
from basisbench.tasks.mapped import MappedTask, TaskMapping

FOLDER = Path(__file__).parent / "presets"


def preset(file: str) -> MappedTask:
    """Return the task that a file of the folder describes."""
    return MappedTask(make_settings(TaskMapping, {}, FOLDER / f"{file}.yaml"), None)


MIB_IOI = preset("mib_ioi")
MIB_COPYCOLORS_MCQA = preset("mib_copycolors_mcqa")
MIB_ARITHMETIC_ADDITION = preset("mib_arithmetic_addition")
MIB_ARITHMETIC_SUBTRACTION = preset("mib_arithmetic_subtraction")
MIB_ARC_EASY = preset("mib_arc_easy")
MIB_ARC_CHALLENGE = preset("mib_arc_challenge")
MARKS_SIMPLE = preset("marks_simple")
MARKS_NOUNPP = preset("marks_nounpp")
MARKS_RC = preset("marks_rc")
MARKS_WITHIN_RC = preset("marks_within_rc")
