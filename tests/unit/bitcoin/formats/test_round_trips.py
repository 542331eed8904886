"""Every shape of wallet through every format: what can be written is recognised and read back the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.formats import KeyName, WalletFile, WalletFormat, read_wallet_files, write_wallet_files
from bursar.bitcoin.formats.recognition import recognise
from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint

Wallets = Callable[[Network], dict[str, Descriptor]]
SORTED = {"sh", "sh-wsh", "wsh"}
CUSTOMARY = {"BIP44", "BIP49", "BIP84", "BIP86", "sh", "sh-wsh", "wsh"} | {
    "sh in order",
    "sh-wsh in order",
    "wsh in order",
    "miniscript",
}
ALL = CUSTOMARY | {"tree", "other branches", "one address", "receiving only"}
HOLDS = {
    WalletFormat.CORE: ALL,
    WalletFormat.DESCRIPTOR: ALL - {"receiving only"},
    WalletFormat.SPECTER: CUSTOMARY | {"one address"},
    WalletFormat.SPECTER_DIY: CUSTOMARY | {"one address"},
    WalletFormat.BSMS: ALL - {"tree"},
    WalletFormat.COLDCARD: SORTED,
    WalletFormat.CARAVAN: SORTED,
    WalletFormat.ELECTRUM: SORTED | {"BIP44", "BIP49", "BIP84"},
}


@pytest.mark.parametrize("network", [Network.MAIN, Network.REGTEST])
@pytest.mark.parametrize("form", WalletFormat)
def test_round_trip(wallets: Wallets, form: WalletFormat, network: Network) -> None:
    for name, descriptor in wallets(network).items():
        file = WalletFile(name, network, descriptor)
        if name not in HOLDS[form]:
            with pytest.raises(InvalidInputError) as caught:
                write_wallet_files(form, file)
            assert caught.value.code in ("input.wallet-file", "input.setup-file")
            continue
        text = write_wallet_files(form, file)
        assert recognise(text) is form
        (back,) = read_wallet_files(text, network=network)
        assert back.descriptor == descriptor
        assert back.address() == file.address()
        if form in (WalletFormat.SPECTER, WalletFormat.SPECTER_DIY, WalletFormat.COLDCARD, WalletFormat.CARAVAN):
            assert back.name == name


def test_what_else_a_format_carries(wallets: Wallets) -> None:
    descriptor = wallets(Network.MAIN)["wsh"]
    names = (KeyName("one", "trezor"), KeyName("two", "ledger"), KeyName("three", "coldcard"))
    labels = (
        LabelRecord(LabelType.TX, "ab" * 32, "rent ä"),
        LabelRecord(LabelType.ADDRESS, descriptor.address(Network.MAIN).text, "first"),
        LabelRecord(LabelType.OUTPUT, "cd" * 32 + ":1", None, False),
    )
    hmacs = ((Fingerprint(b"\1\2\3\4"), bytes(range(32))),)
    file = WalletFile("vault", Network.MAIN, descriptor, labels, names, 800_000, 1_700_000_000, (7, 3), hmacs)
    back = {form: read_wallet_files(write_wallet_files(form, file))[0] for form in WalletFormat}
    assert back[WalletFormat.CARAVAN].key_names == names
    assert back[WalletFormat.CARAVAN].ledger_hmacs == hmacs
    assert back[WalletFormat.SPECTER].key_names == names
    assert back[WalletFormat.SPECTER].birth_height == 800_000
    assert back[WalletFormat.CORE].birth_time == 1_700_000_000
    assert back[WalletFormat.CORE].next_index == (7, 3)
    assert set(back[WalletFormat.ELECTRUM].labels) == set(labels)
    assert [one.label for one in back[WalletFormat.ELECTRUM].key_names] == ["one", "two", "three"]


def test_several_wallets_go_into_one_list_for_core(wallets: Wallets) -> None:
    files = [WalletFile(name, Network.REGTEST, one) for name, one in wallets(Network.REGTEST).items()]
    back = read_wallet_files(write_wallet_files(WalletFormat.CORE, *files), network=Network.REGTEST)
    assert {str(one.descriptor) for one in back} == {str(one.descriptor) for one in files}
    with pytest.raises(InvalidInputError):
        write_wallet_files(WalletFormat.SPECTER, *files)
    with pytest.raises(InvalidInputError):
        write_wallet_files(WalletFormat.CORE)


def test_the_network_must_be_that_of_the_keys(wallets: Wallets) -> None:
    file = WalletFile("x", Network.MAIN, wallets(Network.MAIN)["wsh"])
    for form in WalletFormat:
        with pytest.raises(InvalidInputError) as caught:
            read_wallet_files(write_wallet_files(form, file), network=Network.REGTEST)
        assert caught.value.code in ("input.network", "input.address.network"), form
    with pytest.raises(InvalidInputError):
        WalletFile("x", Network.REGTEST, file.descriptor)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "a\nb"},
        {"name": "a" * 201},
        {"key_names": (KeyName("one"),)},
        {"key_names": (KeyName("a\x1b"),) * 3},
        {"next_index": (1,)},
        {"next_index": (-1, 0)},
        {"birth_time": -1},
        {"ledger_hmacs": ((Fingerprint(bytes(4)), b"short"),)},
    ],
)
def test_impossible_values(wallets: Wallets, changed: dict[str, Any]) -> None:
    values: dict[str, Any] = {"name": "x", "network": Network.MAIN, "descriptor": wallets(Network.MAIN)["wsh"]}
    with pytest.raises(InvalidInputError):
        WalletFile(**values | changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "{}",
        "[]",
        "[1]",
        "{",
        '{"descriptors": []}',
        '{"descriptors": [{}]}',
        '{"descriptor": 1}',
        '{"descriptor": "wpkh()"}',
        '{"wallet_type": "standard"}',
        '{"wallet_type": "imported", "keystore": {}}',
        '{"wallet_type": "2fa"}',
        '{"wallet_type": "2of3"}',
        '{"wallet_type": "2of99"}',
        '{"extendedPublicKeys": []}',
        '{"extendedPublicKeys": [], "network": "mainnet", "addressType": "P2WSH"}',
        "BSMS 1.0",
        "addwallet x",
        "Policy: 2 of 3",
        "# only a comment",
        "words",
        "00" * 50,
        '{"a": 1, "a": 2}',
        "[" * 40 + "]" * 40,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_wallet_files(text)


def test_bounds() -> None:
    with pytest.raises(InvalidInputError, match="too large"):
        read_wallet_files(b" " * ((64 << 20) + 1))
    entry = {"desc": "wpkh(" + "0" * 66 + ")", "timestamp": 0}
    with pytest.raises(InvalidInputError):
        read_wallet_files(json.dumps([entry] * 10_001))


@settings(max_examples=60)
@given(
    st.binary(max_size=60)
    | st.text(max_size=60)
    | st.dictionaries(
        st.sampled_from(
            ("descriptor", "descriptors", "wallet_type", "keystore", "extendedPublicKeys", "quorum", "x1/")
        ),
        st.none() | st.integers() | st.text(max_size=5) | st.just("standard") | st.just({}) | st.just([{}]),
        max_size=4,
    ).map(json.dumps)
)
def test_garbage(data: bytes | str) -> None:
    with pytest.raises(InvalidInputError):
        read_wallet_files(data)
