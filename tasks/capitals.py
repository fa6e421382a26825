"""Capitals of US states and of countries, of which `capitals/two_hop` takes two steps: city, state, capital.

Lindsey et al. 2025, "On the Biology of a Large Language Model" (multi-step reasoning). The corrupt prompt asks about
another place, with another answer; a city's partner is one whose name is about as long (`State.lots`), a state's or
country's one of as many words. Candidates are all capitals or all states.

The template of each task is the one of several on which smollm2-135m is best; the others are the held-out ones. The
accuracies in the descriptions are its own in that template, over discovery, evaluation and heldout, up to 1,200 pairs
of each, seed 0: "restricted", for how many prompts the first token of the answer has the highest logit among those of
all candidates; "pairs", for how many pairs a higher one than that of the foil. They are the facts by which the template
was chosen, so the accuracies are a little too good.
"""

from basisbench.shipped_tasks.facts import Fact, FactTask, Template
from basisbench.shipped_tasks.places import COUNTRIES, HELDOUT_COUNTRIES, HELDOUT_STATES, STATES, State

SOURCE = "Lindsey et al. 2025"


def _cities(states: tuple[State, ...], answer: str) -> tuple[Fact, ...]:
    """Ask about each city for an attribute of its state."""
    return tuple(
        Fact(city, getattr(state, answer), f"lot {i}")
        for state in states
        for i, lot in enumerate(state.lots)
        for city in lot
    )


def _capitals(places: tuple[tuple[str, str], ...]) -> tuple[Fact, ...]:
    """Ask about each (place, capital) for the capital."""
    return tuple(Fact(place, capital, f"{place.count(' ')} blanks") for place, capital in places)


def _state_capitals(states: tuple[State, ...]) -> tuple[Fact, ...]:
    """Ask about each state for its capital."""
    return _capitals(tuple((state.name, state.capital) for state in states))


TWO_HOP = FactTask(
    "capitals/two_hop",
    f"the capital of a city's US state ({SOURCE}); smollm2-135m: restricted 0.34, pairs 0.83",
    _cities(STATES, "capital"),
    _cities(HELDOUT_STATES, "capital"),
    (Template("few_shot", "City: {city}. State capital: {answer}", ("Miami", "Los Angeles", "Baltimore")),),
    (
        Template("fact", "Fact: the capital of the state containing {city} is {answer}"),
        Template("located", "The capital of the state where {city} is located is {answer}", ("Chicago", "Charlotte")),
    ),
)
CITY_STATE = FactTask(
    "capitals/city_state",
    f"the US state of a city, first step of capitals/two_hop ({SOURCE}); smollm2-135m: restricted 0.55, pairs 0.91",
    _cities(STATES, "name"),
    _cities(HELDOUT_STATES, "name"),
    (Template("few_shot", "The city of {city} is in the state of {answer}", ("Miami", "Los Angeles")),),
    (
        Template("plain", "The city of {city} is in the state of {answer}"),
        Template("listed", "City: {city}. State: {answer}", ("Chicago", "Charlotte")),
    ),
)
STATE_CAPITAL = FactTask(
    "capitals/state_capital",
    f"the capital of a US state, second step of capitals/two_hop ({SOURCE}); smollm2-135m: restricted 0.74, pairs 0.98",
    _state_capitals(STATES),
    _state_capitals(HELDOUT_STATES),
    (Template("few_shot", "State: {state}. Capital: {answer}", ("California", "Florida", "Maryland")),),
    (
        Template("plain", "The capital of the state of {state} is {answer}"),
        Template("called", "The capital city of {state} is called {answer}"),
    ),
)
COUNTRY = FactTask(
    "capitals/country",
    f"the capital of a country ({SOURCE}); smollm2-135m: restricted 0.84, pairs 0.99",
    _capitals(COUNTRIES),
    _capitals(HELDOUT_COUNTRIES),
    (Template("few_shot", "Country: {country}. Capital: {answer}", ("Italy", "Peru", "Egypt")),),
    (
        Template("plain", "The capital of {country} is {answer}"),
        Template("called", "The capital city of {country} is called {answer}"),
    ),
)
