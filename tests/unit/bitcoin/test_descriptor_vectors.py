"""Descriptors and wallet policies against every example that BIP-380 to 390 and BIP-328 print."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.descriptors import Descriptor, KeyExpression, MusigExpression, strip_checksum
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.crypto.key_aggregation import aggregate_keys
from bursar.crypto.secp256k1 import x_only
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bitcoin_descriptors.json").read_text())
COUNTS = {
    "381": (17, 4),
    "382": (12, 11),
    "383": (9, 4),
    "384": (4, 3),
    "385": (4, 6),
    "386": (6, 4),
    "387": (6, 7),
    "389": (6, 8),
    "390": (6, 14),
}
NUMBERS = sorted(COUNTS)


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_valid_makes_the_scripts_printed(number: str) -> None:
    group = VECTORS["descriptors"][number]["valid"]
    assert len(group) == COUNTS[number][0]
    for case in group:
        descriptor = Descriptor.parse(case["text"])
        wanted = case.get("scripts", [])
        if wanted:
            kinds = len(descriptor.scripts(0, 0, 1))
            assert [one.hex() for one in descriptor.scripts(0, 0, len(wanted) // kinds)] == wanted
        if "expands" in case:
            assert [str(one) for one in descriptor.expand()] == [str(Descriptor.parse(one)) for one in case["expands"]]


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_valid_reads_as_it_was_written(number: str) -> None:
    for case in VECTORS["descriptors"][number]["valid"]:
        descriptor = Descriptor.parse(case["text"])
        assert Descriptor.parse(str(descriptor), checksum_required=True) == descriptor
        text = descriptor.private_text()
        assert strip_checksum(text.expose().decode()) == case["text"].replace("'", "h")
        assert descriptor.private == ("prv" in case["text"] or text != Secret.from_text(str(descriptor)))
        assert "prv" not in repr(descriptor) + str(descriptor) + repr(descriptor.keys)
        assert not descriptor.public().private
        assert descriptor.public() == descriptor


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_invalid_is_refused_with_its_place(number: str) -> None:
    group = VECTORS["descriptors"][number]["invalid"]
    assert len(group) == COUNTS[number][1]
    for case in group:
        with pytest.raises(InvalidInputError, match=r"^descriptor, character \d+: ") as caught:
            Descriptor.parse(case["text"])
        assert caught.value.code == "input.descriptor"


def test_key_expressions() -> None:
    valid, invalid = VECTORS["key_expressions"]["valid"], VECTORS["key_expressions"]["invalid"]
    assert (len(valid), len(invalid)) == (21, 16)
    for case in valid:
        descriptor = Descriptor.parse(f"pk({case['text']})")
        text = descriptor.private_text().expose().decode()
        assert strip_checksum(text) == f"pk({case['text']})".replace("'", "h")
    for case in invalid:
        with pytest.raises(InvalidInputError, match=r"^descriptor, character \d+: "):
            Descriptor.parse(f"pk({case['text']})")


def test_checksums() -> None:
    good, bare, *bad = VECTORS["checksums"]
    assert str(Descriptor.parse(good["text"], checksum_required=True)) == good["text"]
    assert str(Descriptor.parse(bare["text"])) == good["text"]
    assert len(bad) == 6
    for case in (bare, *bad):
        with pytest.raises(InvalidInputError) as caught:
            Descriptor.parse(case["text"], checksum_required=True)
        assert caught.value.code.startswith("input.descriptor")
    for case in bad:
        with pytest.raises(InvalidInputError, match=r"^descriptor, character \d+: "):
            Descriptor.parse(case["text"])


def test_synthetic_extended_keys_of_bip_328() -> None:
    assert len(VECTORS["synthetic_xpubs"]) == 3
    for case in VECTORS["synthetic_xpubs"]:
        keys = [bytes.fromhex(key) for key in case["keys"]]
        assert aggregate_keys(keys).hex() == case["aggregate"]
        parts = tuple(KeyExpression(key) for key in keys)
        ours = MusigExpression(parts).synthetic()
        if keys == sorted(keys):
            assert str(ours) == case["xpub"]
        assert (ours.depth, ours.index, ours.chain_code.hex()[:8]) == (0, 0, "868087ca")


def test_key_aggregation_of_bip_327(official_vectors: Callable[[str], Any]) -> None:
    vectors = json.loads(official_vectors("bip/bip0327/key_agg_vectors.json").read_text())
    keys = [bytes.fromhex(key) for key in vectors["pubkeys"]]
    for case in vectors["valid_test_cases"]:
        total = aggregate_keys([keys[place] for place in case["key_indices"]])
        assert x_only(total).hex().upper() == case["expected"]
    faults = [case for case in vectors["error_test_cases"] if not case["tweak_indices"]]
    assert len(faults) == 3
    for case in faults:
        with pytest.raises(InvalidInputError, match=f"public key {case['error']['signer'] + 1} of the aggregate"):
            aggregate_keys([keys[place] for place in case["key_indices"]])


def test_key_sorting_of_bip_327(official_vectors: Callable[[str], Any]) -> None:
    vectors = json.loads(official_vectors("bip/bip0327/key_sort_vectors.json").read_text())
    assert sorted(bytes.fromhex(key) for key in vectors["pubkeys"]) == [
        bytes.fromhex(key) for key in vectors["sorted_pubkeys"]
    ]


def test_valid_wallet_policies() -> None:
    group = VECTORS["wallet_policies"]["valid"]
    assert len(group) == 9
    for case in group:
        policy = WalletPolicy.from_text("Savings", case["template"], case["keys"])
        assert list(policy.key_texts) == case["keys"]
        assert strip_checksum(policy.descriptor_text()) == case["descriptor"].replace("'", "h")
        assert WalletPolicy.from_json(policy.to_json()) == policy
        assert WalletPolicy.from_descriptor("Savings", policy.descriptor()) == policy
        scripts = {script for branch in (0, 1) for script in policy.descriptor().scripts(branch, 0, 3)}
        assert len(scripts) == 6


def test_invalid_wallet_policies() -> None:
    keys = list(dict.fromkeys(key for case in VECTORS["wallet_policies"]["valid"] for key in case["keys"]))
    group = VECTORS["wallet_policies"]["invalid"]
    assert len(group) == 9
    for case in group:
        for count in (1, 2, 3):
            with pytest.raises(InvalidInputError) as caught:
                WalletPolicy.from_text("Savings", case["text"], keys[:count])
            assert caught.value.code == "input.wallet-policy"
