"""``bursar airgap``: add a device by its export, show a PSBT as QR codes, read them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.backends.airgap import bbqr, qr, ur
from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.psbt import Psbt
from bursar.errors import InvalidInputError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question

OTHERS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@pytest.fixture
def device() -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(OTHERS))


@pytest.fixture
def payment(device: SoftwareSigner, tmp_path: Path) -> Path:
    account = account_of(device, Profile(), Scheme.BIP84)
    path = tmp_path / "payment.psbt"
    path.write_bytes(question([Spend(account)], change=account).serialize())
    return path


def test_from_its_export_to_an_account(wallet: Any, device: SoftwareSigner, tmp_path: Path) -> None:
    at = DerivationPath.from_text("m/84h/1h/0h")
    export = tmp_path / "export.txt"
    export.write_text(f"wpkh([{device.info.fingerprint}/84h/1h/0h]{device.xpub(at)}/<0;1>/*)")
    added = wallet.json("airgap", "add", "cold", str(export))
    assert added == {"signer": "airgap:cold", "fingerprint": str(device.info.fingerprint)}
    record = wallet.json("account", "add", "frozen", "--signer", "airgap:cold")["account"]
    assert record["signer"] == str(device.info.fingerprint)
    assert "airgap:cold" in wallet.text("devices")
    with pytest.raises(InvalidInputError, match="export"):
        wallet.text("account", "add", "other", "--signer", "airgap:cold", "--number", "3")


@pytest.mark.parametrize(("form", "read"), [("bbqr", bbqr.decode), ("ur", ur.decode)])
def test_as_texts(wallet: Any, payment: Path, form: str, read: Any) -> None:
    shown = wallet.json("airgap", "show", str(payment), "--format", form, "--characters", "120")
    assert shown["format"] == form
    assert read(shown["parts"]) == payment.read_bytes()
    assert max(map(len, shown["parts"])) <= 160


def test_as_pictures_and_back(wallet: Any, payment: Path, tmp_path: Path) -> None:
    pytest.importorskip("zxingcpp", reason="zxing-cpp is not installed")
    gif, out = tmp_path / "out.gif", tmp_path / "back.psbt"
    assert "QR codes in" in wallet.text("airgap", "show", str(payment), "--gif", str(gif), "--characters", "200")
    wallet.text("airgap", "scan", str(gif), "-o", str(out), "--binary")
    assert out.read_bytes() == payment.read_bytes()
    answer = wallet.json("airgap", "scan", str(gif))
    assert Psbt.from_text(answer["psbt"]).serialize() == payment.read_bytes()
    blank = tmp_path / "blank.png"
    blank.write_bytes(qr.png("HELLO"))
    with pytest.raises(InvalidInputError):
        wallet.text("airgap", "scan", str(blank))
    with pytest.raises(InvalidInputError, match="terminal"):
        wallet.text("airgap", "show", str(payment))
