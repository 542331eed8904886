"""A signer, accounts of one key and of several, questions to put to them, and a wallet over a small chain in memory."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.accounts import ScriptAccount, account_of_descriptor
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt, create, update_input, update_output
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import sha256
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question, stranger

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

UNIT = Path(__file__).resolve().parents[1] / "unit"
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"


def borrowed(name: str, path: Path) -> ModuleType:
    """Fixtures of another folder's tests."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_wallets = borrowed("bursar_safety_wallets", UNIT / "wallet" / "conftest.py")
fakes, policy, wallet, bitcoin, funded = (
    _wallets.fakes,
    _wallets.policy,
    _wallets.wallet,
    _wallets.bitcoin,
    _wallets.funded,
)
_lines = borrowed("bursar_safety_lines", UNIT / "cli" / "conftest.py")
furnished, nothing, empty = _lines.furnished, _lines.nothing, _lines.empty
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def line(furnished: Path, tmp_path: Path) -> Any:
    """The command line with a restored wallet: accounts ``savings`` (BIP-84), ``vault`` (BIP-86) and ``gas``."""
    import shutil

    shutil.copytree(furnished, tmp_path / "home")
    return _lines.CommandLine(tmp_path / "home")


class Spy:
    """A signer that does what it is asked and counts how often."""

    def __init__(self, signer: SoftwareSigner) -> None:
        self._signer = signer
        self.info = signer.info
        self.asked = 0

    def xpub(self, path: DerivationPath) -> Any:
        return self._signer.xpub(path)

    def close(self) -> None: ...

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        self.asked += 1
        return self._signer.sign_psbt(psbt)


@pytest.fixture
def signer() -> Iterator[SoftwareSigner]:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as made:
        yield made


@pytest.fixture
def account(signer: SoftwareSigner) -> Callable[..., BitcoinAccount]:
    """The signer's account of a scheme, on regtest."""
    return lambda scheme=Scheme.BIP84, number=0: account_of(signer, Profile(), scheme, number=number)


@pytest.fixture
def ask(account: Callable[..., BitcoinAccount]) -> SimpleNamespace:
    """``one(scheme)``: a PSBT of one input and change; ``question(*spends)`` of ``spend(...)``; a ``stranger``."""
    return SimpleNamespace(
        question=question,
        spend=lambda scheme=Scheme.BIP84, branch=0, index=0: Spend(account(scheme), branch, index),
        stranger=lambda scheme=Scheme.BIP84: Spend(stranger(Profile(), scheme)),
        one=lambda scheme=Scheme.BIP84, **options: question(
            [Spend(account(scheme))], **{"change": account(scheme), **options}
        ),
    )


@pytest.fixture
def refused(signer: SoftwareSigner, account: Callable[..., BitcoinAccount]) -> Callable[..., str]:
    """``refused(psbt, code)``: at the library's door, before the signer hears of it; the words of the refusal."""

    def refuse(psbt: Psbt, code: str, *, by: SoftwareSigner = signer, **options: Any) -> str:
        spy = Spy(by)
        with pytest.raises(InvalidInputError) as caught:
            request_signatures(spy, psbt, **{"account": account(), **options})
        assert caught.value.code == f"input.psbt.{code}", caught.value.message
        assert spy.asked == 0, "the signer was asked"
        return caught.value.message

    return refuse


@pytest.fixture
def rebuilt() -> Callable[..., Psbt]:
    """The same fields around another transaction: ``rebuilt(psbt, outputs=..., inputs=..., version=..., ...)``."""

    def rebuild(psbt: Psbt, **changes: Any) -> Psbt:
        tx = psbt.tx
        parts = {"version": tx.version, "inputs": tx.inputs, "outputs": tx.outputs, "locktime": tx.locktime, **changes}
        made = Psbt(Transaction(parts["version"], parts["inputs"], parts["outputs"], parts["locktime"]))
        for new, old in zip((*made.inputs, *made.outputs), (*psbt.inputs, *psbt.outputs), strict=False):
            new.fields.update(old.fields)
        return made

    return rebuild


class Party:
    """Signers A, B, C and the stranger X, and accounts over their keys: ``wsh(sortedmulti(2,@A,@B,@C))``."""

    def __init__(self) -> None:
        self.signers: dict[str, SoftwareSigner] = {}
        self.names: dict[str, str] = {}
        for name in "ABCX":
            root = ExtendedPrivateKey.from_seed(b"safety" + name.encode() * 26, testnet=True)
            one = self.signers[name] = SoftwareSigner(root)
            self.names[name] = f"[{root.fingerprint}{HOME.suffix()}]{one.xpub(HOME)}/<0;1>/*"

    def text(self, template: str) -> str:
        for name, key in self.names.items():
            template = template.replace(f"@{name}", key)
        return template

    def account(self, template: str) -> ScriptAccount:
        return account_of_descriptor(self.text(template), Network.REGTEST)

    def question(self, account: ScriptAccount, *, change: ScriptAccount | None = None, index: int = 3) -> Psbt:
        """Two coins of ``account``; 40,000 sat go out, 59,000 sat return to ``change``, by default the same account."""
        change = change or account
        coins = [
            Transaction(
                2,
                [TxIn(OutPoint(Txid(sha256(b"%d" % number)), 0), b"\x51")],
                [TxOut(Sats(50_000), account.script(0, number))],
            )
            for number in (0, 1)
        ]
        pays = [TxOut(Sats(40_000), p2wpkh(bytes(20))), TxOut(Sats(59_000), change.script(1, index))]
        psbt = create([TxIn(OutPoint(coin.txid, 0), b"", 0xFFFFFFFD) for coin in coins], pays, version=0)
        for number, coin in enumerate(coins):
            update_input(psbt, number, previous=coin, spending=account.spending(0, number))
        update_output(psbt, 1, change.spending(1, index))
        return psbt

    def origin(self, name: str) -> KeyOrigin:
        fingerprint = self.signers[name].info.fingerprint
        assert fingerprint is not None
        return KeyOrigin(fingerprint, HOME)


@pytest.fixture(scope="session")
def party() -> Party:
    return Party()
