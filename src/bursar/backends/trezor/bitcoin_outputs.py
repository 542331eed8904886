"""The outputs of a PSBT in a Trezor's terms: proven change by path, everything else as what the human will read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor import bitcoin_paths as paths
from bursar.backends.trezor.bitcoin_keys import KeyBook, Named, Path, named_keys
from bursar.backends.trezor.bitcoin_multisig import Cosigners, Placed, multisig_of, redeem_message
from bursar.bitcoin.account import CHANGE, single_key_script
from bursar.bitcoin.address import Address
from bursar.bitcoin.script import ScriptType, classify
from bursar.errors import InvalidInputError
from bursar.signing.change import MOST_INDEX

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from bursar.backends.trezor.abilities import Firmware
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import TxOut

_OUT_BIP32: Final = 0x02
_OUT_TAP_BIP32: Final = 0x07
_OP_RETURN: Final = b"\x6a"
_ADDRESSED: Final = frozenset({ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH, ScriptType.P2WSH, ScriptType.P2TR})


@dataclass(frozen=True, slots=True)
class Homes:
    """Where the inputs come from, and so where change may go: by account path, script types and multisig wallets."""

    single: dict[Path, set[ScriptType]] = field(default_factory=dict)
    shared: dict[Path, set[tuple[object, ...]]] = field(default_factory=dict)

    def add(self, account: Path, script_type: ScriptType | None, placed: Placed | None) -> None:
        if script_type is not None:
            self.single.setdefault(account, set()).add(script_type)
        else:
            wallets = self.shared.setdefault(account, set())
            if placed is not None:
                wallets.add(placed.wallet)


class Outputs:
    """The outputs of one PSBT and the keys of ours that they name as change."""

    def __init__(self, psbt: Psbt, fingerprint: bytes, network: Network, firmware: Firmware) -> None:
        self._outputs = psbt.tx.outputs
        self._maps = psbt.outputs
        self._network = network
        self._firmware = firmware
        self._claims = [self._claimed(one.fields, fingerprint) for one in psbt.outputs]
        self.scripts = [
            multisig_of(one, output.script) if claims else None
            for one, output, claims in zip(psbt.outputs, psbt.tx.outputs, self._claims, strict=True)
        ]

    @staticmethod
    def _claimed(fields: Mapping[bytes, bytes], fingerprint: bytes) -> list[Named]:
        """Keys named at ``.../1/index`` with an index a wallet would find again; the others prove nothing."""
        if not fields:
            return []
        return [
            (key, path)
            for key, path in named_keys(fields, fingerprint, _OUT_BIP32, _OUT_TAP_BIP32)
            if len(path) > 2 and path[-2] == CHANGE and path[-1] <= MOST_INDEX
        ]

    def paths(self, accounts: Container[Path]) -> list[Path]:
        """The paths named as change of these accounts."""
        return [path for claims in self._claims for _, path in claims if path[:-2] in accounts]

    def messages(
        self, messages: Any, book: KeyBook, homes: Homes, cosigners: Cosigners | None, *, sort: bool
    ) -> list[Any]:
        """The device's outputs; only the ``homes`` of the inputs take change back.

        ``InvalidInputError`` (``input.psbt.change``) where an output claims such an account and is not its own.
        """
        made = []
        for index, (output, claims) in enumerate(zip(self._outputs, self._claims, strict=True)):
            one = None
            if claims and cosigners is not None:
                one = self._shared(messages, index, output, book, homes, cosigners, sort=sort)
            if one is None and claims:
                one = self._change(messages, index, output, book, homes)
            made.append(one or self._payment(messages, index, output))
        return made

    def _change(self, messages: Any, index: int, output: TxOut, book: KeyBook, homes: Homes) -> Any:
        for _, path in self._claims[index]:
            account = path[:-2]
            kinds = homes.single.get(account, ())
            key = book.key(path) if kinds else b""
            for kind in kinds:
                if single_key_script(kind, key) == output.script:
                    return messages.TxOutput(
                        address_n=list(path),
                        amount=int(output.value),
                        script_type=messages.OutputScriptType[paths.OUTPUT_TYPES[kind]],
                    )
            if kinds and account not in homes.shared:
                raise InvalidInputError(
                    f"psbt refused: output {index} claims to be change of {paths.text(path)} and its script is another "
                    "one; do not sign this",
                    code="input.psbt.change",
                )
        return None

    def _shared(
        self,
        messages: Any,
        index: int,
        output: TxOut,
        book: KeyBook,
        homes: Homes,
        cosigners: Cosigners,
        *,
        sort: bool,
    ) -> Any:
        """Change of a multisig wallet of the inputs: all its cosigners' keys re-derived, ours from the device's own."""
        script = self.scripts[index]
        if script is None:
            return None
        placed = cosigners.place(script, self._maps[index].bip32_derivations)
        if placed is None:
            return None
        for key, path in self._claims[index]:
            if (
                placed.place == path[-2:]
                and placed.wallet in homes.shared.get(path[:-2], ())
                and key in script.keys
                and book.key(path) == key
            ):
                return messages.TxOutput(
                    address_n=list(path),
                    amount=int(output.value),
                    script_type=messages.OutputScriptType[script.pay],
                    multisig=redeem_message(messages, script, placed, sort=sort),
                )
        return None

    def _payment(self, messages: Any, index: int, output: TxOut) -> Any:
        script = output.script
        if script[:1] == _OP_RETURN:
            return messages.TxOutput(
                amount=int(output.value),
                script_type=messages.OutputScriptType.PAYTOOPRETURN,
                op_return_data=self._data(index, output),
            )
        kind = classify(script)
        if kind not in _ADDRESSED or (kind is ScriptType.P2TR and not self._firmware.taproot):
            raise self._firmware.cannot(
                f"output {index} pays to a script it has no address for ({kind.value}): pay it with another signer",
                "sign_psbt",
            )
        return messages.TxOutput(
            address=Address.from_script(script, self._network).text,
            amount=int(output.value),
            script_type=messages.OutputScriptType.PAYTOADDRESS,
        )

    def _data(self, index: int, output: TxOut) -> bytes:
        """The data of ``OP_RETURN <one push>``, which is all the device can write."""
        if output.value:
            raise InvalidInputError(
                f"psbt refused: output {index} burns {output.value} sat behind OP_RETURN: nobody can spend them",
                code="input.psbt.output",
            )
        data = pushed(output.script[1:])
        most = self._firmware.longest_op_return
        if data is None or (most is not None and len(data) > most):
            raise self._firmware.cannot(
                f"output {index} is OP_RETURN with other than one plain push of data, or too much of it", "sign_psbt"
            )
        return data


def pushed(script: bytes) -> bytes | None:
    """The data that ``script`` pushes with the shortest opcode that takes a length (an empty push is ``00``)."""
    for head in (1, 2, 3):
        data = script[head:]
        if len(script) >= head and script == _push(data):
            return data
    return None


def _push(data: bytes) -> bytes:
    size = len(data)
    if size < 0x4C:
        return bytes((size,)) + data
    if size <= 0xFF:
        return bytes((0x4C, size)) + data
    return b"\x4d" + size.to_bytes(2, "little")[:2] + data if size <= 0xFFFF else b""
