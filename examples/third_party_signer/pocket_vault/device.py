"""The other end of the wire: an emulated vault that says yes to everything it understands. Its keys guard nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

from bursar.bitcoin.account import single_key_script
from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.message import message_digest
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.script import ScriptType
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import (
    ecdsa_sign_der,
    ecdsa_sign_recoverable,
    schnorr_sign,
    taproot_output_key,
    taproot_tweak_secret,
)
from bursar.errors import BursarError, InvalidInputError
from bursar.ethereum.address import Address as EthereumAddress
from bursar.ethereum.message import personal_digest
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED, DerivationPath

PIN = "1234"
SCRIPT_TYPES = {44: ScriptType.P2PKH, 49: ScriptType.P2SH_P2WPKH, 84: ScriptType.P2WPKH, 86: ScriptType.P2TR}


class Vault:
    """Answers questions by name; locked until it is given its PIN."""

    def __init__(self, root: ExtendedPrivateKey) -> None:
        self._root = root
        self._locked = True

    def answer(self, question: dict[str, Any]) -> dict[str, object]:
        what = question["what"]
        if what == "info":
            return {"fingerprint": str(self._root.fingerprint), "firmware": "1.0.0"}
        if what == "unlock":
            self._locked = question["pin"] != PIN
        if self._locked:
            return {"error": {"kind": "locked", "text": "wrong or no PIN"}}
        if what == "xpub":
            return {"xpub": str(self._xpub(DerivationPath.from_text(question["path"])))}
        if what == "sign-psbt":
            return {"psbt": str(self._sign_psbt(Psbt.from_text(question["psbt"])))}
        if what == "show-address":
            return {"shown": self._address(DerivationPath.from_text(question["path"]), question["network"])}
        return self._sign(question) if what != "unlock" else {}

    def _xpub(self, path: DerivationPath) -> object:
        from dataclasses import replace

        testnet = len(path) > 1 and path[1] == HARDENED + 1
        return replace(self._root.derive(path).public(), testnet=testnet)

    def _sign(self, question: dict[str, Any]) -> dict[str, object]:
        if question["what"] == "sign-transaction":
            digest = UnsignedTransaction.parse(bytes.fromhex(question["tx"])).digest()
        elif question["what"] == "sign-message":
            digest = message_digest(bytes.fromhex(question["message"]))
        elif question["what"] == "sign-personal-message":
            digest = personal_digest(bytes.fromhex(question["message"]))
        elif question["what"] == "sign-typed-data":
            digest = TypedData.from_json(question["typed"]).digest()
        else:
            raise InvalidInputError(f"{question['what']!r} is not understood")
        secret = self._root.derive(DerivationPath.from_text(question["path"])).secret().expose()
        signature = ecdsa_sign_recoverable(secret, digest)
        return {"rs": signature.compact().hex(), "parity": signature.y_parity}

    def _sign_psbt(self, psbt: Psbt) -> Psbt:
        """Every input that names a key of ours; ``InputDigests`` refuses what BIP-174 tells signers to refuse."""
        if len({one.outpoint for one in psbt.tx.inputs}) != len(psbt.tx.inputs):
            raise InvalidInputError("an outpoint is spent twice")
        signed, digests, ours = psbt.copy(), InputDigests(psbt), 0
        for index, one in enumerate(signed.inputs):
            if one.is_final:
                continue
            for key, origin in one.bip32_derivations.items():
                if origin.fingerprint == self._root.fingerprint and key not in one.partial_sigs:
                    asked, node = digests.digest(index), self._root.derive(origin.path)
                    if node.public_key != key or asked.script[3:23] != hash160(key):
                        raise InvalidInputError(f"the key of input {index} is not ours, or not in its script")
                    signature = ecdsa_sign_der(node.secret().expose(), asked.digest)
                    one.partial_sigs[key] = signature + bytes((asked.sighash,))
                    ours += 1
            for key, (leaves, origin) in one.tap_bip32_derivations.items():
                if origin.fingerprint == self._root.fingerprint and not leaves and one.tap_key_sig is None:
                    asked, node = digests.digest(index), self._root.derive(origin.path)
                    root = one.tap_merkle_root or b""
                    if node.public_key[1:] != key or taproot_output_key(key, root)[0] != asked.script[2:]:
                        raise InvalidInputError(f"the key of input {index} is not ours, or not in its script")
                    signature = schnorr_sign(taproot_tweak_secret(node.secret().expose(), root), asked.digest)
                    one.tap_key_sig = signature + (bytes((asked.sighash,)) if asked.sighash else b"")
                    ours += 1
        if not ours:
            raise InvalidInputError("there is nothing of ours to sign")
        return signed

    def _address(self, path: DerivationPath, network: str) -> str:
        key = self._root.derive(path).public_key
        if network == "ethereum":
            return str(EthereumAddress.from_public_key(key))
        script = single_key_script(SCRIPT_TYPES[path[0] - HARDENED], key)
        return str(BitcoinAddress.from_script(script, Network.from_text(network)))


def main() -> None:
    """Answer line after line until the pipe is closed."""
    vault = Vault(ExtendedPrivateKey.from_seed(b"pocket vault: these keys guard nothing"))
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = vault.answer(question)
        except BursarError as error:
            answer = {"error": {"kind": "refused", "text": error.message}}
        print(json.dumps({"number": question["number"], **answer}), flush=True)


if __name__ == "__main__":
    main()
