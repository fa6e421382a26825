"""Capitals: the facts against lists written again here, and what the tasks make of them."""

import re
from collections import Counter

import pytest

from basisbench.shipped_tasks.capitals import CITY_STATE, COUNTRY, STATE_CAPITAL, TWO_HOP
from basisbench.shipped_tasks.facts import FactTask
from basisbench.shipped_tasks.places import COUNTRIES, HELDOUT_COUNTRIES, HELDOUT_STATES, STATES, State
from basisbench.tasks.pair import Pair
from basisbench.values import SPLITS, Split
from toys.models import only

ALL_STATES = (*STATES, *HELDOUT_STATES)
# The fifty capitals, in the alphabetical order of the states.
STATE_NAMES = """
Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Delaware, Florida, Georgia, Hawaii, Idaho,
Illinois, Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland, Massachusetts, Michigan, Minnesota,
Mississippi, Missouri, Montana, Nebraska, Nevada, New Hampshire, New Jersey, New Mexico, New York, North Carolina,
North Dakota, Ohio, Oklahoma, Oregon, Pennsylvania, Rhode Island, South Carolina, South Dakota, Tennessee, Texas,
Utah, Vermont, Virginia, Washington, West Virginia, Wisconsin, Wyoming
"""
STATE_CAPITALS = """
Montgomery, Juneau, Phoenix, Little Rock, Sacramento, Denver, Hartford, Dover, Tallahassee, Atlanta, Honolulu, Boise,
Springfield, Indianapolis, Des Moines, Topeka, Frankfort, Baton Rouge, Augusta, Annapolis, Boston, Lansing, Saint Paul,
Jackson, Jefferson City, Helena, Lincoln, Carson City, Concord, Trenton, Santa Fe, Albany, Raleigh, Bismarck, Columbus,
Oklahoma City, Salem, Harrisburg, Providence, Columbia, Pierre, Nashville, Austin, Salt Lake City, Montpelier, Richmond,
Olympia, Charleston, Madison, Cheyenne
"""
# A well-known city of each state that is not its capital.
LANDMARKS = """
Alabama: Birmingham, Alaska: Anchorage, Arizona: Tucson, Arkansas: Fort Smith, California: Oakland, Colorado: Boulder,
Connecticut: New Haven, Delaware: Rehoboth Beach, Florida: Tampa, Georgia: Savannah, Hawaii: Hilo, Idaho: Pocatello,
Illinois: Chicago, Indiana: Fort Wayne, Iowa: Cedar Rapids, Kansas: Wichita, Kentucky: Louisville,
Louisiana: New Orleans, Maine: Bangor, Maryland: Baltimore, Massachusetts: Worcester, Michigan: Detroit,
Minnesota: Minneapolis, Mississippi: Biloxi, Missouri: St. Louis, Montana: Missoula, Nebraska: Omaha, Nevada: Reno,
New Hampshire: Nashua, New Jersey: Newark, New Mexico: Albuquerque, New York: Buffalo, North Carolina: Charlotte,
North Dakota: Fargo, Ohio: Cleveland, Oklahoma: Tulsa, Oregon: Eugene, Pennsylvania: Pittsburgh, Rhode Island: Cranston,
South Carolina: Spartanburg, South Dakota: Sioux Falls, Tennessee: Memphis, Texas: Dallas, Utah: Provo,
Vermont: Rutland, Virginia: Norfolk, Washington: Seattle, West Virginia: Morgantown, Wisconsin: Milwaukee,
Wyoming: Laramie
"""
# Names that stand for places in several states.
AMBIGUOUS = {
    *(
        "Portland",
        "Springfield",
        "Columbus",
        "Kansas City",
        "Wilmington",
        "Aurora",
        "Arlington",
        "Glendale",
        "Pasadena",
    ),
    *("Rochester", "Bloomington", "Lafayette", "Fayetteville", "Charleston", "Columbia", "Greenville", "Burlington"),
    *("Augusta", "Jackson", "Albany", "Concord", "Salem", "Richmond", "Florence", "Athens", "Lancaster", "Manchester"),
}
COUNTRY_CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Australia": "Canberra",
    "Canada": "Ottawa",
    "Brazil": "Brasília",
    "Turkey": "Ankara",
    "Kazakhstan": "Astana",
    "Morocco": "Rabat",
    "Nigeria": "Abuja",
    "Switzerland": "Bern",
    "New Zealand": "Wellington",
    "Vietnam": "Hanoi",
    "Pakistan": "Islamabad",
}


def listed(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",")]


def cities(state: State) -> tuple[str, ...]:
    return tuple(city for lot in state.lots for city in lot)


def pairs(task: FactTask, split: Split, n: int = 800, seed: int = 5) -> list[Pair]:
    return list(task.pairs(split, n, seed))


def asked(pair: Pair, side: str) -> str:
    (span,) = getattr(pair, f"{side}_spans")
    name: str = getattr(pair, side)[span.start : span.end]
    return name


def test_all_fifty_states_have_their_capitals() -> None:
    expected = dict(zip(listed(STATE_NAMES), listed(STATE_CAPITALS), strict=True))
    assert len(expected) == 50
    assert len(ALL_STATES) == 50
    assert {state.name: state.capital for state in ALL_STATES} == expected
    assert len(set(expected.values())) == 50


def test_cities_are_of_one_state_and_do_not_give_it_away() -> None:
    every = Counter(city for state in ALL_STATES for city in cities(state))
    assert [city for city, count in every.items() if count > 1] == []
    assert not set(every) & ({state.capital for state in ALL_STATES} | AMBIGUOUS)
    for state in ALL_STATES:
        assert len(cities(state)) >= 4, state.name
        given = set(re.findall(r"\w+", f"{state.name} {state.capital}"))
        assert not [city for city in cities(state) if given & set(re.findall(r"\w+", city))]


def test_a_city_of_each_state_is_in_that_state() -> None:
    known = dict(item.split(": ") for item in listed(LANDMARKS))
    assert len(known) == 50
    for state in ALL_STATES:
        assert known[state.name] in cities(state)


def test_countries_have_their_capitals() -> None:
    places = (*COUNTRIES, *HELDOUT_COUNTRIES)
    assert len(places) >= 60
    assert len({country for country, _ in places}) == len({capital for _, capital in places}) == len(places)
    assert COUNTRY_CAPITALS.items() <= dict(places).items()
    # no capital that repeats its country
    for country, capital in places:
        assert not set(country.split()) & set(capital.split())


@pytest.mark.parametrize("split", SPLITS)
def test_both_hops_of_a_pair_agree(split: Split) -> None:
    state_of = {city: state for state in ALL_STATES for city in cities(state)}
    hops = [(TWO_HOP, pair) for pair in pairs(TWO_HOP, split)] + [
        (CITY_STATE, pair) for pair in pairs(CITY_STATE, split)
    ]
    for task, pair in hops:
        for side, answer in (("clean", "answers"), ("corrupt", "foils")):
            state = state_of[asked(pair, side)]
            assert only(getattr(pair, answer)) == f" {state.capital if task is TWO_HOP else state.name}"
            assert (state in HELDOUT_STATES) == (split == "heldout")
        assert state_of[asked(pair, "clean")] != state_of[asked(pair, "corrupt")]


def test_partners_are_as_long() -> None:
    lot_of = {city: i for state in ALL_STATES for i, lot in enumerate(state.lots) for city in lot}
    for pair in (*pairs(TWO_HOP, "evaluation"), *pairs(CITY_STATE, "heldout")):
        assert lot_of[asked(pair, "clean")] == lot_of[asked(pair, "corrupt")]
    for pair in (*pairs(STATE_CAPITAL, "discovery"), *pairs(COUNTRY, "evaluation")):
        assert len(asked(pair, "clean").split()) == len(asked(pair, "corrupt").split())


def test_candidates_are_all_capitals_or_all_states() -> None:
    capitals = {f" {capital}" for capital in listed(STATE_CAPITALS)}
    names = {f" {name}" for name in listed(STATE_NAMES)}
    for task, expected in ((TWO_HOP, capitals), (STATE_CAPITAL, capitals), (CITY_STATE, names)):
        for pair in pairs(task, "evaluation", 20):
            assert len(pair.candidates) == 50
            assert set(pair.candidates) == expected


def test_nearly_every_state_and_country_is_asked() -> None:
    for task, others in ((TWO_HOP, 3), (CITY_STATE, 2), (STATE_CAPITAL, 3), (COUNTRY, 3)):
        answers = {
            only(pair.answers)
            for split in ("discovery", "evaluation", "heldout")
            for pair in pairs(task, split, 400 if task is COUNTRY else 150)
        }
        # exemplars are not asked; a state whose prompts all lack a partner would be missing
        assert len(answers) == len({fact.answer for fact in (*task.shared, *task.heldout)}) - others
