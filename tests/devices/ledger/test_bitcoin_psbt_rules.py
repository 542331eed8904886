"""What the app refuses, warns of and hides in a PSBT, as measured on the real app 2.4.6 (Nano S+, Speculos)."""

from __future__ import annotations

import pytest

from bursar.bitcoin import script as scripts
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath

HALF = (50_000_000, 50_000_000)
KINDS = ("pkh", "sh", "wpkh", "tr")
PLAIN = ["Review transaction to send bitcoin", "Amount", "To", "Fees", "Sign transaction"]
SHOWN_CHANGE = [
    PLAIN[0],
    *["Transaction output", "Amount", "To"] * 2,
    "Fees",
    "Sign transaction",
]


def without(psbt: Psbt, *keys: bytes, at: int = 0) -> Psbt:
    for key in [key for key in psbt.inputs[at].fields if key[:1] in keys]:
        del psbt.inputs[at].fields[key]
    return psbt


def with_sighash(psbt: Psbt, sighash: int, at: int = 0) -> Psbt:
    psbt.inputs[at].fields[b"\x03"] = sighash.to_bytes(4, "little")
    return psbt


def rewritten(fields: dict[bytes, bytes], index: int) -> None:
    """Let every derivation end in another index."""
    for key in list(fields):
        fields[key] = fields[key][:-4] + index.to_bytes(4, "little")


class Attempt:
    """One attempt to sign: the error with its detail, or the indexes signed, and the titles shown."""

    def __init__(self, start, client, wallet, psbt, kind, human=None) -> None:
        options = {} if human is None else {"human": human}
        self.device = start(**options)
        talk = client(self.device)
        self.signed: list[int] | None = None
        self.error: tuple[int, str] | None = None
        try:
            self.results = talk.sign_psbt(psbt.serialize(), wallet.policy(kind), None)
            self.signed = [index for index, _ in self.results]
        except Exception:
            if not talk.transport_client.details:
                raise
            status, detail = talk.transport_client.details[-1]
            self.error = (status, detail.hex())
        self.titles = [page.title for page in self.device.pages]


@pytest.fixture
def attempt(start, client, wallet):
    return lambda psbt, kind="wpkh", human=None: Attempt(start, client, wallet, psbt, kind, human)


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("wpkh", b"\x01", (0x6A80, "0007")),
        ("sh", b"\x01", (0x6A80, "0007")),
        ("tr", b"\x01", (0x6A80, "0003")),
        ("pkh", b"\x00", (0x6A80, "0003")),
        *[(kind, b"\x00\x01", (0x6A80, "0003")) for kind in KINDS],
        *[(kind, b"\x06\x16", (0x6A80, "")) for kind in KINDS],
    ],
)
def test_a_field_is_missing(attempt, wallet, kind, fields, error):
    tried = attempt(without(wallet.psbt(kind), *[fields[at : at + 1] for at in range(len(fields))]), kind)
    assert (tried.error, tried.titles) == (error, [])


@pytest.mark.parametrize("kind", ["sh", "wpkh"])
def test_the_previous_transaction_is_missing(attempt, wallet, kind):
    tried = attempt(without(wallet.psbt(kind), b"\x00"), kind)
    assert tried.signed == [0]
    assert tried.titles == ["Security risk", "Security risk", "Continue anyway", *PLAIN]
    assert tried.device.pages[1].lines[0] == "Unverified inputs"


def test_taproot_needs_no_previous_transaction(attempt, wallet):
    assert attempt(wallet.psbt("tr"), "tr").titles == PLAIN


def test_a_legacy_input_with_a_witness_utxo(attempt, wallet):
    psbt = wallet.psbt("pkh")
    psbt.inputs[0].witness_utxo = psbt.inputs[0].non_witness_utxo.outputs[1]
    assert attempt(psbt, "pkh").error == (0x6A80, "0006")


@pytest.mark.parametrize("kind", ["sh", "wpkh"])
@pytest.mark.parametrize("amount", [100_000_001, 99_999_999])
def test_the_amount_is_a_lie(attempt, wallet, kind, amount):
    psbt = wallet.psbt(kind)
    psbt.inputs[0].witness_utxo = TxOut(Sats(amount), psbt.inputs[0].witness_utxo.script)
    assert attempt(psbt, kind).error == (0x6A80, "0005")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_ours(attempt, wallet, kind):
    psbt = wallet.psbt(kind)
    for key in [key for key in psbt.inputs[0].fields if key[0] in (0x06, 0x16)]:
        value = psbt.inputs[0].fields[key]
        at = 1 if key[0] == 0x16 else 0
        psbt.inputs[0].fields[key] = value[:at] + b"\x01\x02\x03\x04" + value[at + 4 :]
    assert attempt(psbt, kind).error == (0x6A80, "")


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_without_derivation_is_external(attempt, wallet, kind):
    tried = attempt(without(wallet.psbt(kind, inputs=HALF), b"\x06", b"\x16", at=1), kind)
    assert tried.signed == [0]
    assert tried.titles[:3] == ["Security risk", "Security risk", "Continue anyway"]
    assert tried.device.pages[1].lines == ("There are external ", "inputs", "Reject if not sure")


def test_an_input_of_another_account_is_external(attempt, wallet):
    ours, theirs = wallet.psbt(inputs=HALF), wallet.psbt(inputs=(40_000_000, 50_000_000), account=1)
    mixed = Psbt(Transaction(2, [ours.tx.inputs[0], theirs.tx.inputs[1]], ours.tx.outputs, 7))
    mixed.inputs, mixed.outputs = [ours.inputs[0], theirs.inputs[1]], ours.outputs
    assert attempt(mixed).signed == [0]


def test_the_same_outpoint_twice_is_signed_silently(attempt, wallet):
    psbt = wallet.psbt(inputs=HALF)
    twice = Psbt(Transaction(2, [psbt.tx.inputs[0]] * 2, psbt.tx.outputs, 7))
    twice.inputs, twice.outputs = [psbt.inputs[0], psbt.inputs[0].copy()], psbt.outputs
    tried = attempt(twice)
    assert (tried.signed, tried.titles) == ([0, 1], PLAIN)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sighash", [0, 1, 2, 3, 0x81, 0x82, 0x83, 4, 0x41, 0x80])
def test_sighash_types(attempt, wallet, kind, sighash):
    tried = attempt(with_sighash(wallet.psbt(kind), sighash), kind)
    if sighash == 1 or (sighash == 0 and kind == "tr"):
        assert tried.titles == PLAIN
    elif kind != "pkh" and sighash in (2, 3, 0x81, 0x82, 0x83):
        assert tried.titles == ["Security risk", "Security risk", "Continue anyway", *PLAIN]
        assert tried.device.pages[1].lines == ("Non-default sighash",)
    else:
        assert (tried.error, tried.titles) == ((0x6A82, ""), [])
        return
    ending = tried.results[0][1].signature[-1:] if sighash or kind != "tr" else b"\x00"
    assert ending == bytes((sighash,))


@pytest.mark.parametrize("kind", ["sh", "wpkh", "tr"])
def test_single_without_its_output(attempt, wallet, kind):
    psbt = with_sighash(wallet.psbt(kind, inputs=HALF, change=None), 3, at=1)
    assert attempt(psbt, kind).error == (0x6A82, "0008")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("place", "hidden"), [((1, 5), True), ((1, 2**31 - 1), True), ((0, 5), False), ((2, 5), False)]
)
def test_what_counts_as_change(attempt, wallet, kind, place, hidden):
    tried = attempt(wallet.psbt(kind, change_place=place), kind)
    assert tried.titles[1:] == [
        *(["Amount", "To"] if hidden else tried.titles[1:-2]),
        "Fees",
        "Sign transaction",
    ]
    assert ("Transaction output" in tried.titles) is not hidden


@pytest.mark.parametrize("kind", KINDS)
def test_change_that_is_not_where_it_says(attempt, wallet, kind):
    psbt = wallet.psbt(kind)
    rewritten(psbt.outputs[-1].fields, 9)
    assert "Transaction output" in attempt(psbt, kind).titles


def test_change_at_a_hardened_place(attempt, wallet):
    psbt = wallet.psbt()
    rewritten(psbt.outputs[-1].fields, 9 + HARDENED)
    assert attempt(psbt).error == (0x6A80, "")


def test_eleven_changes(attempt, wallet):
    places = [(wallet.path("wpkh", 1, index), index) for index in range(11)]
    payments = [(wallet.script("wpkh", wallet.public(path)), 1_000_000) for path, _ in places]
    psbt = wallet.psbt(payments=payments, change=None)
    for path, index in places:
        origin = KeyOrigin(Fingerprint(wallet.fingerprint), DerivationPath.from_text(path))
        psbt.outputs[index].bip32_derivations[wallet.public(path)] = origin
    assert attempt(psbt).error == (0x6A82, "0009")


def test_a_transfer_to_oneself(attempt, wallet):
    tried = attempt(wallet.psbt(payments=(), change=99_990_000))
    assert tried.titles == [PLAIN[0], "Amount", "Fees", "Sign transaction"]
    assert tried.device.pages[1].text == "0 TEST (self-transfer)"


def test_more_paid_than_spent(attempt, wallet):
    assert attempt(wallet.psbt(change=49_990_000)).error == (0x6A80, "")


@pytest.mark.parametrize(
    ("spent", "paid", "warned"),
    [
        (100_000_000, 90_000_000, True),
        (100_000_000, 90_000_001, False),
        (100_000, 1_000, False),
        (100_001, 1_000, True),
    ],
)
def test_high_fees_from_a_tenth_and_a_thousandth_of_a_bitcoin(attempt, wallet, spent, paid, warned):
    psbt = wallet.psbt(inputs=(spent,), payments=((scripts.p2wpkh(bytes(20)), paid),), change=None)
    assert ("High fees warning" in attempt(psbt).titles) is warned


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (scripts.op_return(b"hello"), "OP_RETURN 0x68656c6c6f"),
        (b"\x6a\x00\x51\x60\x4f\x02\xab\xcd", "OP_RETURN 0 1 16 -1 0xabcd"),
        (b"\x6a", "OP_RETURN"),
        (scripts.p2sh(bytes(20)), "2MsFDzHRUAMpjHxKyoEHU3aMCMsVtMqs1PV"),
        (b"\x52\x20" + bytes(32), "tb1zqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq740e8l"),
        (b"\x6a\x01\x05", None),
        (b"\x6a" + b"\x51" * 6, None),
        (b"\x51", None),
    ],
)
def test_payees(attempt, wallet, script, shown):
    tried = attempt(wallet.psbt(payments=((script, 0),), change=99_000_000))
    if shown is None:
        assert tried.error == (0x6A82, "")
    else:
        told = "".join(page.text for page in tried.device.pages if page.title.startswith("To"))
        assert told == shown


def test_more_than_sixteen_payments_come_one_by_one(attempt, wallet):
    payments = [(scripts.p2wpkh(bytes((at,)) * 20), 1_000_000 + at) for at in range(17)]
    tried = attempt(wallet.psbt(payments=payments))
    assert tried.signed == [0]
    assert tried.titles[:4] == [PLAIN[0], "Transaction output", "Amount", "Address"]
    assert tried.titles.count("Transaction output") == 17
    assert tried.titles[-3:] == ["High fees warning", "Fees", "Sign transaction"]


def test_scripts_that_do_not_match(attempt, wallet):
    psbt = wallet.psbt("sh")
    psbt.inputs[0].redeem_script = scripts.p2wpkh(bytes(20))
    assert attempt(psbt, "sh").error == (0x6A80, "000b")
    assert attempt(without(wallet.psbt("sh"), b"\x04"), "sh").error == (0x6A80, "")


@pytest.mark.parametrize("length", [4, 8, 4 + 44])
def test_derivations_of_odd_length(attempt, wallet, length):
    psbt = wallet.psbt()
    (key,) = [key for key in psbt.inputs[0].fields if key[0] == 6]
    psbt.inputs[0].fields[key] = (psbt.inputs[0].fields[key] + bytes(40))[:length]
    assert attempt(psbt).error == (0x6A80, "")
