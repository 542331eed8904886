"""Authorizations, tokens and the vendor's filters of typed data: the backend and the simulator share no code."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bursar_devices.device import Lie
from bursar_devices.humans import approve, reject
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.filter_files import FilterFolder
from bursar.backends.ledger.typed_data_filters import FieldFilter, Filters, Show
from bursar.backends.ledger.vendor_keys import TEST
from bursar.crypto.secp256k1 import ecdsa_recover
from bursar.errors import InvalidInputError, SignerError, SignerMisbehavedError, UnsupportedError, UserCancelledError
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.authorizations import AuthorizationSigner, request_authorization

sys.path.insert(0, str(Path(__file__).parent))
from described import ORDER_FIELDS, PERMIT_FIELDS, field, filters_of, order, permit, tokens

if TYPE_CHECKING:
    from bursar.ethereum.typed_data import TypedData

PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
SENDER = Address.from_text("0x73d0385F4d8E00C5e6504C6030F47BF6212736A8")
SIMPLE = Address.from_text("0x4Cd241E8d1510e30b2076397afc7508Ae59C66c9")
Open = Callable[..., tuple[Any, LedgerSimulator]]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(filters: Any = None, *, known: Any = tokens, **options: Any) -> tuple[Any, LedgerSimulator]:
            chosen = {"mnemonic": " ".join(["all"] * 12), "app": "Ethereum", "human": approve(), "test_keys": True}
            simulator = stack.enter_context(LedgerSimulator(**{**chosen, **options}))
            source = (lambda *_: filters) if isinstance(filters, Filters) else filters
            backend = LedgerBackend(
                locks=tmp_path, tokens=known, filters=source, test_keys=True, device_seconds=5, human_seconds=20
            )
            info = backend.locate(simulator.location)
            assert info is not None
            return stack.enter_context(backend.open(info, BenchPrompt({}))), simulator

        yield opened


def shown(simulator: LedgerSimulator) -> list[str]:
    return [f"{page.title}: {' '.join(page.lines)}".rstrip(": ") for page in simulator.pages]


def signs(signer: Any, typed: TypedData) -> None:
    assert Address.from_public_key(ecdsa_recover(typed.digest(), signer.sign_typed_data(PATH, typed))) == SENDER


def asked(signer: Any, delegate: Address, chain_id: int = 1, **options: Any) -> Any:
    one = Authorization(chain_id, delegate, 7, any_chain=chain_id == 0)
    return request_authorization(
        signer, PATH, one, authority=SENDER, chain_id=1, delegates=(delegate,), any_chain=chain_id == 0, **options
    )


def test_authorizations_for_what_ledger_allows(device: Open) -> None:
    signer, simulator = device(smart_accounts=True, test_keys=False)
    assert isinstance(signer, AuthorizationSigner)
    # as the real app 1.22.0 signed it
    signature = asked(signer, SIMPLE).signature
    assert signature.compact().hex().startswith("1da889af32c3ee128ce29c51f953bd6378cbebd76de9e78d110b24a615fba152")
    assert shown(simulator)[-3:] == ["Delegate to: Simple7702Account", "On network: Ethereum", "Sign operation"]
    asked(signer, Address(bytes(20)))
    assert shown(simulator)[-2:] == ["Revoke on network: Ethereum", "Sign operation"]
    asked(signer, SIMPLE, 0)
    assert shown(simulator)[-2] == "On network: All"
    with pytest.raises(UnsupportedError, match="no delegate that Ledger allows"):
        asked(signer, Address(b"\x42" * 20))


def test_authorizations_that_are_not_signed(device: Open) -> None:
    signer, _ = device()
    for delegate in (SIMPLE, Address(bytes(20))):
        with pytest.raises(UnsupportedError, match="Smart accounts"):
            asked(signer, delegate)
    signer, _ = device(smart_accounts=True, human=reject())
    with pytest.raises(UserCancelledError):
        asked(signer, SIMPLE)
    signer, _ = device(smart_accounts=True, lies={Lie.CHANGED_TRANSACTION})
    with pytest.raises(SignerMisbehavedError):
        asked(signer, SIMPLE)
    signer, _ = device(smart_accounts=True, version="1.21.0")
    with pytest.raises(SignerError) as caught:
        asked(signer, SIMPLE)
    assert caught.value.code == "signer.firmware"


def test_a_token_call_is_shown_by_its_descriptor(device: Open) -> None:
    signer, simulator = device()
    data = bytes.fromhex("095ea7b3") + bytes(12) + b"\x35" * 20 + (15 * 10**5).to_bytes(32, "big")
    tx = UnsignedTransaction(
        type=2, chain_id=137, nonce=7, to=Address(b"\x11" * 20), value=Wei(0), gas_limit=60_000, data=data,
        max_fee_per_gas=Wei(2), max_priority_fee_per_gas=Wei(1),
    )  # fmt: skip
    assert Address.from_public_key(ecdsa_recover(tx.digest(), signer.sign_transaction(PATH, tx))) == SENDER
    assert "Approve: 1.5 USDX" in shown(simulator)
    assert "Network: Polygon" in shown(simulator)


def test_typed_data_by_filters_needs_no_blind_signing(device: Open) -> None:
    signer, simulator = device(filters_of(permit(), "Permit USDX", *PERMIT_FIELDS))
    signs(signer, permit())
    assert shown(simulator) == [
        "Review typed message", "Contract: Permit USDX", "Approve to: 0x22222222222222222 2222222222222222222 2222",
        "Allowance: 1.5 USDX", "Expires: 2030-01-01 12:00:00 AM UTC", "Sign message",
    ]  # fmt: skip
    for model in ("nanosp", "flex"):
        signer, simulator = device(filters_of(order(), "Order", *ORDER_FIELDS), model=model)
        signs(signer, order())
        pages = shown(simulator)
        assert {"Network: Polygon", "Send: 5 USDX", "Receive: Unlimited WETHX", "Tag: a", "Tag: b"} <= set(pages)
        assert not any("Also" in page for page in pages)


FORGED = dataclasses.replace(filters_of(permit(), "Permit", *PERMIT_FIELDS), label="Gift")
UNFIT = {
    "of another chain": (filters_of(permit(chain_id=10), "P", *PERMIT_FIELDS), permit(), tokens),
    "of other types": (filters_of(order(), "P", *ORDER_FIELDS), permit(), tokens),
    "an unknown token": (filters_of(permit(), "P", *PERMIT_FIELDS), permit(), None),
    "a time without a date": (filters_of(permit(), "P", *PERMIT_FIELDS), permit(until=2**70), tokens),
    "a field that is not there": (filters_of(permit(), "P", field(Show.RAW, "nope", "N")), permit(), tokens),
    "not for the type": (filters_of(permit(), "P", field(Show.NAME, "value", "N")), permit(), tokens),
    "a time in an empty array": (filters_of(order(), "O", field(Show.DATE_TIME, "more.[].amount", "A")), order(), None),
}


@pytest.mark.parametrize("name", UNFIT)
def test_filters_that_do_not_fit_are_not_used(device: Open, name: str) -> None:
    filters, typed, known = UNFIT[name]
    signer, simulator = device(filters, known=known or (lambda *_: None))
    with pytest.raises(UnsupportedError, match="filters for it do not fit") as caught:
        signer.sign_typed_data(PATH, typed)
    assert caught.value.code == "signer.blind-signing"
    assert not simulator.pages
    simulator.blind_signing = True
    signer, simulator = device(filters, known=known or (lambda *_: None), blind_signing=True)
    signs(signer, typed)
    assert simulator.pages[0].title == "Blind signing ahead"


def written(filters: Filters) -> dict[str, Any]:
    """As the vendor's list has it."""
    fields = [
        {"format": one.show.word, "path": one.path, "label": one.label, "signature": one.signature.hex()}
        | ({} if one.token is None else {"coin_ref": one.token})
        for one in filters.fields
    ]
    named = {"label": filters.label, "signature": filters.signature.hex()}
    key = f"{filters.chain_id}:0x{filters.contract.value.hex()}:{filters.schema.hex()}"
    return {key: {"contractName": named, "fields": fields}}


def answered(filters: Filters) -> list[Any]:
    """As the vendor's service answers."""

    def instruction(one: FieldFilter) -> dict[str, Any]:
        made = {"type": "field", "format": one.show.word, "field_path": one.path, "display_name": one.label}
        made |= {"signatures": {"prod": "3006020101020101", "test": one.signature.hex()}}
        made |= {} if one.token is None else {"coin_ref": one.token}
        if one.show is Show.NAME:
            made |= {"name_types": ["contract"], "name_sources": ["cal"], "descriptor": "ff" + "0201"}
        return made

    about = "b7" + filters.chain_id.to_bytes(8, "big").hex()
    message = {"type": "message", "display_name": filters.label, "field_mappers_count": len(filters.fields)}
    message |= {"descriptor": about, "signatures": {"prod": "3006020101020101", "test": filters.signature.hex()}}
    entry = {"schema": {}, "instructions": [message, *map(instruction, filters.fields)]}
    return [{"descriptors_eip712": {f"0x{filters.contract.value.hex()}": {filters.schema.hex(): entry}}}]


def test_folders_as_the_vendor_publishes_them(device: Open, tmp_path: Path) -> None:
    one, two = filters_of(permit(), "Permit", *PERMIT_FIELDS), filters_of(order(), "Order", *ORDER_FIELDS)
    (tmp_path / "eip712_v2.json").write_text(json.dumps(written(one)))
    (tmp_path / "evm" / "137" / "eip712").mkdir(parents=True)
    (tmp_path / "evm" / "137" / "eip712" / "a.json").write_text(json.dumps(answered(two)))
    folder = FilterFolder(tmp_path, keys=TEST)
    assert folder(1, one.contract, (two.schema, one.schema)) == one
    assert folder(137, two.contract, (two.schema,)) == two
    assert folder(1, two.contract, (two.schema,)) is None
    signer, _ = device(tmp_path)
    signs(signer, permit())
    signs(signer, order())
    with pytest.raises(InvalidInputError, match="does not verify"):
        FilterFolder(tmp_path)(1, one.contract, (one.schema,))  # signed by a test key
    (tmp_path / "eip712_v2.json").write_text(json.dumps(written(FORGED)))
    with pytest.raises(InvalidInputError) as caught:
        FilterFolder(tmp_path, keys=TEST)(1, FORGED.contract, (FORGED.schema,))
    assert caught.value.code == "input.filters"


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["path", "label", "fields"]), inner),
    max_leaves=6,
)


@settings(max_examples=40)
@given(data=st.binary(max_size=40), entry=_JSON, fields=_JSON)
def test_a_damaged_file_is_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, entry: Any, fields: Any
) -> None:
    root = tmp_path_factory.mktemp("filters")
    (key, good), contract = next(iter(written(FORGED).items())), FORGED.contract
    for text in (data, json.dumps({key: entry}).encode(), json.dumps({key: {**good, "fields": fields}}).encode()):
        (root / "eip712_v2.json").write_bytes(text)
        with suppress(InvalidInputError):
            assert FilterFolder(root, keys=TEST)(1, contract, (FORGED.schema,)) is None
