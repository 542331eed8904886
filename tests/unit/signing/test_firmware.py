"""Firmware knowledge: read strictly, judged by numbers, and what it blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError, SignerError
from bursar.signing.firmware import (
    FirmwareKnowledge,
    FirmwareLevel,
    FirmwareNotice,
    FirmwareVersion,
    check_may_receive,
    check_may_sign,
)

WARN, REFUSE, SEED = FirmwareLevel.WARN, FirmwareLevel.REFUSE, FirmwareLevel.SEED_COMPROMISED
HEAD = 'version = 1\nvendor = "Vendor"\n'
MODEL = '[[model]]\nid = "X1"\nname = "Vendor One"\nnewest = "2.9.6"\n'
RULE = """
[[rule]]
level = "refuse"
models = ["X1"]
from = "2.1.0"
below = "2.4.3"
text = "update it"
reference = "ADV-1"
"""
FILE = f"""{HEAD}{MODEL}
[[model]]
id = "app:Coin"
name = "the Coin application"
newest = "1.22.0"

{RULE}
[[rule]]
level = "warn"
models = ["*"]
below = "1.10"
text = "old: update it"
reference = "ADV-2"

[[rule]]
level = "refuse"
models = ["X1"]
below = "2.4.3"
feature = "taproot"
text = "taproot needs 2.4.3: update it"
reference = "ADV-3"

[[rule]]
level = "seed-compromised"
models = ["X1"]
from = "2.5"
below = "2.6"
text = "seeds were made with weak entropy: move the money to another seed"
reference = "ADV-4"
"""


@pytest.fixture(scope="module")
def knowledge() -> FirmwareKnowledge:
    return FirmwareKnowledge.from_toml(FILE)


def references(notices: tuple[FirmwareNotice, ...]) -> list[tuple[FirmwareLevel, str]]:
    return [(notice.level, notice.reference) for notice in notices]


@pytest.mark.parametrize(
    ("model", "version", "expected"),
    [
        ("X1", "2.0.9", []),
        ("X1", "2.1", [(REFUSE, "ADV-1")]),
        ("X1", "2.1.0", [(REFUSE, "ADV-1")]),
        ("x1", "2.4.2", [(REFUSE, "ADV-1")]),
        ("vendor one", "2.4.2.9", [(REFUSE, "ADV-1")]),
        ("X1", "2.4.3", []),
        ("X1", "2.4.10", []),
        ("X1", "1.9.12", [(WARN, "ADV-2")]),
        ("X1", "1.10.0", []),
        ("app:Coin", "1.9.99", [(WARN, "ADV-2")]),
        ("app:Coin", "1.22.0", []),
        ("app:Coin", "1.22.1", [(WARN, "")]),
        ("X1", "2.5.0", [(SEED, "ADV-4")]),
        ("X1", "2.6.0", [(WARN, "ADV-4")]),
        ("X1", "2.9.6", [(WARN, "ADV-4")]),
        ("X1", "2.9.7", [(WARN, "ADV-4"), (WARN, "")]),
        ("X1", "2.10", [(WARN, "ADV-4"), (WARN, "")]),
        ("X1", "v2.4.2", [(REFUSE, "ADV-1")]),
        ("X1", "2.4.3-rc1", [(REFUSE, "ADV-1"), (WARN, "")]),
        ("X1", "2.4.4-dev", [(WARN, "")]),
        ("X1", "2.1.0-rc", [(REFUSE, "ADV-1"), (WARN, "")]),
        ("X2", "1.0", [(WARN, "")]),
        ("X1", None, [(WARN, "")]),
        ("X1", "", [(REFUSE, "")]),
        ("X1", "two", [(REFUSE, "")]),
        ("X1", "2..1", [(REFUSE, "")]),
        ("X1", "2.4.3\n", [(REFUSE, "")]),
        ("X1", "1.2.3.4.5", [(REFUSE, "")]),
        ("X1", "9" * 80, [(REFUSE, "")]),
    ],
)
def test_judged_by_model_and_version(
    knowledge: FirmwareKnowledge, model: str, version: str | None, expected: list[tuple[FirmwareLevel, str]]
) -> None:
    assert references(knowledge.judge(model, version)) == expected


def test_a_rule_about_a_feature_speaks_only_where_it_is_used(knowledge: FirmwareKnowledge) -> None:
    assert references(knowledge.judge("X1", "2.0")) == []
    assert references(knowledge.judge("X1", "2.0", features={"taproot"})) == [(REFUSE, "ADV-3")]
    assert references(knowledge.judge("X1", "2.4.3", features={"taproot"})) == []


def test_row_92_an_update_repairs_no_seed(knowledge: FirmwareKnowledge) -> None:
    assert references(knowledge.judge("X1", "2.9.6", seed_version="2.5.1")) == [(SEED, "ADV-4")]
    assert references(knowledge.judge("X1", "2.9.6", seed_version="2.6.0")) == []
    assert references(knowledge.judge("X1", "2.5.1", seed_version="2.4.9")) == []
    (doubt,) = knowledge.judge("X1", "2.9.6")
    assert "if its seed was made by firmware before 2.6.0" in doubt.text


def test_row_92_a_compromised_seed_receives_nothing_and_signs_only_to_be_emptied(knowledge: FirmwareKnowledge) -> None:
    notices = knowledge.judge("X1", "2.5.0")
    for check in (check_may_sign, check_may_receive):
        with pytest.raises(SignerError, match="weak entropy") as caught:
            check(notices)
        assert caught.value.code == "signer.seed"
        assert "ADV-4" in caught.value.message
    check_may_sign(notices, accepted={"ADV-4"})
    with pytest.raises(SignerError):
        check_may_sign(notices, accepted={"ADV-1"})


def test_refused_firmware_neither_signs_nor_receives_and_a_warning_blocks_nothing(
    knowledge: FirmwareKnowledge,
) -> None:
    refused = knowledge.judge("X1", "2.4.2")
    for check in (check_may_sign, check_may_receive):
        with pytest.raises(SignerError, match="update it") as caught:
            check(refused)
        assert caught.value.code == "signer.firmware"
        check(knowledge.judge("X1", "1.9.12"))
        check(())
    check_may_sign(refused, accepted=["ADV-1"])
    nameless = knowledge.judge("X1", "junk")
    with pytest.raises(SignerError):
        check_may_sign(nameless, accepted=[""])


def test_what_a_device_says_of_itself_cannot_write_on_a_terminal(knowledge: FirmwareKnowledge) -> None:
    for notice in (*knowledge.judge("X\x1b[2J", "1"), *knowledge.judge("X1", "\x1b[2J\n")):
        assert str(notice).isprintable()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "'vendor'|version is missing|is missing"),
        ("version = 1", "missing"),
        (HEAD, "model is missing"),
        (HEAD + "model = []", "no \\[\\[model"),
        (HEAD.replace("1", "2", 1) + MODEL, "version must be 1"),
        (HEAD.replace("= 1", "= true", 1) + MODEL, "version must be 1"),
        (HEAD + MODEL + MODEL, "stands twice"),
        (HEAD + MODEL + MODEL.replace('"X1"', '"vendor ONE"'), "stands twice"),
        (HEAD + MODEL + "colour = 1", "'colour' is not a key"),
        ("colour = 1\n" + HEAD + MODEL, "'colour' is not a key"),
        (HEAD + MODEL.replace("2.9.6", "2.9.6-rc"), "model 1: newest"),
        (HEAD + MODEL.replace("2.9.6", "2.09"), "model 1: newest"),
        (HEAD + MODEL.replace('"2.9.6"', "2.9"), "model 1: newest"),
        (HEAD + MODEL.replace('"X1"', '""'), "model 1: id"),
        (HEAD + MODEL.replace('"X1"', '" X1"'), "model 1: id"),
        (HEAD + MODEL.replace('"X1"', '"X\\u001b"'), "model 1: id"),
        (HEAD + 'model = ["X1"]', "written as tables"),
        (HEAD + "rule = 5\n" + MODEL, "written as tables"),
        (HEAD + MODEL + RULE.replace("refuse", "forbid"), "rule 1: level"),
        (HEAD + MODEL + RULE.replace('"refuse"', "[]"), "rule 1: level"),
        (HEAD + MODEL + RULE.replace('["X1"]', '["X2"]'), "rule 1: 'X2' is no"),
        (HEAD + MODEL + RULE.replace('["X1"]', '["X1", "*"]'), "rule 1"),
        (HEAD + MODEL + RULE.replace('["X1"]', '["X1", "X1"]'), "twice"),
        (HEAD + MODEL + RULE.replace('["X1"]', '"X1"'), "list of ids"),
        (HEAD + MODEL + RULE.replace('["X1"]', "[]"), "list of ids"),
        (HEAD + MODEL + RULE.replace('["X1"]', "[[]]"), "list of ids"),
        (HEAD + MODEL + RULE.replace("2.1.0", "2.4.3"), "no version is affected"),
        (HEAD + MODEL + RULE.replace('"2.1.0"', "1979-05-27"), "rule 1: from"),
        (HEAD + MODEL + RULE.replace("update it", "update\\nit"), "rule 1: text"),
        (HEAD + MODEL + RULE.replace('reference = "ADV-1"', ""), "reference is missing"),
        (HEAD + MODEL + RULE + "feature = 'Tap Root'", "feature"),
        (HEAD + MODEL + RULE + "feature = 1", "feature"),
        ("version = ", "not TOML"),
        ("a = " + "[" * 100_000, "firmware knowledge"),
        (" " * ((1 << 20) + 1), "more than"),
    ],
)
def test_mistakes_in_the_file_are_refused_with_their_place(text: str, place: str) -> None:
    with pytest.raises(InvalidInputError, match=place) as caught:
        FirmwareKnowledge.from_toml(text)
    assert caught.value.code == "input.firmware"


def read_or_refused(read: Callable[[str], object], text: str) -> None:
    code = "input.firmware"
    try:
        read(text)
    except InvalidInputError as error:
        code = error.code
    assert code == "input.firmware"


@given(st.text())
@example("version = 1\nvendor = 0001-01-01")
@example("a = 9" + "9" * 5000)
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refused(FirmwareKnowledge.from_toml, text)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=8), st.lists(st.text(max_size=3), max_size=2)
)


@given(
    place=st.sampled_from(("top", "model", "rule")), key=st.text(min_size=1, max_size=9), value=VALUES, data=st.data()
)
def test_any_value_in_any_place_is_read_or_refused(place: str, key: str, value: Any, data: st.DataObject) -> None:
    tables: dict[str, dict[str, str]] = {
        "top": {"version": "1", "vendor": '"V"'},
        "model": {"id": '"X1"', "name": '"One"', "newest": '"1.0"'},
        "rule": {
            "level": '"warn"',
            "models": '["*"]',
            "text": '"t"',
            "reference": '"r"',
            "from": '"1"',
            "below": '"2"',
        },
    }
    key = data.draw(st.sampled_from([*tables[place], key]))
    tables[place][quoted(key)] = tables[place].pop(key, "")
    tables[place][quoted(key)] = written(value)
    text = "\n".join(
        head + "\n".join(f"{name} = {one}" for name, one in tables[table].items())
        for table, head in (("top", ""), ("model", "[[model]]\n"), ("rule", "[[rule]]\n"))
    )
    read_or_refused(FirmwareKnowledge.from_toml, text)


def quoted(text: str) -> str:
    escaped = "".join(f"\\U{ord(one):08x}" if not one.isalnum() or ord(one) > 126 else one for one in text)
    return f'"{escaped}"'


def written(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return {None: "1.5", True: "true", False: "false"}.get(value, str(value))


NUMBERS = st.lists(st.integers(0, 999_999_999), min_size=1, max_size=4)


@given(NUMBERS, NUMBERS)
def test_versions_are_ordered_by_their_numbers(left: list[int], right: list[int]) -> None:
    first, second = (FirmwareVersion.from_text(".".join(map(str, numbers))) for numbers in (left, right))
    padded = [numbers + [0] * (4 - len(numbers)) for numbers in (left, right)]
    assert (first < second) == (padded[0] < padded[1])
    assert (first == second) == (padded[0] == padded[1])
    assert FirmwareVersion.from_text(str(first)) == first
    assert FirmwareVersion.from_device(f"v{first}") == first
    assert FirmwareVersion.from_device(f"{first}-rc1") < first


@given(model=st.text(max_size=20), version=st.one_of(st.none(), st.text(max_size=80)))
def test_judging_never_fails_whatever_a_device_says(model: str, version: str | None) -> None:
    judge = FirmwareKnowledge.from_toml(FILE).judge
    for name in (model, "X1"):
        for notice in judge(name, version):
            assert notice.text.isprintable()


@given(st.text(max_size=20))
def test_a_version_is_read_or_refused(text: str) -> None:
    for read in (FirmwareVersion.from_text, FirmwareVersion.from_device):
        read_or_refused(read, text)
