"""Wallets on a Trezor in memory: passphrases, PINs, and the fingerprint they are held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trezorlib import messages

from bursar.backends.trezor.backend import TrezorBackend
from bursar.backends.trezor.exchange import one
from bursar.backends.trezor.passphrase import HostPassphrase, NoPassphrase, PassphraseOnDevice
from bursar.backends.trezor.places import Place
from bursar.backends.trezor.session import Session, Wallet
from bursar.backends.trezor.signer import TrezorEthereumSigner, TrezorSigner
from bursar.crypto.secret import Secret
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
)
from bursar.keys.origin import Fingerprint
from bursar.keys.path import DerivationPath
from bursar.signing.protocols import AddressDisplay, EthereumSigner, MessageSigner, PsbtSigner, SignerInfo

Connect = Callable[..., Session]
PLAIN = Fingerprint.from_text("5c9e228d")
ACCOUNT = DerivationPath.from_text("m/84h/0h/0h")


def host(text: str) -> HostPassphrase:
    return HostPassphrase(Secret.from_text(text))


@pytest.fixture
def backend(trezor: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrezorBackend]:
    monkeypatch.setattr(
        "bursar.backends.trezor.places.place_of",
        lambda location: Place(location, "Trezor", trezor) if location == trezor.location else None,
    )
    return lambda **options: TrezorBackend(locks=tmp_path / "locks", pairings=tmp_path / "pairings", **options)


def info(trezor: Any, **more: Any) -> SignerInfo:
    return SignerInfo("trezor", trezor.location, "Trezor One", **more)


def test_no_passphrase_is_asked_for_where_they_are_off(connect: Connect, human: Any) -> None:
    assert Wallet(connect()).fingerprint == PLAIN
    assert human.asked == []


def test_a_passphrase_is_asked_for_and_not_trimmed(connect: Connect, trezor: Any, human: Any) -> None:
    trezor.features["passphrase_protection"] = True
    found = {}
    for typed in ("", "a", " a", "a ", "é", "e\u0301"):
        human.answers = {"passphrase": typed}
        wallet = Wallet(connect())
        found[typed] = wallet.fingerprint
        wallet.close()
    assert found[""] == PLAIN
    assert len({found["a"], found[" a"], found["a "]}) == 3
    assert found["é"] == found["e\u0301"]
    assert [one.kind for one in human.asked] == ["passphrase"] * 6


def test_a_passphrase_is_wiped_when_the_wallet_is_open(connect: Connect, trezor: Any, human: Any) -> None:
    trezor.features["passphrase_protection"] = True
    typed = Secret.from_text("secret")
    human.ask = lambda _: typed
    Wallet(connect())
    with pytest.raises(ValueError):
        typed.expose()


@pytest.mark.parametrize("text", ["x" * 51, "é" * 17])
def test_fifty_bytes_are_the_most_after_normalization(connect: Connect, trezor: Any, text: str) -> None:
    trezor.features["passphrase_protection"] = True
    with pytest.raises(InvalidInputError, match="takes 51 bytes"):
        Wallet(connect(passphrase=host(text)))
    assert "PassphraseAck" not in trezor.types()
    assert not any(text in str(one) for one in trezor.seen)


def test_fifty_bytes_are_accepted(connect: Connect, trezor: Any) -> None:
    trezor.features["passphrase_protection"] = True
    assert Wallet(connect(passphrase=host("x" * 50))).fingerprint != PLAIN


def test_bytes_that_are_no_text_are_refused_and_not_shown(connect: Connect, trezor: Any) -> None:
    trezor.features["passphrase_protection"] = True
    with pytest.raises(InvalidInputError) as caught:
        Wallet(connect(passphrase=HostPassphrase(Secret(b"hush\xff"))))
    assert "hush" not in repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)


def test_choices_that_do_not_fit_the_device_are_refused(connect: Connect, trezor: Any) -> None:
    for choice in (host("a"), PassphraseOnDevice()):
        session = connect(passphrase=choice)
        with pytest.raises(InvalidInputError, match="switched off"):
            Wallet(session)
        session.close()
    trezor.features["passphrase_protection"] = True
    session = connect(passphrase=PassphraseOnDevice())
    with pytest.raises(UnsupportedError, match="cannot be typed on"):
        Wallet(session)
    session.close()
    trezor.features["passphrase_always_on_device"] = True
    session = connect(passphrase=host("a"))
    with pytest.raises(InvalidInputError, match="own screen only"):
        Wallet(session)


def test_on_the_device_nothing_is_sent(connect: Connect, trezor: Any) -> None:
    trezor.features |= {"passphrase_protection": True, "capabilities": [messages.Capability.PassphraseEntry]}
    Wallet(connect(passphrase=PassphraseOnDevice()))
    (ack,) = [one for one in trezor.seen if isinstance(one, messages.PassphraseAck)]
    assert ack.on_device is True
    assert ack.passphrase is None


def test_none_is_chosen_without_a_question(connect: Connect, trezor: Any, human: Any) -> None:
    trezor.features["passphrase_protection"] = True
    assert Wallet(connect(passphrase=NoPassphrase())).fingerprint == PLAIN
    assert human.asked == []


def test_a_device_that_takes_no_passphrase_is_not_believed(connect: Connect, trezor: Any) -> None:
    trezor.features["passphrase_protection"] = True
    trezor.on[messages.GetPublicKey] = lambda request: trezor.public_key(request.address_n)
    with pytest.raises(SignerMisbehavedError, match="asked for no passphrase"):
        Wallet(connect(passphrase=host("a")))


def test_an_evicted_session_is_derived_anew_and_compared(connect: Connect, trezor: Any) -> None:
    wallet = Wallet(connect())
    trezor.sessions.clear()
    trezor.on[messages.GetAddress] = messages.Address(address="1abc")
    assert wallet.run(one(messages.GetAddress(), messages.Address)).address == "1abc"
    assert trezor.types()[-3:] == ["Initialize", "GetPublicKey", "GetAddress"]


def test_a_device_exchanged_behind_our_back_is_noticed(connect: Connect, trezor: Any) -> None:
    wallet = Wallet(connect())
    trezor.sessions.clear()
    trezor.on[messages.GetPublicKey] = lambda request: trezor.public_key(request.address_n, "other")
    with pytest.raises(SignerMisbehavedError, match="exchanged"):
        wallet.run(one(messages.GetAddress(), messages.Address))
    assert "GetAddress" not in trezor.types()
    with pytest.raises(SignerUnavailableError):
        wallet.run(one(messages.GetAddress(), messages.Address))


def test_a_host_passphrase_is_not_kept_for_another_session(connect: Connect, trezor: Any) -> None:
    trezor.features["passphrase_protection"] = True
    wallet = Wallet(connect(passphrase=host("a")))
    trezor.sessions.clear()
    with pytest.raises(SignerUnavailableError, match="forgotten"):
        wallet.run(one(messages.GetAddress(), messages.Address))


def test_two_root_fingerprints_are_not_believed(connect: Connect, trezor: Any) -> None:
    def lying(request: Any) -> Any:
        reply = trezor.public_key(request.address_n)
        reply.root_fingerprint = 1
        return reply

    trezor.on[messages.GetPublicKey] = lying
    with pytest.raises(SignerMisbehavedError):
        Wallet(connect())


def test_open_gives_a_signer_of_what_the_firmware_can(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any
) -> None:
    with backend().open(info(trezor), human) as signer:
        assert type(signer) is TrezorEthereumSigner
        assert isinstance(signer, PsbtSigner | EthereumSigner)
        assert signer.info.fingerprint == PLAIN
        assert signer.info.trouble is None
    trezor.features["capabilities"] = [messages.Capability.Bitcoin]
    with backend().open(info(trezor), human) as signer:
        assert type(signer) is TrezorSigner
        assert not isinstance(signer, EthereumSigner)
        assert isinstance(signer, PsbtSigner) and isinstance(signer, MessageSigner)  # noqa: PT018
        assert isinstance(signer, AddressDisplay)


def test_the_wrong_passphrase_is_told_before_anything_is_shown(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any
) -> None:
    trezor.features["passphrase_protection"] = True
    human.answers = {"passphrase": "wrong"}
    with pytest.raises(SignerError, match="another passphrase") as caught:
        backend().open(info(trezor, fingerprint=PLAIN), human)
    assert caught.value.code == "signer.fingerprint"
    assert not trezor.is_opened
    human.answers = {"passphrase": ""}
    backend().open(info(trezor, fingerprint=PLAIN), human).close()


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({"initialized": False}, "signer.uninitialized"),
        ({"bootloader_mode": True}, "signer.bootloader"),
        ({"internal_model": "T9Z9"}, "signer.unknown"),
        ({"backup_availability": messages.BackupAvailability.Required}, "signer.backup"),
        ({"unfinished_backup": True}, "signer.backup"),
        ({"no_backup": True}, "signer.backup"),
        ({"recovery_status": messages.RecoveryStatus.Recovery}, "signer.uninitialized"),
        ({"minor_version": 9, "patch_version": 0}, "signer.firmware"),
    ],
)
def test_devices_in_no_state_to_sign_are_refused(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any, features: dict[str, Any], code: str
) -> None:
    trezor.features |= features
    with pytest.raises(SignerError) as caught:
        backend().open(info(trezor), human)
    assert caught.value.code == code
    assert not trezor.is_opened
    found = backend().locate(trezor.location)
    assert found is not None
    assert found.trouble_code == code
    assert found.trouble


def test_money_that_hangs_on_one_device_can_be_moved_when_asked_for(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any
) -> None:
    trezor.features["no_backup"] = True
    backend(without_backup=True).open(info(trezor), human).close()


def test_an_advisory_can_be_accepted_by_its_reference(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any
) -> None:
    trezor.features |= {"minor_version": 9, "patch_version": 0}
    backend(accepted=["CVE-2020-14199"]).open(info(trezor), human).close()
    assert any(event.kind == "notice" for event in human.told)


def test_a_locked_device_is_unlocked_by_positions(
    backend: Callable[..., TrezorBackend], trezor: Any, human: Any
) -> None:
    def unlock(_: Any) -> Any:
        trezor.waiting = check
        return messages.PinMatrixRequest(type=messages.PinMatrixRequestType.Current)

    def check(ack: Any) -> Any:
        if ack.pin != "1739":
            return trezor.failure(7, "PIN invalid")
        trezor.features["unlocked"] = True
        return messages.Success(message="")

    trezor.features |= {"pin_protection": True, "unlocked": False}
    trezor.on[messages.ApplyFlags] = unlock
    found = backend().locate(trezor.location)
    assert found is not None
    assert found.trouble_code == "signer.locked"
    assert found.fingerprint is None
    human.answers = {"pin": "1"}
    with pytest.raises(SignerError, match="wrong PIN") as caught:
        backend().open(info(trezor), human)
    assert caught.value.code == "signer.pin"
    assert not caught.value.retryable
    human.answers = {"pin": "1739"}
    backend().open(info(trezor), human).close()


def test_a_key_is_held_to_its_parent(backend: Callable[..., TrezorBackend], trezor: Any, human: Any) -> None:
    with backend().open(info(trezor), human) as signer:
        expected = trezor.public_key(ACCOUNT.indexes).xpub
        assert str(signer.xpub(ACCOUNT)) == expected
        assert str(signer.xpub(DerivationPath.from_text("m"))).startswith("xpub661")
        assert signer.xpub(DerivationPath.from_text("m/44h/1h/0h/0/5")).testnet

        def lying(request: Any) -> Any:
            return trezor.public_key(request.address_n, "other" if len(request.address_n) == 3 else "")

        trezor.on[messages.GetPublicKey] = lying
        with pytest.raises(SignerMisbehavedError, match="does not come from the one above"):
            signer.xpub(ACCOUNT)


def test_a_signer_is_neither_copied_nor_told(backend: Callable[..., TrezorBackend], trezor: Any, human: Any) -> None:
    import pickle

    with backend().open(info(trezor), human) as signer:
        assert "5c9e228d" in repr(signer)
        with pytest.raises(TypeError):
            pickle.dumps(signer)


def test_the_library_logs_no_secret(
    connect: Connect, trezor: Any, human: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    trezor.features["passphrase_protection"] = True
    human.answers = {"passphrase": "hush hush"}
    Wallet(connect())
    logged = caplog.text
    assert "hush" not in logged
    assert b"hush".hex() not in logged
