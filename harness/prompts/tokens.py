"""One pair of a task as tokens: prompts, slots, and what is scored after them.

1. Put both prompts into the model's chat template, if asked for; tokenise them as its own tokenizer prescribes
   (start token included, once).
2. Tokenise every answer and foil as the continuation of both prompts.
3. Tokens with which all of them begin belong to the prompt: what is scored is the first token that can differ
   (or, of a continuation scored whole, every token). Of sets, tokens that begin both an answer and a foil say
   nothing and are left out of both.
4. Give each token of the prompt a slot: its segment (a named span, or the stretch after one) and its offset from
   the segment's end, so that prompts of different lengths align.

Pairs longer than the model's context are not for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basisbench.errors import UserError
from basisbench.models.text_tokenizer import Offsets, TextTokenizer, Tokens
from basisbench.tasks.pair import ANSWER, Pair, Span
from basisbench.values import Answers

Slots = tuple[tuple[str, int], ...]

SEVERAL_ANSWERS = "several answers, of which none can be scored whole"
UNSTABLE = "tokenisation changes when prompt and answer are joined"
LENGTHS = "clean and corrupt prompts differ in length"
SPANS = "spans do not align"
SAME_ANSWER = "answer and foil are the same token"
BEGINS = "one answer begins the other"
SAME_PROMPT = "clean and corrupt prompts are the same"
LONG = "longer than the model's context"


@dataclass(frozen=True)
class PromptTokens:
    """A prompt up to a scored token: clean and corrupt token ids, and their common slots."""

    clean: Tokens
    corrupt: Tokens
    slots: Slots


@dataclass(frozen=True)
class Scored:
    """One term of a continuation's score: after what it is read, and the tokens of which any will do."""

    prompt: PromptTokens
    tokens: Tokens


@dataclass(frozen=True)
class TokenisedPair:
    """One pair, aligned.

    `prompt` ends before the first token in which answer and foil differ, `n_shared` tokens after the pair's own;
    `first_answer` are the answers' tokens there, `candidates` those of other candidates. `answer` and `foil` are the
    terms that are scored.
    """

    prompt: PromptTokens
    answer: tuple[Scored, ...]
    foil: tuple[Scored, ...]
    first_answer: Tokens
    candidates: Tokens
    n_shared: int

    @property
    def own_clean(self) -> Tokens:
        """The pair's own clean prompt, without what is scored after it."""
        return self.prompt.clean[: len(self.prompt.clean) - self.n_shared]


def tokenise(
    pair: Pair, tokenizer: TextTokenizer, answers: Answers = "first", chat: bool = False, context: int | None = None
) -> TokenisedPair | str:
    """A pair as tokens, or the reason why it cannot be used; `context` is how many tokens the model takes."""
    sides = [_side(pair.clean, pair.clean_spans, tokenizer, chat)]
    sides += [_side(pair.corrupt, pair.corrupt_spans, tokenizer, chat)]
    texts = {"answer": pair.answers, "foil": pair.foils, "candidates": pair.candidates}
    if chat:  # a reply begins a new turn: no space before its first word
        texts = {name: tuple(text.lstrip() for text in values) for name, values in texts.items()}
    both = [_continuations(side, texts, tokenizer) for side in sides]
    if both[0] is None or both[0] != both[1]:
        return UNSTABLE
    found = both[0]
    if len(sides[0].tokens) != len(sides[1].tokens):
        return LENGTHS
    if sides[0].slots != sides[1].slots:
        return SPANS
    if sides[0].tokens == sides[1].tokens:
        return SAME_PROMPT
    if set(found["answer"]) & set(found["foil"]):
        return SAME_ANSWER
    scored = found["answer"] + found["foil"]
    shared = _common(scored)
    if any(len(tokens) == shared for tokens in scored):
        return BEGINS
    first = {name: {tokens[shared] for tokens in found[name]} for name in ("answer", "foil")}
    either = first["answer"] & first["foil"]
    sets = {name: tuple(sorted(tokens - either)) for name, tokens in first.items()}
    if not all(sets.values()):
        return SAME_ANSWER

    def followed(after: Tokens) -> PromptTokens:
        slots = tuple((ANSWER, offset) for offset in reversed(range(len(after))))
        return PromptTokens(sides[0].tokens + after, sides[1].tokens + after, sides[0].slots + slots)

    beginning = scored[0][:shared]
    # a candidate that does not begin as the answers do is ruled out by the prompt
    others = {tokens[shared] for tokens in found["candidates"] if tokens[:shared] == beginning and len(tokens) > shared}
    others = (others | set(sets["foil"])) - first["answer"] if others else others
    if answers == "whole":
        if len(found["answer"]) > 1 or len(found["foil"]) > 1:
            return SEVERAL_ANSWERS
        terms = {
            name: tuple(Scored(followed(found[name][0][:i]), (token,)) for i, token in enumerate(found[name][0]))
            for name in ("answer", "foil")
        }
    else:
        terms = {name: (Scored(followed(beginning), sets[name]),) for name in ("answer", "foil")}
    if context is not None and any(len(term.prompt.clean) > context for side in terms.values() for term in side):
        return LONG
    return TokenisedPair(
        followed(beginning), terms["answer"], terms["foil"], sets["answer"], tuple(sorted(others)), n_shared=shared
    )


@dataclass(frozen=True)
class _Side:
    text: str
    tokens: Tokens
    slots: Slots
    start: bool  # whether the start tokens stand before it


def _side(text: str, spans: Sequence[Span], tokenizer: TextTokenizer, chat: bool) -> _Side:
    if chat:
        text, spans = _in_chat(text, spans, tokenizer.tokenizer)
    tokens, offsets = tokenizer.located(text, start=not chat)
    return _Side(text, tokens, _slots(offsets, spans), not chat)


def _in_chat(prompt: str, spans: Sequence[Span], tokenizer: Any) -> tuple[str, list[Span]]:
    """The prompt as a user's message that waits for its reply, and its spans there.

    Raises UserError if the tokenizer has no chat template, or one that changes the prompt.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("the model's tokenizer has no chat template: run without --chat")
    message = [{"role": "user", "content": prompt}]
    text: str = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    at = text.rfind(prompt)
    if at < 0:
        raise UserError("the model's chat template changes the prompt, so spans are lost: run without --chat")
    return text, [Span(name, start + at, end + at) for name, start, end in spans]


def _continuations(
    side: _Side, texts: Mapping[str, Sequence[str]], tokenizer: TextTokenizer
) -> dict[str, tuple[Tokens, ...]] | None:
    """The tokens that each text adds to a prompt, by name; None if the prompt's own tokens change."""
    flat = [side.text + text for values in texts.values() for text in values]
    joined = iter(tokenizer.ids(flat, side.start))
    length = len(side.tokens)
    found = {}
    for name, values in texts.items():
        tokens = [next(joined) for _ in values]
        stable = [line[length:] for line in tokens if line[:length] == side.tokens and len(line) > length]
        if len(stable) < len(tokens) and name != "candidates":
            return None
        found[name] = tuple(dict.fromkeys(stable))
    return found


def _common(lines: Iterable[Tokens]) -> int:
    """How many leading tokens all lines share."""
    length = 0
    for column in zip(*lines, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return length


def _slots(offsets: Offsets, spans: Sequence[Span]) -> Slots:
    """(segment, offset from the segment's end) of each token; without spans the segment is "end"."""
    segments: list[str] = []
    after = "start" if spans else "end"
    for begin, end in offsets:
        inside = [span.name for span in spans if begin < span.end and span.start < end]
        before = [span.name for span in spans if span.end <= begin and end > begin]
        after = f"after {before[-1]}" if before else after
        segments.append(inside[-1] if inside else after)
    remaining = Counter(segments)
    slots = []
    for segment in segments:
        remaining[segment] -= 1
        slots.append((segment, remaining[segment]))
    return tuple(slots)
