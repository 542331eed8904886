"""Addresses as a policy compares them: one spelling per destination (BIP-173 case, EIP-55 case)."""

from __future__ import annotations

from bursar.errors import InvalidInputError

_BECH32_PREFIXES = ("bc1", "tb1", "bcrt1")


def canonical_address(text: str) -> str:
    """One spelling for every way to write the same destination: bech32 and hexadecimal in lower case.

    Base58 is case sensitive and stays as it is. So does a bech32 text in mixed case, which BIP-173 forbids: it equals
    nothing a policy can name.
    """
    lower = text.lower()
    if lower.startswith("0x"):
        return lower
    if lower.startswith(_BECH32_PREFIXES) and text in (lower, text.upper()):
        return lower
    return text


def check_address(text: str, *, chain: str | None = None, network: str | None = None) -> str:
    """The canonical spelling of ``text``, once it is a valid address there (else ``InvalidInputError``).

    ``chain`` and ``network`` narrow where: an address of another chain or network is refused.
    """
    from bursar.bitcoin.address import Address as BitcoinAddress
    from bursar.bitcoin.network import Network
    from bursar.ethereum.address import Address as EthereumAddress

    written = "ethereum" if text[:2].lower() == "0x" else "bitcoin"
    if chain is not None and chain != written:
        raise InvalidInputError(f"{text!r} is no address on {chain}", code="input.address")
    if written == "ethereum":
        EthereumAddress.from_text(text)
        return canonical_address(text)
    problems = []
    for name in (network,) if network is not None else ("main", "testnet", "signet", "regtest"):
        try:
            BitcoinAddress.from_text(text, Network.from_text(name))
        except InvalidInputError as error:
            problems.append(error.message)
        else:
            return canonical_address(text)
    raise InvalidInputError(f"{text!r} is no bitcoin address: {problems[0]}", code="input.address")
