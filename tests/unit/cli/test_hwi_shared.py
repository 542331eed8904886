"""``bursar-hwi`` with accounts of several keys: registering, showing, signing, and what models cannot do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")
pytest.importorskip("bursar_devices.ledger")

from bursar_devices.humans import approve, reject
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.ledger.policies import FilePolicyStore
from bursar.bitcoin.address import Address
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.cli.hwi import front
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
PAYEE = b"\x00\x14" + bytes(range(20))
Hwi = Callable[..., Any]


@pytest.fixture
def hwi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hwi:
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path))

    def run(device: Any, *words: str) -> Any:
        assert front.run(["-t", device.family, "-d", device.location, "--chain", "test", *words]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def ledger() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(human=approve()) as made:
        yield made


@pytest.fixture
def trezor() -> Iterator[TrezorSimulator]:
    with TrezorSimulator(human=approve()) as made:
        yield made


def cosigner(number: int) -> tuple[KeyOrigin, ExtendedPublicKey]:
    with ExtendedPrivateKey.from_seed(b"cosigner %02d of hwi" % number, testnet=True) as root, root.derive(HOME) as key:
        return KeyOrigin(root.fingerprint, HOME), key.public()


def account_with(hwi: Hwi, device: Any, *, others: tuple[int, int] = (1, 2)) -> MultisigAccount:
    """2 of 3 with the device's key in the middle, which ``getxpub`` and ``getmasterxpub`` tell."""
    xpub = ExtendedPublicKey.from_text(hwi(device, "getxpub", str(HOME))["xpub"])
    root = {"ledger": "73c5da0a", "trezor": "5c9e228d"}[device.family]
    own = (KeyOrigin(Fingerprint.from_text(root), HOME), xpub)
    keys = (cosigner(others[0]), own, cosigner(others[1]))
    return MultisigAccount(Network.TESTNET, MultisigKind.WSH, 2, keys)


def spending(account: MultisigAccount, *, change: tuple[int, int] = (1, 4), xpubs: bool = True) -> str:
    before = Transaction(2, (TxIn(OutPoint(Txid(bytes(32)), 0)),), (TxOut(Sats(90_000), account.script(0, 0)),), 0)
    outputs = (TxOut(Sats(50_000), PAYEE), TxOut(Sats(39_000), account.script(1, 4)))
    psbt = Psbt(Transaction(2, (TxIn(OutPoint(before.txid, 0), sequence=0xFFFFFFFD),), outputs, 0))
    psbt.inputs[0].non_witness_utxo, psbt.inputs[0].witness_utxo = before, before.outputs[0]
    account.spending(0, 0).describe_input(psbt.inputs[0])
    account.spending(*change).describe_output(psbt.outputs[1])
    if xpubs:
        account.describe_xpubs(psbt)
    return str(psbt)


def shown(device: Any, since: int) -> str:
    return "".join("".join(page.lines) for page in device.pages[since:]).replace(" ", "")


def test_registered_shown_and_signed_for(hwi: Hwi, ledger: LedgerSimulator, tmp_path: Path) -> None:
    account = account_with(hwi, ledger)
    made = hwi(ledger, "registerdescriptor", "Vault", account.descriptor())
    assert set(made) == {"registration", "hmac", "id"}
    places = [("0", "0"), ("5", "1")]
    for index, branch in places:
        words = ("--registration", made["registration"], "--index", index, "--multipath-index", branch)
        answer = hwi(ledger, "displayaddress", *words)
        assert answer == {"address": str(account.address(int(branch), int(index)))}
    answer = hwi(ledger, "displayaddress", "--registration", made["registration"], "--index", "5", "--change")
    assert answer == {"address": str(account.address(1, 5))}
    before = len(ledger.pages)
    signed = hwi(ledger, "signtx", spending(account), "--registration", made["registration"])
    assert signed["signed"] is True
    assert len(Psbt.from_text(signed["psbt"]).inputs[0].partial_sigs) == 1
    assert str(account.address(1, 4))[:20] not in shown(ledger, before)
    assert Address.from_script(PAYEE, Network.TESTNET).text in shown(ledger, before)
    # the wallet's folder knows it as well, for programs that keep nothing
    one_address = f"wsh(sortedmulti(2,{','.join(f'[{origin}]{xpub}/1/7' for origin, xpub in account.cosigners)}))"
    assert hwi(ledger, "displayaddress", "--desc", one_address) == {"address": str(account.address(1, 7))}
    keys = ",".join(f"[{origin}]{key.hex()}" for key, origin in account.keys(0, 3).items())
    assert hwi(ledger, "displayaddress", "--desc", f"wsh(sortedmulti(2,{keys}))") == {
        "address": str(account.address(0, 3))
    }
    assert hwi(ledger, "signtx", spending(account))["signed"] is True
    (kept,) = FilePolicyStore(tmp_path / "ledger" / "policies.json").registrations(Fingerprint.from_text("73c5da0a"))
    assert kept.hmac.hex() == made["hmac"]


def test_a_registration_serves_where_none_is_kept(
    hwi: Hwi, ledger: LedgerSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_with(hwi, ledger)
    registration = hwi(ledger, "registerdescriptor", "Vault", account.descriptor())["registration"]
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path / "elsewhere"))
    refused = hwi(ledger, "signtx", spending(account))
    assert refused["code"] == -7
    assert "registered" in refused["error"]
    assert hwi(ledger, "signtx", spending(account), "--registration", registration)["signed"] is True


def test_registrations_that_are_none(
    hwi: Hwi, ledger: LedgerSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_with(hwi, ledger)
    text = hwi(ledger, "registerdescriptor", "Vault", account.descriptor())["registration"]
    record = json.loads(base64.b64decode(text))
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path / "elsewhere"))
    spoilt = {
        "another proof": {**record, "hmac": "01" * 32, "identity": "02" * 32},
        "another device": {**record, "fingerprint": "01020304"},
        "a swapped cosigner": {
            **record,
            "identity": "03" * 32,
            "policy": {
                **record["policy"],
                "keys": [*record["policy"]["keys"][:2], "[{}]{}".format(*cosigner(3)).replace("h", "'")],
            },
        },
        "nothing": {},
    }
    for what, one in spoilt.items():
        word = base64.b64encode(json.dumps(one).encode()).decode()
        answer = hwi(ledger, "displayaddress", "--registration", word, "--index", "0")
        assert answer["code"] == -7, (what, answer)
    for word in ("!", "a" * 10, base64.b64encode(b"[" * 5000).decode()):
        assert hwi(ledger, "displayaddress", "--registration", word, "--index", "0")["code"] == -7
    assert hwi(ledger, "displayaddress", "--registration", text)["code"] == -7
    assert hwi(ledger, "displayaddress", "--path", "m/84h/1h/0h/0/0", "--index", "3")["code"] == -7


def test_what_cannot_be_registered(hwi: Hwi, ledger: LedgerSimulator) -> None:
    account = account_with(hwi, ledger)
    assert hwi(ledger, "registerdescriptor", "x" * 65, account.descriptor())["code"] == -19
    assert hwi(ledger, "registerdescriptor", "Vault", account.descriptor(0))["code"] == -7
    strangers = f"wsh(multi(1,{','.join('[{}]{}/<0;1>/*'.format(*cosigner(number)) for number in (1, 2))}))"
    assert hwi(ledger, "registerdescriptor", "Vault", strangers)["code"] == -7
    ledger.human = reject()
    assert hwi(ledger, "registerdescriptor", "Vault", account.descriptor())["code"] == -14


def test_an_unregistered_address_is_refused(hwi: Hwi, ledger: LedgerSimulator) -> None:
    account = account_with(hwi, ledger)
    one = f"wsh(sortedmulti(2,{','.join(f'[{origin}]{xpub}/0/7' for origin, xpub in account.cosigners)}))"
    assert hwi(ledger, "displayaddress", "--desc", one)["code"] == -7
    assert hwi(ledger, "displayaddress", "--desc", account.descriptor())["code"] == -7


def test_change_that_is_none_is_refused(hwi: Hwi, ledger: LedgerSimulator) -> None:
    account = account_with(hwi, ledger)
    hwi(ledger, "registerdescriptor", "Vault", account.descriptor())
    assert hwi(ledger, "signtx", spending(account, change=(1, 5)))["code"] == -5


@pytest.mark.parametrize("xpubs", [True, False])
def test_a_trezor_needs_no_registration(hwi: Hwi, trezor: TrezorSimulator, xpubs: bool) -> None:
    """It signs any multisig; change is known by the extended keys in the PSBT, and shown without them."""
    account = account_with(hwi, trezor)
    assert hwi(trezor, "registerdescriptor", "Vault", account.descriptor())["code"] == -9
    before = len(trezor.pages)
    signed = hwi(trezor, "signtx", spending(account, xpubs=xpubs))
    assert signed["signed"] is True
    assert (str(account.address(1, 4))[:16] in shown(trezor, before)) is not xpubs


def test_a_trezor_shows_multisig_addresses(hwi: Hwi, trezor: TrezorSimulator) -> None:
    account = account_with(hwi, trezor)
    keys = ",".join(f"[{origin}]{xpub}/0/3" for origin, xpub in account.cosigners)
    bare = ",".join(f"[{origin}]{key.hex()}" for key, origin in account.keys(0, 3).items())
    for inside in (keys, bare):
        answer = hwi(trezor, "displayaddress", "--desc", f"wsh(sortedmulti(2,{inside}))")
        assert answer == {"address": str(account.address(0, 3))}
        assert str(account.address(0, 3))[:16] in shown(trezor, 0)
    for form in ("sh(wsh(multi(2,{})))", "sh(multi(2,{}))"):
        assert "address" in hwi(trezor, "displayaddress", "--desc", form.format(keys))
    policy = f"wsh(and_v(v:pk({keys.split(',')[0]}),pk({keys.split(',')[1]})))"
    assert hwi(trezor, "displayaddress", "--desc", policy)["code"] == -9
    swapped = account_with(hwi, trezor, others=(1, 3))
    assert swapped.address(0, 3) != account.address(0, 3)
