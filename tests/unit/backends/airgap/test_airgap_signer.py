"""A device that is never connected: its export, the file that goes out, the answer that comes back, QR codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.airgap import AirgapBackend, bbqr, qr, ur
from bursar.backends.airgap.public_keys import PublicKeys
from bursar.backends.airgap.signer import from_texts, read_psbt
from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.psbt import Psbt
from bursar.crypto.secret import Secret
from bursar.errors import (
    ConflictError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
)
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of
from bursar.signing.conformance.questions import question as made
from bursar.signing.protocols import DeviceEvent, SecretRequest, SignerInfo
from bursar.signing.registry import Registry

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PATHS = [DerivationPath.from_text(f"m/{purpose}h/1h/0h") for purpose in (44, 49, 84, 86)]


class Carrier:
    """The human: takes the file that went out to the device and says where the answer is."""

    def __init__(self, folder: Path, answer: Any) -> None:
        self.folder, self.answer, self.heard = folder, answer, list[str]()

    def ask(self, request: SecretRequest) -> Secret:
        assert request.kind == "file"
        out = max(self.folder.glob("outbox/*.psbt"), key=lambda path: path.stat().st_mtime_ns)
        answer = self.answer(Psbt.parse(out.read_bytes()))
        if answer is None:
            return Secret(b"")
        back = self.folder / "back"
        back.write_bytes(answer)
        return Secret.from_text(f" {back} ")

    def notify(self, event: DeviceEvent) -> None:
        self.heard.append(event.text)


@pytest.fixture
def device() -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))


@pytest.fixture
def export(device: SoftwareSigner, tmp_path: Path) -> Path:
    path = tmp_path / "export.txt"
    path.write_text(
        "".join(f"wpkh([{device.info.fingerprint}/{str(at)[2:]}]{device.xpub(at)}/<0;1>/*)\n" for at in PATHS)
    )
    return path


@pytest.fixture
def backend(tmp_path: Path, export: Path) -> AirgapBackend:
    with_one = AirgapBackend(tmp_path / "airgap")
    with_one.add("cold", export)
    return with_one


def opened(backend: AirgapBackend, tmp_path: Path, answer: Any) -> Any:
    (info,) = backend.discover()
    return backend.open(info, Carrier(tmp_path / "airgap", answer))


def question(signer: Any, scheme: Scheme) -> Psbt:
    account = account_of(signer, Profile(), scheme)
    return made([Spend(account), Spend(account, 1, 5)], change=account)


FORMS = {
    "binary": lambda psbt: psbt.serialize(),
    "base64": lambda psbt: str(psbt).encode() + b"\n",
    "ur": lambda psbt: "\n".join(ur.encode(psbt.serialize(), most=60)).encode(),
    "bbqr": lambda psbt: "\n".join(bbqr.encode(psbt.serialize(), characters=120)).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("final", [False, True])
def test_what_comes_back_is_taken_over_and_checked(
    backend: AirgapBackend, device: SoftwareSigner, tmp_path: Path, form: str, scheme: Scheme, final: bool
) -> None:
    def sign(psbt: Psbt) -> bytes:
        signed = device.sign_psbt(psbt)
        return FORMS[form](finalize(signed) if final else signed)  # type: ignore[no-any-return]

    signer = opened(backend, tmp_path, sign)
    answer = request_signatures(signer, question(signer, scheme))
    assert finalize(answer).inputs[0].is_final
    assert "bursar airgap show" in signer._prompt.heard[0]


def test_nothing_or_something_else_comes_back(backend: AirgapBackend, device: SoftwareSigner, tmp_path: Path) -> None:
    signer = opened(backend, tmp_path, lambda psbt: None)
    with pytest.raises(SignerUnavailableError, match="is kept"):  # a signature may exist: no refusal
        request_signatures(signer, question(signer, Scheme.BIP84))
    signer = opened(backend, tmp_path, lambda psbt: b"\xff\xfe garbage")
    with pytest.raises(SignerUnavailableError, match="look again"):
        request_signatures(signer, question(signer, Scheme.BIP84))
    other = question(signer, Scheme.BIP86).serialize()
    for answer in (lambda psbt: other, lambda psbt: psbt.serialize()):
        signer = opened(backend, tmp_path, answer)
        with pytest.raises(SignerMisbehavedError):
            request_signatures(signer, question(signer, Scheme.BIP84))
    signer.close()
    with pytest.raises(SignerUnavailableError):
        signer.xpub(PATHS[0])


def test_keys_are_those_exported_and_below(backend: AirgapBackend, device: SoftwareSigner, tmp_path: Path) -> None:
    signer = opened(backend, tmp_path, None)
    assert signer.info.fingerprint == device.info.fingerprint
    for at in (PATHS[2], PATHS[3] / 0 / 7):
        assert signer.xpub(at).key == device.xpub(at).key
    with pytest.raises(InvalidInputError, match="only for m/44h"):
        signer.xpub(DerivationPath.from_text("m/84h/1h/1h"))
    assert Registry([backend]).find("airgap:cold").fingerprint == device.info.fingerprint
    wrong = SignerInfo("airgap", signer.info.location, "airgap", fingerprint=type(device.info.fingerprint)(b"\1\2\3\4"))
    with pytest.raises(SignerError):
        backend.open(wrong, Carrier(tmp_path, None))


def test_a_generic_wallet_export(device: SoftwareSigner) -> None:
    document = {
        "chain": "XTN",
        "xfp": str(device.info.fingerprint).upper(),
        "account": 0,
        "bip84": {"name": "p2wpkh", "deriv": "m/84'/1'/0'", "xpub": str(device.xpub(PATHS[2]))},
        "bip48_2": {"name": "p2wsh", "deriv": "m/48'/1'/0'/2'"},
    }
    keys = PublicKeys.from_export(json.dumps(document))
    assert keys.xpubs == {PATHS[2]: device.xpub(PATHS[2])}


def test_exports_that_are_refused(export: Path, device: SoftwareSigner, backend: AirgapBackend, tmp_path: Path) -> None:
    good = export.read_text()
    fingerprint = str(device.info.fingerprint)
    first, second = (str(device.xpub(at)) for at in PATHS[:2])
    for text in (
        "",
        "hello",
        "{",
        "{}",
        '{"a":' * 20,
        '{"xfp": "zz", "bip84": {"deriv": 1, "xpub": 2}}',
        good + good.replace(fingerprint, "00000001"),
        good.replace(fingerprint, "00000000"),
        good.replace("84h/1h/0h", "84h/1h/1h"),
        good.replace(second, first),
    ):
        with pytest.raises(InvalidInputError):
            PublicKeys.from_export(text)
    for raw in (b"\xff\xfe", b"x" * 1_000_001):
        export.write_bytes(raw)
        with pytest.raises(InvalidInputError):
            backend.add("other", export)
    export.write_text(good)
    with pytest.raises(ConflictError):
        backend.add("cold", export)
    with pytest.raises(InvalidInputError):
        backend.add("../cold", export)
    (tmp_path / "airgap" / "bad.txt").write_text("nothing")
    broken = next(info for info in backend.discover() if info.label == "bad")
    assert "names no" in (broken.trouble or "")


@pytest.mark.parametrize("form", ["bbqr", "ur"])
def test_through_drawn_and_photographed_codes(
    backend: AirgapBackend, device: SoftwareSigner, tmp_path: Path, form: str
) -> None:
    pytest.importorskip("segno", reason="segno is not installed")
    pytest.importorskip("zxingcpp", reason="zxing-cpp is not installed")
    psbt = question(opened(backend, tmp_path, None), Scheme.BIP84)
    raw = psbt.serialize()
    texts = bbqr.encode(raw, characters=160) if form == "bbqr" else ur.encode(raw, most=60, extra=3)
    assert len(texts) > 2
    (tmp_path / "codes.gif").write_bytes(qr.gif(texts))
    seen = qr.read(tmp_path / "codes.gif")
    assert seen == texts
    assert from_texts(seen).serialize() == raw
    (tmp_path / "one.png").write_bytes(qr.png(texts[0]))
    assert qr.read(tmp_path / "one.png") == texts[:1]
    lines = qr.terminal(texts[0]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set("".join(lines)) <= set(" ▄▀█")


def test_what_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zxingcpp", reason="zxing-cpp is not installed")
    (tmp_path / "e.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InvalidInputError) as caught:  # not handed to a program that runs it
        qr.read(tmp_path / "e.png")
    assert type(caught.value.__cause__).__name__ == "UnidentifiedImageError"
    (tmp_path / "many.gif").write_bytes(qr.gif(["A", "B", "C"]))
    monkeypatch.setattr(qr, "_MOST_PIXELS_IN_ALL", 50_000)
    with pytest.raises(InvalidInputError, match="larger"):
        qr.read(tmp_path / "many.gif")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(InvalidInputError):
        qr.read(tmp_path / "x.png")
    with pytest.raises(FileNotFoundError):
        qr.read(tmp_path / "absent.png")
    with pytest.raises(InvalidInputError):
        qr.png("x" * 8000)
    (tmp_path / "y").write_bytes(b"\xff\xff")
    with pytest.raises(InvalidInputError):
        read_psbt(tmp_path / "y")
