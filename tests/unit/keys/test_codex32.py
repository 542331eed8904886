from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.codex32 import SHARE_INDEXES, Codex32, derive, encode, recover, split

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "keys_codex32.json").read_text())
SEEDS = st.sampled_from([16, 20, 32, 46, 47, 64]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
# what each group of invalid vectors is refused for, in the order of the text
CODES = [
    {"checksum", "length"},
    {"checksum", "length"},
    {"length"},
    {"index"},
    {"threshold"},
    {"prefix", "length", "character"},
    {"case"},
]
LONE = "ms10testsxxxxxxxxxxxxxxxxxxxxxxxxxx4nzvca9cmczlw"


def text_of(share: Codex32) -> str:
    return share.text().expose().decode()


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["seed"][:8])
def test_valid_vectors(case: dict[str, list[str]]) -> None:
    shares = [Codex32.from_text(text) for text in case["shares"]]
    secrets = [Codex32.from_text(text) for text in case["secrets"]]
    for parsed, text in zip([*shares, *secrets], [*case["shares"], *case["secrets"]], strict=True):
        assert text_of(parsed) == text.lower()
    for secret in secrets:
        assert secret.seed().expose().hex() == case["seed"]
        assert recover([secret]) is secret
    with ExtendedPrivateKey.from_seed(secrets[0].seed()) as root:
        assert root.text().expose().decode() == case["xprv"]
    if shares:
        needed = shares[0].threshold
        assert recover(shares[:needed]) == recover(shares[-needed:]) == secrets[0]
        for share in shares[needed:]:
            assert derive(shares[:needed], share.index) == share
            assert derive([secrets[0], *shares[1:needed]], share.index) == share


def test_a_seed_encodes_as_in_the_third_and_fourth_vector() -> None:
    for place, identifier, threshold in ((2, "cash", 3), (3, "leet", 0)):
        case = VECTORS["valid"][place]
        made = encode(Secret(bytes.fromhex(case["seed"])), identifier=identifier, threshold=threshold)
        assert text_of(made) == case["secrets"][0]


@pytest.mark.parametrize(
    ("texts", "codes"),
    list(zip(VECTORS["invalid"], CODES, strict=True)),
)
def test_invalid_vectors(texts: list[str], codes: set[str]) -> None:
    for text in texts:
        for given_text in (text, Secret.from_text(text)):
            with pytest.raises(InvalidInputError) as caught:
                Codex32.from_text(given_text)
            assert caught.value.code.removeprefix("input.codex32.") in codes, text
    assert sum(map(len, VECTORS["invalid"])) == 64


@settings(max_examples=10)
@given(SEEDS, st.data())
def test_any_threshold_of_shares_recovers(seed: bytes, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, 9))
    count = data.draw(st.integers(threshold, 12))
    shares = split(Secret(seed), threshold, count)
    assert [share.index for share in shares] == list(SHARE_INDEXES[:count])
    chosen = data.draw(st.permutations(shares))[:threshold]
    assert recover(chosen).seed().expose() == seed
    for share in shares:
        for text in (text_of(share), text_of(share).upper()):
            assert Codex32.from_text(text) == share
    with pytest.raises(InvalidInputError, match="alone gives no seed") as caught:
        shares[0].seed()
    assert caught.value.code == "input.codex32.missing"


@settings(max_examples=15)
@given(SEEDS)
def test_a_seed_that_is_not_split(seed: bytes) -> None:
    made = encode(Secret(seed))
    assert made.is_secret
    assert Codex32.from_text(made.text()).seed().expose() == seed
    assert len(text_of(made)) in (48, 54, 74, 96, 100, 127)


def refused(code: str, call: Callable[[], object], words: str | None = None) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        call()
    assert caught.value.code == "input.codex32." + code


def test_what_lacks_or_does_not_belong_is_named() -> None:
    seed = Secret(bytes(16))
    shares = split(seed, 3, 5, identifier="name")
    refused("missing", lambda: recover(shares[:2]), "1 more of 3")
    refused("missing", lambda: recover([]))
    refused("surplus", lambda: recover(shares[:4]), "leave 1 out")
    refused("duplicate", lambda: recover([shares[0], shares[1], shares[0]]), "share a was given before")
    for other, difference in (
        (split(seed, 3, 3, identifier="same")[2], "identifier"),
        (split(seed, 2, 3, identifier="name")[2], "threshold"),
        (split(Secret(bytes(32)), 3, 3, identifier="name")[2], "length"),
    ):
        refused("mixed", lambda other=other: recover([*shares[:2], other]), difference)  # type: ignore[misc]
    refused("index", lambda: derive(shares[:3], "b"))
    refused("missing", lambda: recover([encode(seed, identifier="name", threshold=3), shares[1]]))


@pytest.mark.parametrize("size", [0, 15, 65])
def test_seeds_of_other_sizes(size: int) -> None:
    refused("length", lambda: encode(Secret(bytes(size))))


def test_impossible_rules() -> None:
    seed = Secret(bytes(16))
    for threshold, count in ((0, 3), (1, 3), (10, 12), (3, 2), (2, 32), (True, 3)):
        refused("threshold", lambda t=threshold, c=count: split(seed, t, c))  # type: ignore[misc]
    for identifier in ("", "abc", "NAME", "bible", "wi1d", "oooo"):
        refused("identifier", lambda i=identifier: encode(seed, identifier=i))  # type: ignore[misc]


@settings(max_examples=25)
@given(st.data())
def test_up_to_eight_wrong_characters_are_noticed(data: st.DataObject) -> None:
    text = list(LONE)
    for place in data.draw(st.sets(st.integers(9, len(text) - 1), min_size=1, max_size=8)):
        text[place] = data.draw(st.sampled_from(sorted(set("qpzry9x8gf2tvdw0s3jn54khce6mua7l") - {text[place]})))
    refused("checksum", lambda: Codex32.from_text("".join(text)))


@settings(max_examples=40)
@given(
    st.text(max_size=130)
    | st.binary(max_size=130).map(Secret)
    | st.text("qpzry9x8gf2tvdw0s3jn54khce6mua7lbio1", min_size=45, max_size=124).map("ms1".__add__)
)
def test_garbage_is_a_typed_error(garbage: str | Secret) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Codex32.from_text(garbage)
    assert caught.value.code.startswith("input.codex32.")


def test_secrets_stay_inside() -> None:
    secret = Codex32.from_text(LONE)
    assert "xxxx" not in repr(secret)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copier(secret)
    for wrong in (LONE[:-1] + "b", LONE[:-1] + "q", LONE[:-1], LONE[:-1] + "W", Secret(LONE[:-1].encode() + b"\xff")):
        with pytest.raises(InvalidInputError) as caught:
            Codex32.from_text(wrong)
        assert "xxxx" not in "".join(traceback.format_exception(caught.value))
