"""Gendered pronouns: continue with the pronoun that goes with a first name.

The corrupt prompt has a name of the other gender. Mathwin et al. 2023, "Identifying a Preliminary Circuit for
Predicting Gendered Pronouns in GPT-2 Small" (the first template), with our own names and further templates.
"""

from basisbench.shipped_tasks.facts import Fact, FactTask, Template
from basisbench.shipped_tasks.names import HELDOUT_MEN, HELDOUT_WOMEN, MEN, WOMEN


def _facts(men: tuple[str, ...], women: tuple[str, ...]) -> tuple[Fact, ...]:
    """Pair each name with its pronoun."""
    return (*(Fact(name, "he") for name in men), *(Fact(name, "she") for name in women))


GENDER_PRONOUN = FactTask(
    "gender_pronoun",
    "he or she after a first name (Mathwin et al. 2023); smollm2-135m: pairs 1.00",
    _facts(MEN, WOMEN),
    _facts(HELDOUT_MEN, HELDOUT_WOMEN),
    (
        Template("friend", "So {name} is a really great friend, isn't {answer}"),
        Template("late", "I think {name} will be late again, won't {answer}"),
        Template("worked", "As you know, {name} worked very hard last year, didn't {answer}"),
        Template("trust", "People trust {name} because {answer}"),
    ),
    (
        Template("can", "I am sure that {name} can swim, can't {answer}"),
        Template("tired", "Yesterday {name} went home early because {answer}"),
        Template("waited", "We waited for {name} until {answer}"),
    ),
)
