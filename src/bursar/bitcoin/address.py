"""Addresses of every standard output type: base58check, bech32 (BIP-173), bech32m (BIP-350)."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.bitcoin import script as scripts
from bursar.bitcoin.network import NETWORKS, Network
from bursar.crypto import base58, bech32
from bursar.errors import InvalidInputError

_MAX_TEXT = 90
_MAX_BASE58 = 35
_HRPS = frozenset(network.hrp for network in NETWORKS)
_VERSIONS = frozenset(version for network in NETWORKS for version in (network.p2pkh, network.p2sh))

_CAUSES = {"checksum": "checksum", "character": "checksum", "variant": "encoding", "case": "case"}


@dataclass(frozen=True, slots=True)
class Address:
    """An address: its canonical text, its network and the output script it stands for."""

    text: str
    network: Network
    script: bytes

    @classmethod
    def from_text(cls, text: str, network: Network) -> Address:
        """An address of ``network``, or ``InvalidInputError`` whose code names the cause.

        ``input.address.case`` mixed case · ``.network`` another network's · ``.checksum`` mistyped ·
        ``.encoding`` bech32 where bech32m belongs or the reverse · ``.program`` impossible witness version or
        length · ``input.address`` anything else.
        """
        if not 14 <= len(text) <= _MAX_TEXT or not text.isascii() or not text.isalnum():
            raise InvalidInputError(
                f"this text of {len(text)} characters is not an address of any kind: copy it in full",
                code="input.address",
            )
        if len(text) == 42 and text[:2] in ("0x", "0X"):
            raise InvalidInputError(
                f"{text} is an Ethereum address, a Bitcoin one is needed", code="input.address.network"
            )
        hrp, separator, _ = text.rpartition("1")
        if separator and hrp.lower() in _HRPS:
            return cls._from_segwit(text, hrp.lower(), network)
        return cls._from_base58(text, network)

    @classmethod
    def _from_segwit(cls, text: str, hrp: str, network: Network) -> Address:
        lower = text.lower()
        if text not in (lower, text.upper()):
            raise InvalidInputError(
                f"address {text} mixes upper and lower case: copy it again", code="input.address.case"
            )
        try:
            version, program = bech32.decode(hrp, lower)
        except InvalidInputError as error:
            cause = _CAUSES.get(error.code.rpartition(".")[2], "program")
            raise InvalidInputError(f"address {text}: {error.message}", code=f"input.address.{cause}") from error
        if hrp != network.hrp:
            raise _wrong_network(text, network)
        opcode = 0x50 + version if version else 0
        return cls(lower, network, bytes((opcode, len(program))) + program)

    @classmethod
    def _from_base58(cls, text: str, network: Network) -> Address:
        try:
            payload = base58.decode_check(text)
        except InvalidInputError as error:
            if _is_foreign_bech32(text):
                raise _wrong_network(f"{text.rpartition('1')[0]}1…", network) from error
            raise InvalidInputError(
                f"address {_shown(text)} has a wrong checksum or character: copy it again",
                code="input.address.checksum",
            ) from error
        if len(payload) != 21:
            raise InvalidInputError(f"address {_shown(text)} has a wrong length", code="input.address")
        version, digest = payload[0], payload[1:]
        if version == network.p2pkh:
            return cls(text, network, scripts.p2pkh(digest))
        if version == network.p2sh:
            return cls(text, network, scripts.p2sh(digest))
        if version in _VERSIONS:
            raise _wrong_network(text, network)
        raise InvalidInputError(
            f"address {text} has the unknown version {version}: it is not a Bitcoin address", code="input.address"
        )

    @classmethod
    def from_script(cls, script: bytes, network: Network) -> Address:
        """The address of an output script, or ``InvalidInputError`` (``input.script``) for one that has none."""
        program = scripts.witness_program(script)
        if program is not None:
            version, data = program
            if version == 0 and len(data) not in (20, 32):
                raise InvalidInputError(
                    f"script {script.hex()} is not a valid witness program: it has no address", code="input.script"
                )
            return cls(bech32.encode(network.hrp, version, data), network, script)
        kind = scripts.classify(script)
        if kind is scripts.ScriptType.P2PKH:
            return cls(base58.encode_check(bytes((network.p2pkh,)) + script[3:23]), network, script)
        if kind is scripts.ScriptType.P2SH:
            return cls(base58.encode_check(bytes((network.p2sh,)) + script[2:22]), network, script)
        raise InvalidInputError(f"script {script.hex()[:80]} has no address", code="input.script")

    @property
    def script_type(self) -> scripts.ScriptType:
        """What kind of output it is."""
        return scripts.classify(self.script)

    def __str__(self) -> str:
        return self.text


def _shown(text: str) -> str:
    """What was taken for an address and is too long for one may be a private key, and is not repeated."""
    return text if len(text) <= _MAX_BASE58 else f"of {len(text)} characters"


def _is_foreign_bech32(text: str) -> bool:
    try:
        bech32.decode_raw(text)
    except InvalidInputError:
        return False
    return True


def _wrong_network(text: str, network: Network) -> InvalidInputError:
    return InvalidInputError(
        f"address {text} belongs to another network than {network}: ask for an address of {network}",
        code="input.address.network",
    )
