"""First names, in two lots that share none; each is one token with its leading space in SmolLM2's vocabulary.

Names that are common for both women and men are left out.
"""


def listed(text: str) -> tuple[str, ...]:
    """Read words separated by blanks."""
    return tuple(text.split())


MEN = listed("""
    John James Robert Michael William David Richard Joseph Thomas Daniel Matthew Anthony Mark Paul Steven Andrew
    Kenneth George Kevin Brian Edward Ronald Timothy Jason Jacob Eric Larry Scott Benjamin Gregory Frank Patrick
    Jack Henry Peter Adam Nathan Arthur Albert Simon
""")
WOMEN = listed("""
    Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Margaret Sandra Emily
    Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Kathleen Amy Angela Anna Emma Helen Rachel
    Janet Catherine Maria Diane Ruth Julie Alice Julia
""")
HELDOUT_MEN = listed("Jeffrey Ryan Walter Carl Roger Louis Philip Victor Oliver Tom Bob Mike Steve Tony Howard Karl")
HELDOUT_WOMEN = listed("""
    Amelia Christine Samantha Heather Olivia Martha Sophia Hannah Jane Claire Ellen Lucy Molly Sally Kate Lily
""")
