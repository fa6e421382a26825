"""Words for the agreement templates, in two lots that share no lemma.

Every noun, verb and preposition is one token with its leading space, in both numbers, in the vocabularies of
SmolLM2 and GPT-2, so that all prompts of a template have the same length there. Function words (the, that)
and the answer verbs (is/are ...) are common to both lots.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Number = Literal["singular", "plural"]


@dataclass(frozen=True)
class Word:
    """A word in both numbers; for a verb, the forms that agree with a noun of that number."""

    singular: str
    plural: str

    def form(self, number: Number) -> str:
        """Return the form for `number`."""
        return self.singular if number == "singular" else self.plural


def _words(text: str) -> tuple[Word, ...]:
    """Read ``singular:plural`` items separated by blanks; without a colon both forms are the same."""
    forms = (item.split(":") for item in text.split())
    return tuple(Word(form[0], form[-1]) for form in forms)


def _nouns(text: str) -> tuple[Word, ...]:
    """Read nouns, adding -s where no plural is given."""
    return _words(" ".join(noun if ":" in noun else f"{noun}:{noun}s" for noun in text.split()))


def _verbs(text: str) -> tuple[Word, ...]:
    """Read verbs given in the plural form, or as ``singular:plural`` where the singular is not plural + s."""
    return _words(" ".join(verb if ":" in verb else f"{verb}s:{verb}" for verb in text.split()))


ANSWERS = _words("is:are has:have does:do goes:go")

_PEOPLE = _nouns("""
    man:men woman:women child:children boy girl doctor teacher student lawyer officer farmer driver player
    writer artist actor manager leader singer scientist engineer author customer friend neighbor king queen
    soldier mother brother son husband wife:wives judge pilot nurse senator minister priest professor
    reporter editor lady:ladies fisherman:fishermen visitor prisoner hunter musician prince knight captain
    athlete chef patient surgeon owner baby:babies hero:heroes thief:thieves detective poet pupil
""")
_THINGS = _nouns("""
    car truck bus:buses train table chair lamp window door house tower bridge road tree flower river lake
    mountain island church:churches museum hotel store picture map key box:boxes bag cup plate knife:knives
    clock camera machine toy hat shirt coat dress:dresses ring coin stone statue mirror roof fence castle
    city:cities village farm restaurant bicycle rope basket candle newspaper apple cake robot
""")
_HELDOUT_PEOPLE = _nouns("""
    worker guest parent father sister daughter guard sailor director president gentleman:gentlemen tourist
    victim dancer architect servant warrior client designer witch:witches monk bishop governor spy:spies
    merchant politician passenger stranger
""")
_HELDOUT_THINGS = _nouns("""
    boat ship wall desk garden hospital school library:libraries painting letter bottle bowl fork phone
    computer doll shoe bed gate temple tent bucket flag guitar drum rocket egg sword
""")

Lexicon = Mapping[str, tuple[Word, ...]]

SHARED: Lexicon = {
    "nouns": _PEOPLE + _THINGS,
    "people": _PEOPLE,
    "prepositions": _words("near behind beside above over under by opposite facing with"),
    "verbs": _verbs("""
        like see love know want need follow avoid remember recognize find trust support praise mention
        notice enjoy choose protect prefer
    """),
    "relatives": _words("that"),
}
"""Words of the discovery and evaluation splits, by the word class that a template's slots name."""

HELDOUT: Lexicon = {
    "nouns": _HELDOUT_PEOPLE + _HELDOUT_THINGS,
    "people": _HELDOUT_PEOPLE,
    "prepositions": _words("alongside below beneath without beyond against"),
    "verbs": _verbs("""
        watches:watch describe respect ignore touches:touch welcome examine observe approaches:approach recall
    """),
    "relatives": SHARED["relatives"],
}
"""Words of the heldout split; only the relative pronoun, a function word, is also in `SHARED`."""
