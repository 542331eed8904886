"""The Bitcoin app's signer against the simulated app, and against one that lies on the wire."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Lie
from bursar_devices.ledger import LedgerSimulator

from bursar.backends.ledger import LedgerBackend, places
from bursar.backends.ledger.bitcoin_document import document_for
from bursar.backends.ledger.bitcoin_spends import single_key_spends
from bursar.backends.ledger.signer import LedgerBitcoinSigner
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.psbt.rules import read_map, write_map
from bursar.errors import (
    InvalidInputError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import confirm_address, request_message, request_signatures
from bursar.signing.conformance import CASES, Case, Profile, run_case
from bursar.signing.conformance.questions import Spend, account_of, question, stranger
from bursar.signing.protocols import AddressDisplay, MessageSigner, PsbtSigner, SignerInfo

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

SCHEMES = tuple(Scheme)
PROFILE = Profile(network=Network.TESTNET)
Transport = Any


@pytest.fixture
def simulator() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(app="Bitcoin Test", human=humans.approve()) as running:
        yield running


@pytest.fixture
def backend(tmp_path: Path) -> LedgerBackend:
    return LedgerBackend(locks=tmp_path, human_seconds=20, device_seconds=5)


@pytest.fixture
def signer(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> Iterator[LedgerBitcoinSigner]:
    opened = opened_at(simulator, backend, human)
    yield opened
    opened.close()


def opened_at(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> LedgerBitcoinSigner:
    opened = backend.open(SignerInfo("ledger", simulator.location, "Ledger emulator", emulated=True), human)
    assert isinstance(opened, LedgerBitcoinSigner)
    return opened


def account(signer: LedgerBitcoinSigner, scheme: Scheme = Scheme.BIP84, number: int = 0) -> BitcoinAccount:
    return account_of(signer, PROFILE, scheme, number=number)


def test_it_is_what_its_app_can_do(signer: LedgerBitcoinSigner) -> None:
    assert isinstance(signer, PsbtSigner)
    assert isinstance(signer, MessageSigner)
    assert isinstance(signer, AddressDisplay)
    assert not hasattr(signer, "sign_transaction")
    assert signer.info.firmware == "Bitcoin Test 2.4.6"
    assert signer.info.fingerprint is not None


# the ethereum account asked for there is another app's
@pytest.mark.parametrize("case", [case for case in CASES if case.name != "xpubs-agree"], ids=lambda case: case.name)
def test_it_conforms(case: Case, simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> None:
    run_case(case, lambda: opened_at(simulator, backend, human), profile=PROFILE)


def test_keys_agree_with_the_seed(signer: LedgerBitcoinSigner, human: Any) -> None:
    for scheme in SCHEMES:
        home = account(signer, scheme)
        assert signer.xpub(home.origin.path / 1 / 5) == home.xpub.derive((1, 5))
    assert human.events == []


def test_a_key_off_the_beaten_track_is_shown_first(signer: LedgerBitcoinSigner, human: Any) -> None:
    path = DerivationPath.from_text("m/48h/1h/0h/7h")
    assert signer.xpub(path).depth == 4
    assert human.kinds == ["confirm"]
    assert signer.xpub(path).depth == 4
    assert human.kinds == ["confirm"]


@pytest.mark.parametrize(("path", "app"), [("m/84h/0h/0h", "Bitcoin"), ("m/44h/60h/0h", "Ethereum")])
def test_keys_of_other_apps_are_not_asked_for(signer: LedgerBitcoinSigner, path: str, app: str) -> None:
    with pytest.raises(SignerUnavailableError, match=f"open the {app} app") as caught:
        signer.xpub(DerivationPath.from_text(path))
    assert caught.value.code == "signer.app"


def test_many_accounts_and_kinds_in_one_transaction(signer: LedgerBitcoinSigner, human: Any) -> None:
    homes = [account(signer, scheme, number) for scheme in SCHEMES for number in (0, 1)]
    asked = question([Spend(home, number % 2, number) for number, home in enumerate(homes)], change=homes[4])
    signed = request_signatures(signer, asked)
    assert extract(finalize(signed)).inputs
    assert human.kinds.count("confirm") == len(homes)
    assert human.events[0].text == "The Ledger shows this transaction 8 times: now 1."


def test_a_witness_utxo_is_added_for_segwit_and_taken_from_legacy(signer: LedgerBitcoinSigner) -> None:
    asked = question([Spend(account(signer, scheme)) for scheme in SCHEMES])
    for one in asked.inputs[1:]:
        one.witness_utxo = None
    asked.inputs[0].witness_utxo = asked.utxo(0)
    signed = signer.sign_psbt(asked)
    assert asked.inputs[0].witness_utxo is not None
    assert asked.inputs[1].witness_utxo is None
    assert all(one.partial_sigs or one.tap_key_sig for one in signed.inputs)
    assert signed.inputs[1].witness_utxo is None


def test_taproot_needs_no_previous_transaction(signer: LedgerBitcoinSigner) -> None:
    asked = question([Spend(account(signer, Scheme.BIP86), 0, number) for number in range(2)])
    for one in asked.inputs:
        one.non_witness_utxo = None
    assert all(one.tap_key_sig for one in request_signatures(signer, asked).inputs)


def test_foreign_derivations_are_not_ours_and_stay(signer: LedgerBitcoinSigner) -> None:
    home = account(signer)
    theirs = KeyOrigin(Fingerprint(b"\1\2\3\4"), home.path(0, 0))
    asked = question([Spend(home), Spend(home, 0, 1)], change=home)
    asked.inputs[1].bip32_derivations[home.key(0, 1)] = theirs
    asked.outputs[0].bip32_derivations[home.key(1, 9)] = theirs
    signed = signer.sign_psbt(asked)
    assert signed.inputs[1] == asked.inputs[1]
    assert signed.outputs == asked.outputs
    assert home.key(0, 0) in signed.inputs[0].partial_sigs


def test_another_account_that_claims_our_fingerprint_is_not_believed(signer: LedgerBitcoinSigner) -> None:
    home, foreign = account(signer), stranger(PROFILE, Scheme.BIP84)
    asked = question([Spend(home), Spend(replace(foreign, origin=home.origin))])
    with pytest.raises(InvalidInputError, match=r"input 1: it names the key .* which is not ours"):
        signer.sign_psbt(asked)


@pytest.mark.parametrize("path", ["m/84h/1h/101h/0/0", "m/84h/1h/0h/2/0", "m/84h/1h/0h/0", "m/49h/1h/0h/0/0", "m/0/0"])
def test_paths_without_a_default_policy_are_refused_by_name(signer: LedgerBitcoinSigner, path: str) -> None:
    home = account(signer)
    asked = question([Spend(home)])
    origin = KeyOrigin(home.origin.fingerprint, DerivationPath.from_text(path))
    asked.inputs[0].bip32_derivations[home.key(0, 0)] = origin
    with pytest.raises(UnsupportedError, match="psbt input 0 is p2wpkh with a key at m/"):
        signer.sign_psbt(asked)


def test_inputs_of_the_other_network_are_refused_by_app(signer: LedgerBitcoinSigner) -> None:
    home = account(signer)
    asked = question([Spend(home)])
    origin = KeyOrigin(home.origin.fingerprint, DerivationPath.from_text("m/84h/0h/0h/0/0"))
    asked.inputs[0].bip32_derivations[home.key(0, 0)] = origin
    with pytest.raises(SignerUnavailableError, match="open the Bitcoin app"):
        signer.sign_psbt(asked)


def test_too_many_inputs_are_refused_before_the_device(signer: LedgerBitcoinSigner) -> None:
    home = account(signer)
    with pytest.raises(UnsupportedError, match="at most 512"):
        signer.sign_psbt(question([Spend(home)] * 513))


def test_a_legacy_input_without_its_previous_transaction_is_refused(signer: LedgerBitcoinSigner) -> None:
    asked = question([Spend(account(signer, Scheme.BIP44))])
    asked.inputs[0].witness_utxo = asked.utxo(0)
    asked.inputs[0].non_witness_utxo = None
    with pytest.raises(InvalidInputError, match="add it"):
        signer.sign_psbt(asked)


def test_a_refusal_on_the_device_is_the_humans_word(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any
) -> None:
    simulator.human = humans.reject()
    with opened_at(simulator, backend, human) as signer:
        home = account(signer)
        for call in (
            lambda: signer.sign_psbt(question([Spend(home)])),
            lambda: signer.sign_message(home.path(0, 0), b"hello"),
            lambda: signer.display_address(home, 0, 0),
        ):
            with pytest.raises(UserCancelledError):
                call()
        assert signer.xpub(home.path(0, 1))  # a refusal is an answer: the signer stays in step


def test_what_the_device_says_against_a_request_is_kept(signer: LedgerBitcoinSigner) -> None:
    """The vendor's client loses the two bytes behind the status; here they become words."""
    home = account(signer)
    asked = question([Spend(home), Spend(home, 0, 1)])
    assert signer.info.fingerprint is not None
    (spend,), _ = single_key_spends(asked, signer.info.fingerprint, model="x", xpub=signer.xpub)
    maps = maps_of(document_for(asked, spend, signer.info.fingerprint))
    del maps[1][b"\x01"]
    document = b"psbt\xff" + b"".join(map(write_map, maps))
    with pytest.raises(InvalidInputError, match=r"lacks its witness utxo \(status 6a80, detail 0007\)") as caught:
        signer._app.sign_psbt(document, spend.policy, inputs=2, outputs=2)
    assert caught.value.code == "input.signer.refused"
    named = replace(spend.policy, name="savings")
    with pytest.raises(InvalidInputError, match="must have no name"):
        signer._app.sign_psbt(document, named, inputs=2, outputs=2)
    assert request_signatures(signer, asked)  # a refusal is an answer: the signer stays in step


@pytest.mark.parametrize("scheme", SCHEMES)
def test_messages_of_every_scheme(signer: LedgerBitcoinSigner, scheme: Scheme) -> None:
    home = account(signer, scheme)
    for message in (b"", b"hello", b"\xff\x00" * 200):
        request_message(signer, home.path(0, 3), message, public_key=home.key(0, 3))


def test_addresses_are_shown_on_any_test_network(signer: LedgerBitcoinSigner) -> None:
    for scheme in SCHEMES:
        home = account(signer, scheme)
        for network in (Network.TESTNET, Network.REGTEST, Network.SIGNET):
            there = replace(home, network=network)
            assert confirm_address(signer, there, 7, branch=1) == there.address(1, 7)


@pytest.mark.parametrize(
    ("number", "branch", "index"), [(101, 0, 0), (0, 2, 0), (0, 0, 50_001), (0, 0, 1 << 31), (0, -1, 0)]
)
def test_addresses_it_does_not_show(signer: LedgerBitcoinSigner, number: int, branch: int, index: int) -> None:
    home = account(signer)
    if number:
        path = DerivationPath.from_text(f"m/84h/1h/{number}h")
        there = stranger(PROFILE, Scheme.BIP84)
        home = replace(there, origin=KeyOrigin(home.origin.fingerprint, path), xpub=replace(there.xpub, index=path[2]))
    with pytest.raises(UnsupportedError, match="shows no address of"):
        signer.display_address(home, branch, index)


def test_an_account_of_somebody_else_is_not_shown(signer: LedgerBitcoinSigner) -> None:
    foreign = stranger(PROFILE, Scheme.BIP84)
    with pytest.raises(InvalidInputError, match="is not one of this ledger"):
        signer.display_address(foreign, 0, 0)
    claimed = replace(foreign, origin=account(signer).origin)
    with pytest.raises(InvalidInputError, match="is not one of this ledger"):
        signer.display_address(claimed, 0, 0)


def test_one_signer_at_a_time_on_a_device(signer: LedgerBitcoinSigner, backend: LedgerBackend, human: Any) -> None:
    info = backend.locate(signer.info.location)
    assert info is not None
    assert info.trouble_code == "signer.busy"
    with pytest.raises(SignerUnavailableError, match="this program is using it"):
        backend.open(signer.info, human)
    signer.close()
    signer.close()
    backend.open(signer.info, human).close()
    with pytest.raises(SignerUnavailableError, match="open it again"):
        signer.xpub(DerivationPath.from_text("m/84h/1h/0h"))
    with pytest.raises(TypeError):
        signer.__reduce__()


LIES = {
    Lie.WRONG_KEY: "is another|is not",
    Lie.WRONG_SIGNATURE: "wrong|not fit",
    Lie.HIGH_S: "high|wrong",
    Lie.CHANGED_TRANSACTION: "wrong",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_simulator_is_caught(lie: Lie, simulator: LedgerSimulator, signer: LedgerBitcoinSigner) -> None:
    home = account(signer)
    asked = question([Spend(home), Spend(home, 1, 1)], change=home)
    simulator.lies.add(lie)
    with pytest.raises(SignerMisbehavedError, match=LIES[lie]):
        request_signatures(signer, asked)


def test_a_wrong_address_is_caught(simulator: LedgerSimulator, signer: LedgerBitcoinSigner) -> None:
    home = account(signer)
    simulator.lies.add(Lie.WRONG_ADDRESS)
    with pytest.raises(SignerMisbehavedError):
        confirm_address(signer, home, 0)


class Meddler:
    """The wire to a device, with ``meddle`` changing what it yields: one reply in, the replies to give instead."""

    def __init__(self, inner: Transport, meddle: Callable[[bytes], list[bytes]]) -> None:
        self._inner = inner
        self._meddle = meddle
        self._replies: list[bytes] = []
        self._swallow = 0
        self.sent = 0

    def send(self, message: bytes, *, deadline: float) -> None:
        self.sent += 1
        if not self._replies:
            self._inner.send(message, deadline=deadline)

    def receive(self, *, deadline: float) -> bytes:
        if self._replies:
            return self._replies.pop(0)
        reply = self._inner.receive(deadline=deadline)
        if reply[-2:] != b"\xe0\0" or reply[:1] != b"\x10":
            return reply
        self._replies = self._meddle(reply)
        while not self._replies:  # nothing is handed on: the device is told to go on all the same
            self._inner.send(bytes.fromhex("f801000000"), deadline=deadline)
            reply = self._inner.receive(deadline=deadline)
            if reply[:1] != b"\x10":
                return reply
            self._replies = self._meddle(reply)
        return self._replies.pop(0)

    def close(self) -> None:
        self._inner.close()


def yielded(index: int, key: bytes, signature: bytes) -> bytes:
    return b"\x10" + bytes((index, len(key))) + key + signature + b"\xe0\0"


def taken(reply: bytes) -> tuple[int, bytes, bytes]:
    size = reply[2]
    return reply[1], reply[3 : 3 + size], reply[3 + size : -2]


def changed(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(index, key, signature[:20] + bytes((signature[20] ^ 1,)) + signature[21:])]


def other_key(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(index, key[:-1] + bytes((key[-1] ^ 1,)), signature)]


def other_input(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(1 - index, key, signature)]


def foreign_input(reply: bytes) -> list[bytes]:
    return [yielded(2, *taken(reply)[1:])]


def no_such_input(reply: bytes) -> list[bytes]:
    return [yielded(77, *taken(reply)[1:])]


def twice(reply: bytes) -> list[bytes]:
    return [reply, reply]


def nothing(reply: bytes) -> list[bytes]:
    return []


def first_only(reply: bytes) -> list[bytes]:
    return [reply] if taken(reply)[0] == 0 else []


def script_path(reply: bytes) -> list[bytes]:
    index, _, signature = taken(reply)
    return [yielded(index, bytes(64), signature)]


def short_key(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(index, key[:20], signature)]


def no_signature(reply: bytes) -> list[bytes]:
    index, key, _ = taken(reply)
    return [yielded(index, key, b"")]


def long_signature(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(index, key, signature + bytes(40))]


def other_hash_type(reply: bytes) -> list[bytes]:
    index, key, signature = taken(reply)
    return [yielded(index, key, signature[:-1] + b"\x02")]


def nonce(reply: bytes) -> list[bytes]:
    return [b"\x10\xff" + b"\xff" * 4 + bytes(4) + b"\0" + bytes(66 + 33 + 33) + b"\xe0\0"]


def unknown_object(reply: bytes) -> list[bytes]:
    return [b"\x10\xfe\1\0\0\xf0\0junk\xe0\0"]


def empty(reply: bytes) -> list[bytes]:
    return [b"\x10\xe0\0"]


def unknown_command(reply: bytes) -> list[bytes]:
    return [b"\x77junk\xe0\0"]


def empty_command(reply: bytes) -> list[bytes]:
    return [b"\xe0\0"]


def unknown_preimage(reply: bytes) -> list[bytes]:
    return [b"\x40\0" + bytes(32) + b"\xe0\0"]


def truncated_command(reply: bytes) -> list[bytes]:
    return [b"\x41" + bytes(10) + b"\xe0\0"]


HOSTILE = [
    changed,
    other_key,
    other_input,
    foreign_input,
    no_such_input,
    twice,
    nothing,
    first_only,
    script_path,
    short_key,
    no_signature,
    long_signature,
    other_hash_type,
    nonce,
    unknown_object,
    empty,
    unknown_command,
    empty_command,
    unknown_preimage,
    truncated_command,
]


@pytest.mark.parametrize("scheme", [Scheme.BIP84, Scheme.BIP86])
@pytest.mark.parametrize("meddle", HOSTILE, ids=lambda meddle: meddle.__name__)
def test_a_hostile_device_gives_nothing_that_is_taken(
    meddle: Callable[[bytes], list[bytes]],
    scheme: Scheme,
    simulator: LedgerSimulator,
    backend: LedgerBackend,
    human: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = places.TcpTransport.connect
    monkeypatch.setattr(
        places.TcpTransport, "connect", lambda host, port, *, seconds: Meddler(honest(host, port), meddle)
    )
    with opened_at(simulator, backend, human) as signer:
        home = account(signer, scheme)
        asked = question([Spend(home), Spend(home, 1, 1), Spend(stranger(PROFILE, scheme))])
        with pytest.raises(SignerMisbehavedError):
            request_signatures(signer, asked)
        if meddle not in (changed, other_hash_type):  # those only the checks can see
            with pytest.raises(SignerUnavailableError, match="open it again"):
                signer.xpub(DerivationPath.from_text("m/84h/1h/0h/0/9"))


def test_questions_without_end_have_an_end(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = places.TcpTransport.connect
    wires: list[Any] = []

    class Endless(Meddler):
        stuck: bytes | None = None

        def send(self, message: bytes, *, deadline: float) -> None:
            self.sent += 1
            if self.stuck is None:
                self._inner.send(message, deadline=deadline)

        def receive(self, *, deadline: float) -> bytes:
            if self.stuck is None:
                reply = self._inner.receive(deadline=deadline)
                if reply[-2:] == b"\xe0\0":
                    self.stuck = reply
                return reply
            return self.stuck

    def connect(host: str, port: int, *, seconds: float) -> Endless:
        wires.append(Endless(honest(host, port), changed))
        return wires[-1]

    monkeypatch.setattr(places.TcpTransport, "connect", connect)
    with opened_at(simulator, backend, human) as signer:
        home = account(signer)
        begun = time.monotonic()
        with pytest.raises(SignerMisbehavedError, match="without end"):
            signer.sign_psbt(question([Spend(home)]))
        assert time.monotonic() - begun < 30
        assert wires[-1].sent < 10_000


def test_a_device_that_stops_answering_is_left(simulator: LedgerSimulator, tmp_path: Path, human: Any) -> None:
    simulator.human = None  # nobody presses
    backend = LedgerBackend(locks=tmp_path, human_seconds=0.3, device_seconds=5)
    with opened_at(simulator, backend, human) as signer:
        home = account(signer)
        with pytest.raises(SignerUnavailableError, match="did not answer in time"):
            signer.sign_message(home.path(0, 0), b"hello")
        with pytest.raises(SignerUnavailableError, match="open it again"):
            signer.xpub(home.path(0, 0))


def test_a_documents_map_is_what_the_vendors_own_conversion_makes(signer: LedgerBitcoinSigner) -> None:
    """Ours and the vendor's PSBT of version 2 say the same, field by field, where nothing had to be left out."""
    from ledger_bitcoin.psbt import PSBT

    fingerprint = signer.info.fingerprint
    assert fingerprint is not None
    for scheme in SCHEMES:
        home = account(signer, scheme)
        asked = question([Spend(home, number % 2, number) for number in range(3)], change=home, locktime=800_000)
        (spend,), others = single_key_spends(asked, fingerprint, model="x", xpub=signer.xpub)
        assert others == []
        theirs = PSBT()
        theirs.deserialize(str(asked))
        theirs.convert_to_v2()
        ours = document_for(asked, spend, fingerprint)
        assert maps_of(ours) == maps_of(base64.b64decode(theirs.serialize()))
        again = PSBT()
        again.deserialize(base64.b64encode(ours).decode())
        assert maps_of(base64.b64decode(again.serialize())) == maps_of(ours)


def maps_of(document: bytes) -> list[dict[bytes, bytes]]:
    maps, at = [], 5
    while at < len(document):
        fields, at = read_map(document, at, [None] * 256, "map")
        maps.append(fields)
    return maps


def test_the_answer_is_a_copy(signer: LedgerBitcoinSigner) -> None:
    asked = question([Spend(account(signer))])
    before = asked.serialize()
    signed = signer.sign_psbt(asked)
    assert asked.serialize() == before
    assert isinstance(signed, Psbt)
