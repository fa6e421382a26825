"""Errors in a line: what is wrong with data, whatever it holds."""

from typing import Self

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from basisbench.errors import MOST_WORDS, Fault, first_fault


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    low: int = 0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.size:
            raise ValueError("low is above\nsize")
        return self


class _Outer(BaseModel):
    rows: list[_Inner]


def fault_of(data: object) -> Fault:
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(data)
    return first_fault(caught.value)


def test_a_fault_says_where_and_what() -> None:
    fault = fault_of({"rows": [{"size": 1}, {"size": "x"}]})
    assert (fault.path, fault.place) == (("rows", "1", "size"), "rows.1.size")
    assert str(fault) == ("field rows.1.size: Input should be a valid integer, unable to parse string as an integer")
    assert str(fault_of(3)).startswith("Input should be a valid dictionary")


def test_words_of_ours_stand_alone_and_on_one_line() -> None:
    assert fault_of({"rows": [{"size": 1, "low": 2}]}) == Fault(("rows", "0"), "low is above?size")


def test_the_name_of_a_field_can_do_nothing_to_a_terminal() -> None:
    fault = fault_of({"rows": [{"size": 1, "\x1b[2J\n" + "x" * 9999: 2}]})
    assert str(fault).isprintable()
    assert len(str(fault)) < MOST_WORDS + 100
