"""Names and numbers as others read them: whatever a name is, Markdown and CSV show it and do nothing with it."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from basisbench.writing import FORMULA, csv_table, markdown_table, markdown_text

# independent of ours: the parser that rich brings, with GitHub's tables and strike-through
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = (
    "a|b",
    "`code`",
    "one\ntwo",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "&amp;",
    "[text](http://x.y)",
    "![image](x.png)",
    "*star* _line_ ~~out~~",
    "back\\slash\\|",
    "trailing\\",
    "mlp_out",
    "# title",
    "<!-- -->",
    "$x$",
    "[x]: http://x.y",
    "[x][y]",
)
texts = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), blacklist_characters="\0")
) | st.text(alphabet="a\\`*_{}[]()<>#|~$&!:;x1 ")


def cells_of(table: str) -> list[list[str]]:
    """The cells of the one table of a document, as a reader sees them."""
    tokens = PARSER.parse(table)
    rows: list[list[str]] = []
    for token in tokens:
        assert token.type.split("_")[0] in ("table", "thead", "tbody", "tr", "th", "td", "inline"), token.type
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            assert all(child.type in ("text", "text_special") for child in token.children or ()), token.content
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    shown = " ".join(name.split())
    assert cells_of(markdown_table(["basis", name], [[name, "x"], ["y", name]])) == [
        ["basis", shown],
        [shown, "x"],
        ["y", shown],
    ]


@given(texts, texts)
def test_any_text_is_one_cell(first: str, second: str) -> None:
    rows = cells_of(markdown_table(["a", "b"], [[first, second]]))
    assert rows == [["a", "b"], [" ".join(first.split()), " ".join(second.split())]]


@given(texts)
def test_any_text_is_one_paragraph(text: str) -> None:
    opened, inline, closed = PARSER.parse(f"It is {markdown_text(text)}.")
    assert (opened.type, closed.type) == ("paragraph_open", "paragraph_close")
    assert "".join(child.content for child in inline.children or ()) == f"It is {' '.join(text.split())}."


def test_numbers_are_aligned_to_the_right() -> None:
    assert markdown_table(["basis", "auc_f"], [["sae", "0.5"]], ["auc_f"]) == (
        "| basis | auc_f |\n| --- | ---: |\n| sae | 0.5 |\n"
    )


@pytest.mark.parametrize("sign", FORMULA)
def test_no_text_of_a_csv_is_a_formula(sign: str) -> None:
    text = csv_table(["basis", f"{sign}head"], [[f"{sign}1+1", -0.5], ["plain", 3]])
    header, first, second = csv.reader(StringIO(text, newline=""))
    assert header == ["basis", f"'{sign}head"]
    assert first == [f"'{sign}1+1", "-0.5"]  # a number is a number
    assert second == ["plain", "3"]


@pytest.mark.parametrize("end", ["\r", "\n", "\t", "\u2028"])
def test_a_name_ends_no_line_of_a_csv(end: str) -> None:
    assert csv_table(["a"], [[f"{end}=1"]]) == "a\n?=1\n"


def test_what_is_not_defined_is_empty() -> None:
    assert csv_table(["a", "b", "c"], [[None, float("nan"), 0.1]]) == "a,b,c\n,,0.1\n"
