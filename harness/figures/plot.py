"""What a figure is: one record that says everything about itself, and all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from basisbench.figures.panels import Drawing
from basisbench.figures.series import Comparison
from basisbench.figures.style import Style
from basisbench.registry import Records, found_in


@dataclass(frozen=True)
class Plot:
    """One figure: its name, which is that of its files, what it shows in a line, what it needs, and how it is drawn.

    `draw` takes the comparison, the style and k, the size of circuits that are compared; it raises LeftOutError where
    the results do not give what it `needs`.
    """

    name: str
    about: str
    needs: str
    draw: Callable[[Comparison, Style, int], Drawing]


FIGURES: Records[Plot] = Records("figure", "basisbench.figures", lambda: found_in("basisbench.figures.plots"))
