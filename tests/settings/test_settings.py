"""The records of settings: every setting has one, and all that speak of settings have their words from it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field

from basisbench import UserError, cli
from basisbench.settings import Setting, given, make_settings, settings_in
from basisbench.settings.setting import default_value, placeholder, valid_values

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
KINDS: dict[str, type[BaseModel]] = {
    name: command.callback.settings for name, command in COMMANDS.items() if hasattr(command.callback, "settings")
}
RANK = Setting("How nodes are ranked", tells="condition")


class _Asked(BaseModel):
    rank: Annotated[Literal["abs", "signed"], RANK] = "abs"
    names: Annotated[list[str], Setting("Names", valid="any")] = Field(default=["a", "b"])
    seeds: Annotated[tuple[int, ...] | None, Setting("Seeds", default="all")] = None
    share: Annotated[float, Field(gt=0), Setting("Share")] = 1 / 32
    chat: Annotated[bool, Setting("Chat")] = False
    evidence: Annotated[bool, Setting("Evidence")] = True
    out: Annotated[Path, Setting("Folder")] = Path("runs")
    basis: Annotated[str, Setting("Basis", valid="a name")]
    unsaid: int = 0


def described(name: str) -> tuple[str, str, str]:
    field, setting = _Asked.model_fields[name], settings_in(_Asked)[name]
    return valid_values(field, setting), default_value(field, setting), placeholder(field)


def test_a_record_is_found_at_its_field() -> None:
    assert settings_in(_Asked)["rank"] is RANK
    assert list(settings_in(_Asked)) == ["rank", "names", "seeds", "share", "chat", "evidence", "out", "basis"]


@pytest.mark.parametrize(
    ("name", "valid", "default", "shown"),
    [
        ("rank", "abs, signed", "abs", "<name>"),
        ("names", "any", "a,b", "<name,...>"),
        ("seeds", "", "all", "<number,...>"),
        ("share", "", "0.03125", "<number>"),
        ("chat", "", "", "<name>"),
        ("evidence", "", "on", "<name>"),
        ("out", "", "runs", "<path>"),
        ("basis", "a name", "", "<name>"),
    ],
)
def test_words_come_from_the_field_and_its_record(name: str, valid: str, default: str, shown: str) -> None:
    assert described(name) == (valid, default, shown)


def refusal(options: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        make_settings(_Asked, {"basis": "x", **options})
    return str(caught.value)


def test_what_is_wrong_comes_with_what_is_valid() -> None:
    assert refusal({"names": 3}) == "setting names: Input should be a valid list, got 3; valid: any"
    assert refusal({"rank": "up"}) == "setting rank: Input should be 'abs' or 'signed', got 'up'"
    assert refusal({"ranks": "abs"}).startswith("unknown setting 'ranks': did you mean 'rank'? valid: ")
    with pytest.raises(UserError, match=r"^which basis\? valid: a name$"):
        make_settings(_Asked, {})


def test_a_setting_of_which_nothing_is_said_is_refused_all_the_same() -> None:
    class Plain(BaseModel):
        columns: int

    with pytest.raises(UserError, match=r"^setting columns: Field required, got \{\}$"):
        make_settings(Plain, {})


def test_what_is_given_is_what_the_file_has_and_options_over_it(tmp_path: Path) -> None:
    (tmp_path / "asked.yaml").write_text("rank: nonsense\nshare: 2\n")
    assert given(_Asked, {"share": "3"}, tmp_path / "asked.yaml") == {"rank": "nonsense", "share": "3"}


@pytest.mark.parametrize("name", KINDS)
def test_every_setting_of_a_command_has_a_record(name: str) -> None:
    said = settings_in(KINDS[name])
    assert list(said) == list(KINDS[name].model_fields)
    for setting in said.values():
        assert setting.help[0].isupper()
        assert not setting.help.endswith(".")
        assert "\n" not in setting.help


@pytest.mark.parametrize("name", KINDS)
def test_a_setting_has_one_name(name: str) -> None:
    """An option is the setting's name with dashes; its help says the valid values and the default."""
    fields, said = KINDS[name].model_fields, settings_in(KINDS[name])
    found = {parameter.name: parameter for parameter in COMMANDS[name].params}
    for field, setting in said.items():
        assert (field in found) == setting.option
        if not setting.option:
            continue
        options = {*found[field].opts, *found[field].secondary_opts}
        dashed = field.replace("_", "-")
        assert options in ({f"--{dashed}"}, {f"--{dashed}", f"--no-{dashed}"}, {field})
        assert setting.help in found[field].help
        assert all(value in found[field].help for value in valid_values(fields[field], setting).split(", "))
        assert default_value(fields[field], setting) in found[field].help


IDEAS = {
    "how many pairs are evaluated": ("--n-evaluation", "--n", "--pairs", "--n-pairs"),
    "how much text is looked at": ("--text-tokens", "--n-tokens", "--max-tokens"),
    "the number format": ("--dtype", "--precision"),
    "tasks that a unit serves": ("--serves", "--serve"),
    "where to write": ("--out", "--json", "--output"),
    "the W&B project": ("--wandb-project", "--project"),
    "the W&B entity": ("--wandb-entity", "--entity"),
    "how many nodes": ("--nodes", "--k-nodes"),
    "several seeds": ("--seed", "--seeds"),
}


def test_one_name_an_idea() -> None:
    options = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    for right, *others in IDEAS.values():
        assert right in options
        assert not options & set(others)
    # a basis is one, bases are several; nowhere both for one idea
    for command in COMMANDS.values():
        names = {parameter.name for parameter in command.params}
        for one, several in (("basis", "bases"), ("task", "tasks"), ("method", "methods")):
            assert not {one, several} <= names
    assert not {option for option in options if len(option) == 3 and option.startswith("--") and option != "--k"}
    training = {name for name, command in COMMANDS.items() if "tokens" in {p.name for p in command.params}}
    assert training == {"train"}  # there it is what is trained on
