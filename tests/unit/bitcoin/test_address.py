"""Addresses: the specifications' own examples, one code for each cause, agreement with embit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from embit.networks import NETWORKS as EMBIT_NETWORKS
from embit.script import Script
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin import script as s
from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError

MAIN_P2PKH = "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA"


def test_valid_examples_of_bip_173_and_350(vectors: Callable[[str], Any]) -> None:
    for text, script in vectors("bitcoin_addresses.json")["valid"]:
        network = Network.MAIN if text.lower().startswith("bc") else Network.TESTNET
        address = Address.from_text(text, network)
        assert address.script.hex() == script
        assert str(address) == text.lower()
        assert Address.from_script(address.script, network) == address


def test_invalid_examples_name_their_cause(vectors: Callable[[str], Any]) -> None:
    for text, network, code, why in vectors("bitcoin_addresses.json")["invalid"]:
        with pytest.raises(InvalidInputError) as caught:
            Address.from_text(text, Network.from_text(network))
        assert caught.value.code == code, why


@pytest.mark.parametrize(
    ("text", "network", "code"),
    [
        ("1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabB", Network.MAIN, "input.address.checksum"),
        ("1LqBGSKuX5yYUonjxT5qGfpUsXKYYWea0A", Network.MAIN, "input.address.checksum"),
        (MAIN_P2PKH, Network.REGTEST, "input.address.network"),
        ("2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2", Network.MAIN, "input.address.network"),
        ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", Network.TESTNET, "input.address.network"),
        ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyv", Network.MAIN, "input.address.checksum"),
        ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyV", Network.MAIN, "input.address.case"),
        ("ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", Network.MAIN, "input.address.network"),
        ("bc1qcr8te4kr609gcawut", Network.MAIN, "input.address.checksum"),
        (" bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", Network.MAIN, "input.address"),
        ("", Network.MAIN, "input.address"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", Network.MAIN, "input.address.network"),
        ("bc1" + "q" * 200, Network.MAIN, "input.address"),
    ],
)
def test_each_mistake_has_its_code(text: str, network: Network, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Address.from_text(text, network)
    assert caught.value.code == code


def test_networks_sharing_a_prefix_share_addresses() -> None:
    text = "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c"
    for network in (Network.TESTNET, Network.TESTNET4, Network.SIGNET):
        assert Address.from_text(text, network).network is network


@pytest.mark.parametrize(
    ("network", "name"), [(Network.MAIN, "main"), (Network.TESTNET, "test"), (Network.REGTEST, "regtest")]
)
@given(data=st.binary(min_size=32, max_size=32))
def test_addresses_agree_with_embit(network: Network, name: str, data: bytes) -> None:
    scripts = (s.p2pkh(data[:20]), s.p2sh(data[:20]), s.p2wpkh(data[:20]), s.p2wsh(data), s.p2tr(data))
    for script in scripts:
        address = Address.from_script(script, network)
        assert address.text == Script(script).address(EMBIT_NETWORKS[name])
        assert Address.from_text(address.text, network) == address
        assert address.script_type is s.classify(script)


@pytest.mark.parametrize("script", [b"", b"\x6a\x01x", b"\x00\x15" + bytes(21), b"\x51", b"\x21" + bytes(33) + b"\xac"])
def test_scripts_without_an_address_are_refused(script: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Address.from_script(script, Network.MAIN)
    assert caught.value.code == "input.script"


def test_pay_to_anchor_has_an_address() -> None:
    address = Address.from_script(bytes.fromhex("51024e73"), Network.MAIN)
    assert address.text == "bc1pfeessrawgf"
    assert Address.from_text("bc1pfeessrawgf", Network.MAIN).script_type is ScriptType.ANCHOR


@given(st.text(max_size=100) | st.text(alphabet="bc1qpzry9x8gf2tvdw0s3jn54khce6mua7lBC", min_size=14, max_size=90))
def test_any_text_is_an_address_or_a_typed_error(text: str) -> None:
    with suppress(InvalidInputError):
        Address.from_text(text, Network.MAIN)
