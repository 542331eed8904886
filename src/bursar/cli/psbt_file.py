"""PSBT files in and out (BIP-174): base64 or binary, found out by looking; and what one says, in words and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.bitcoin.address import Address
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import classify, multisig
from bursar.errors import InvalidInputError
from bursar.signing.ownership import named_keys
from bursar.signing.preflight import check_psbt

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
    from bursar.cli.session import Session
    from bursar.keys.origin import KeyOrigin

_MAGIC = b"psbt\xff"
_LARGEST = 100_000_000


def read(name: str) -> Psbt:
    """The PSBT in a file, or on standard input for ``-``."""
    if name == "-":
        data = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(_LARGEST + 1)
    if not data.strip():
        raise InvalidInputError(f"{_called(name)} is empty: a psbt was expected", code="input.psbt")
    if len(data) > _LARGEST:
        raise InvalidInputError(f"{_called(name)} is longer than any psbt", code="input.psbt")
    if data.startswith(_MAGIC):
        return Psbt.parse(data)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{_called(name)} is neither a binary nor a base64 psbt", code="input.psbt") from error
    return Psbt.from_text("".join(text.split()))


def require_new(name: str | None) -> None:
    """Raise while nobody was asked anything yet if the file to be written exists."""
    if name is not None and Path(name).exists():
        raise InvalidInputError(f"{name} exists: choose another name for the output", code="input.name")


def write(session: Session, psbt: Psbt, *, to: str | None, binary: bool, **more: object) -> None:
    """Give a PSBT back: to a new file, or on standard output (base64 unless ``binary``)."""
    require_new(to)
    raw = psbt.serialize()
    text = str(psbt)
    document = {"psbt": text, "txid": str(psbt.tx.txid), **more}
    if to is not None:
        with Path(to).open("xb") as file:
            file.write(raw if binary else text.encode() + b"\n")
        session.output.answer({**document, "file": to}, lambda: click.echo(f"Written to {to}", err=True))
    elif binary and not session.json:
        sys.stdout.buffer.write(raw)
    else:
        session.output.answer(document, lambda: click.echo(text))


def describe(psbt: Psbt, network: Network) -> dict[str, Any]:
    """Everything ``inspect`` tells. Amounts in satoshi; ``problem`` is why no signer should be asked, if so."""
    inputs = [_input(psbt, index, network) for index in range(len(psbt.inputs))]
    amounts = [one["amount"] for one in inputs]
    outputs = [
        {
            "amount": int(output.value),
            "address": _address(output.script, network),
            "type": classify(output.script).value,
            "keys": [str(origin) for origin in output_origins(field)],
        }
        for output, field in zip(psbt.tx.outputs, psbt.outputs, strict=True)
    ]
    paid = sum(int(output.value) for output in psbt.tx.outputs)
    return {
        "txid": str(psbt.tx.txid),
        "version": psbt.tx.version,
        "locktime": psbt.tx.locktime,
        "network": network.name,
        "inputs": inputs,
        "outputs": outputs,
        "fee": None if None in amounts else sum(amounts) - paid,
        "complete": all(one.is_final for one in psbt.inputs),
        "problem": _problem(psbt),
    }


def document(found: dict[str, Any]) -> dict[str, Any]:
    """The same for JSON: amounts as text, like everywhere."""

    def texts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**part, "amount": None if part["amount"] is None else str(part["amount"])} for part in parts]

    fee = None if found["fee"] is None else str(found["fee"])
    return {**found, "inputs": texts(found["inputs"]), "outputs": texts(found["outputs"]), "fee": fee}


def output_origins(output: PsbtOutput) -> list[KeyOrigin]:
    """Where the keys an output names come from."""
    taproot = [origin for _leaves, origin in output.tap_bip32_derivations.values()]
    return [*output.bip32_derivations.values(), *taproot]


def _input(psbt: Psbt, index: int, network: Network) -> dict[str, Any]:
    one = psbt.inputs[index]
    found: dict[str, Any] = {
        "outpoint": str(psbt.tx.inputs[index].outpoint),
        "amount": None,
        "address": None,
        "type": None,
    }
    try:
        output = psbt.utxo(index)
    except InvalidInputError as error:
        found["problem"] = error.message
    else:
        found.update(
            amount=int(output.value), address=_address(output.script, network), type=classify(output.script).value
        )
    found.update(state=_state(one), signatures=_signatures(one), keys=[str(origin) for _, origin in named_keys(one)])
    return found


def _signatures(one: PsbtInput) -> int:
    return len(one.partial_sigs) + (one.tap_key_sig is not None) + len(one.tap_script_sigs)


def _state(one: PsbtInput) -> str:
    if one.is_final:
        return "final"
    count = _signatures(one)
    script = multisig(one.witness_script or one.redeem_script or b"")
    if script is not None and count < script[0]:
        return f"{count} of {script[0]} signatures"
    return "signed" if count else "unsigned"


def _problem(psbt: Psbt) -> str | None:
    if all(one.is_final for one in psbt.inputs):
        return None
    try:
        check_psbt(psbt)
    except InvalidInputError as error:
        return error.message
    return None


def _address(script: bytes, network: Network) -> str | None:
    try:
        return str(Address.from_script(script, network))
    except InvalidInputError:
        return None


def _called(name: str) -> str:
    return "standard input" if name == "-" else name
