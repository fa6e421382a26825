"""Text of models and files as a reader can see it: no character that is invisible or turns the line around."""

# Marks that are usual for them; any other character that does not print is written as its number.
MARKS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
SPACE = "·"


def visible_text(text: str) -> str:
    """Return `text` with every character that does not print, spaces apart, as a mark or its number: ⟨U+202E⟩."""
    return "".join(MARKS.get(c, c if c.isprintable() else f"⟨U+{ord(c):04X}⟩") for c in text)


def visible_token(text: str) -> str:
    """Return a token as `visible_text` shows it, with its spaces as dots; ∅ for a token without characters."""
    return visible_text(text).replace(" ", SPACE) or "∅"
