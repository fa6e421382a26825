"""What pages of one file share: text that stays in its place, and a policy that asks the network for nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from pydantic import JsonValue


def self_contained(package: str, scripts: Sequence[str], values: Mapping[str, str], data: JsonValue) -> str:
    """Return the page of `package`: its page.html, with page.css and the `scripts`, joined in their order, in it.

    `values` are HTML by the names of the template's places. The content security policy admits this style and this
    script by their hashes and nothing else.
    """
    templates = files(package)
    style = templates.joinpath("page.css").read_text("utf-8")
    parts = (templates.joinpath(name).read_text("utf-8") for name in scripts)
    script = '"use strict";\n{\n' + "\n".join(parts) + "}\n"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    own = {"policy": escape(policy), "style": style, "script": script, "data": dump(data)}
    filled = {**values, **own}
    template = templates.joinpath("page.html").read_text("utf-8")
    # in one pass, so that braces in a value are no places to fill
    return re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], template)


def dump(value: JsonValue) -> str:
    """Return `value` as JSON without spaces, that may stand in a script element: no <, > or & is left in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    # only strings can hold these, and JSON reads the escapes back
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
