"""Payment URIs: the examples of BIP-21 and BIP-321, exact amounts, refusals by cause, round trips."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.bitcoin.uri import PaymentUri
from bursar.errors import InvalidInputError

# the standards' own examples, over an address that exists: theirs are invalid on purpose
OLD = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
SEGWIT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u00a0"), max_size=20).filter(
    str.isprintable
)


def read(text: str, network: Network = Network.MAIN) -> PaymentUri:
    return PaymentUri.from_text(text, network)


def refused(text: str, code: str, network: Network = Network.MAIN) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(text, network)
    assert caught.value.code == code, caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"bitcoin:{OLD}",
        f"bitcoin:{OLD}?label=Luke-Jr",
        f"bitcoin:{OLD}?amount=20.3&label=Luke-Jr",
        f"bitcoin:{OLD}?amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz",
        f"bitcoin:{OLD}?lightning=lnbc420bogusinvoice",
        "bitcoin:?lightning=lnbc420bogusinvoice",
        "bitcoin:?lno=lno1bogusoffer",
        "bitcoin:?lno=lno1bogusoffer&sp=sp1qsilentpayment",
        f"bitcoin:{OLD}?sp=sp1qsilentpayment",
        f"bitcoin:{OLD}?somethingyoudontunderstand=50&somethingelseyoudontget=999",
        f"bitcoin:?bc={SEGWIT}&bc={TAPROOT}",
    ],
)
def test_examples_are_read_and_written_again(text: str) -> None:
    assert str(read(text)) == text


def test_what_an_example_says() -> None:
    uri = read(f"bitcoin:{OLD}?amount=20.3&label=Luke-Jr&message=Donation%20for%20%C3%A4&pop=app%3a%3f&x&y=1")
    assert (uri.address.text, uri.amount, uri.label, uri.message) == (OLD, 2_030_000_000, "Luke-Jr", "Donation for ä")
    assert uri.proof == "app:?"
    assert uri.others == (("x", None), ("y", "1"))
    assert PaymentUri.from_text(str(uri), Network.MAIN) == uri


def test_upper_case_as_in_qr_codes() -> None:
    uri = read(f"BITCOIN:{SEGWIT.upper()}?BC={TAPROOT.upper()}&AMOUNT=0.1")
    assert [one.text for one in uri.addresses] == [SEGWIT, TAPROOT]
    assert uri.qr_text() == f"BITCOIN:{SEGWIT}?AMOUNT=0.1&BC={TAPROOT}".upper()
    assert read(uri.qr_text()) == uri
    assert read(f"bitcoin:{OLD}").qr_text() == f"bitcoin:{OLD}"
    assert read(f"bitcoin:{SEGWIT}?label=a").qr_text() == f"bitcoin:{SEGWIT}?label=a"


def test_without_an_address_there_is_nobody_to_pay_on_the_chain() -> None:
    with pytest.raises(InvalidInputError) as caught:
        _ = read("bitcoin:?lightning=lnbc1&sp=sp1q").address
    assert caught.value.code == "input.uri.address"
    assert "lightning, sp" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("req-somethingyoudontunderstand=50&req-somethingelseyoudontget=999", "input.uri.required"),
        ("REQ-x=1", "input.uri.required"),
        ("%72eq-x", "input.uri.required"),
        ("req-pop=https%3aevilwebsite.com", "input.uri.required"),
        ("pop=callback%3a&req-pop=callback%3a", "input.uri.required"),
        ("label=Luke-Jr&label=Matt", "input.uri.twice"),
        ("amount=42&amount=42", "input.uri.twice"),
        ("amount=42&AMOUNT=10", "input.uri.twice"),
        ("amount=", "input.amount"),
        ("amount=.", "input.amount"),
        ("amount=50,000.00", "input.amount"),
        ("amount=1e3", "input.amount"),
        ("amount=-1", "input.amount"),
        ("amount=%2B1", "input.amount"),
        ("amount=1%20", "input.amount"),
        ("amount=0x1", "input.amount"),
        ("amount=\u0661", "input.uri"),
        ("amount=%D9%A1", "input.amount"),
        ("amount=0.000000001", "input.amount.precision"),
        ("amount=1.100000000", "input.amount.precision"),
        ("amount=21000000.00000001", "input.amount.range"),
        ("amount=" + "9" * 32, "input.amount.range"),
        ("label=a b", "input.uri"),
        ("label=a%", "input.uri"),
        ("label=%zz", "input.uri"),
        ("label=%ff", "input.uri"),
        ("label=%00", "input.uri"),
        ("label=%E2%80%AE", "input.uri"),
        ("label=a#b", "input.uri"),
        ("=1", "input.uri"),
        ("lightning=", "input.uri"),
        ("tb=tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "input.address.network"),
        ("bc=tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "input.address.network"),
        (f"bc={OLD}", "input.address"),
        ("&".join(f"a{n}=1" for n in range(65)), "input.uri"),
    ],
)
def test_refusals(query: str, code: str) -> None:
    refused(f"bitcoin:{OLD}?{query}", code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("bitcoin:", "input.uri"),
        ("bitcoin:?amount=1", "input.uri"),
        ("", "input.uri"),
        (OLD, "input.uri"),
        ("litecoin:" + OLD, "input.uri"),
        (f"bitcoin://{OLD}", "input.uri"),
        (f" bitcoin:{OLD}", "input.uri"),
        (f"bitcoin:{OLD[:-1]}3", "input.address.checksum"),
        ("bitcoin:" + SEGWIT[:-1] + "X", "input.address.case"),
        (f"bitcoin:{SEGWIT}?x=" + "a" * 20_000, "input.uri"),
    ],
)
def test_refused_altogether(text: str, code: str) -> None:
    refused(text, code)


def test_another_network() -> None:
    refused(f"bitcoin:{SEGWIT}", "input.address.network", Network.TESTNET)


@pytest.mark.parametrize(
    ("written", "satoshi"), [("0.00000001", 1), (".5", 50_000_000), ("50.", 5_000_000_000), ("0", 0)]
)
def test_amounts_are_exact(written: str, satoshi: int) -> None:
    assert read(f"bitcoin:{OLD}?amount={written}").amount == satoshi


@settings(max_examples=40)
@given(
    st.binary(min_size=20, max_size=20),
    st.none() | st.integers(0, MAX_MONEY).map(Sats),
    st.none() | TEXT.filter(bool),
    st.none() | TEXT.filter(bool),
    st.lists(st.tuples(st.sampled_from(("lightning", "lno", "sp")), TEXT.filter(bool)), max_size=2),
    st.lists(st.tuples(st.sampled_from(("x", "time", "ä")), st.none() | TEXT), max_size=3),
)
def test_round_trip(
    key: bytes,
    amount: Sats | None,
    label: str | None,
    message: str | None,
    ways: list[tuple[str, str]],
    others: list[tuple[str, str | None]],
) -> None:
    address = Address.from_script(p2wpkh(key), Network.SIGNET)
    uri = PaymentUri(Network.SIGNET, (address,), amount, label, message, tuple(ways), None, tuple(others))
    assert read(str(uri), Network.SIGNET) == uri


@settings(max_examples=60)
@given(
    st.text(max_size=40) | st.text("abimnotu:?=&%-0123456789.", max_size=40).map(lambda text: f"bitcoin:{OLD}?{text}")
)
def test_garbage(text: str) -> None:
    try:
        uri = read(text)
    except InvalidInputError:
        return
    assert read(str(uri)) == uri
