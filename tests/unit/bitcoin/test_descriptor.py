"""Descriptors: checksum as BIP-380 prints it and embit computes it, single-key forms both ways."""

from __future__ import annotations

from typing import Any

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from embit.descriptor.checksum import checksum as embit_checksum
from embit.networks import NETWORKS as EMBIT_NETWORKS
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.descriptor import SingleKeyDescriptor, add_checksum, checksum, strip_checksum
from bursar.errors import InvalidInputError
from bursar.keys.scheme import Scheme


def test_checksum_example_of_bip_380() -> None:
    assert checksum("raw(deadbeef)") == "89f8spxm"
    assert add_checksum("raw(deadbeef)") == "raw(deadbeef)#89f8spxm"
    assert strip_checksum("raw(deadbeef)#89f8spxm") == "raw(deadbeef)"


@pytest.mark.parametrize(
    "text",
    [
        "raw(deadbeef)",
        "raw(deadbeef)#",
        "raw(deadbeef)#89f8spxmx",
        "raw(deadbeef)#89f8spx",
        "raw(deedbeef)#89f8spxm",
        "raw(deadbeef)##9f8spxm",
        "raw(Ü)#00000000",
    ],
)
def test_bad_checksums_of_bip_380_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        strip_checksum(text)


@given(
    st.text(alphabet="0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyz", max_size=90)
)
def test_checksums_agree_with_embit(text: str) -> None:
    assert checksum(text) == embit_checksum(text)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_account_descriptors_give_the_accounts_addresses(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme)
    for branch in (0, 1):
        text = account.descriptor(branch)
        other = EmbitDescriptor.from_string(text)
        assert other.derive(4).address(EMBIT_NETWORKS["regtest"]) == account.address(branch, 4).text
        parsed = SingleKeyDescriptor.from_text(text)
        assert str(parsed) == text
        assert (parsed.scheme, parsed.origin, parsed.xpub, parsed.branches) == (
            scheme,
            account.origin,
            account.xpub,
            (branch,),
        )
    both = SingleKeyDescriptor.from_text(account.descriptor())
    assert both.branches == (0, 1)
    assert str(both) == account.descriptor()


@pytest.mark.parametrize(
    "change",
    [
        ("wpkh(", "wsh("),
        ("/0/*", "/0h/*"),
        ("/0/*", "/0"),
        ("/0/*", "/*"),
        ("/0/*", "/00/*"),
        ("/0/*", "/2147483648/*"),
        ("/0/*", "/" + "9" * 5000 + "/*"),
        ("/0/*", "/<0;" + "9" * 5000 + ">/*"),
        ("[", ""),
        (")", "))"),
    ],
)
def test_other_descriptors_are_refused(change: tuple[str, str], wallet: Any) -> None:
    text = strip_checksum(wallet.account(Scheme.BIP84).descriptor(0))
    with pytest.raises(InvalidInputError) as caught:
        SingleKeyDescriptor.from_text(text.replace(*change), checksum_required=False)
    assert caught.value.code.startswith("input.")
    assert SingleKeyDescriptor.from_text(text, checksum_required=False).scheme is Scheme.BIP84


def test_a_text_longer_than_any_descriptor_is_refused_at_once() -> None:
    assert len(checksum("a" * 100_000)) == 8
    for refuse in (checksum, add_checksum, strip_checksum, SingleKeyDescriptor.from_text):
        with pytest.raises(InvalidInputError, match="too long"):
            refuse("a" * 100_001)
