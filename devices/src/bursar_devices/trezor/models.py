"""The Trezor models simulated: their names, firmware, and what each tells a host about itself."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.errors import InvalidInputError

Version = tuple[int, int, int]

_LEGACY = ("Bitcoin", "Bitcoin_like", "Crypto", "Ethereum", "NEM", "Stellar", "U2F")
_CORE = (
    "Bitcoin", "Bitcoin_like", "Binance", "Cardano", "Crypto", "Ethereum", "Monero", "Ripple", "Stellar", "Tezos",
    "U2F", "Shamir", "ShamirGroups", "PassphraseEntry", "Solana", "Translations",
)  # fmt: skip
_MODEL_T = (
    "Bitcoin", "Bitcoin_like", "Binance", "Cardano", "Crypto", "Ethereum", "Monero", "Ripple", "Stellar", "Tezos",
    "U2F", "Shamir", "ShamirGroups", "PassphraseEntry", "Solana", "NEM", "EOS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """One model: ``internal`` is the vendor's code, ``name`` the older one, ``firmware`` the version measured."""

    internal: str
    name: str
    firmware: Version
    capabilities: tuple[str, ...]
    screen: tuple[int, int]
    announced: bool = True  # whether Features carry internal_model

    @property
    def legacy(self) -> bool:
        """Whether it is a Trezor One, whose firmware is another program than that of all later models."""
        return self.internal == "T1B1"


MODELS = {
    model.internal: model
    for model in (
        Model("T1B1", "1", (1, 14, 1), _LEGACY, (128, 64), announced=False),
        Model("T2T1", "T", (2, 6, 4), _MODEL_T, (240, 240)),
        Model("T3T1", "Safe 5", (2, 8, 9), (*_CORE, "Haptic", "Brightness"), (240, 240)),
    )
}


def model_named(name: str) -> Model:
    """The model with that internal name; InvalidInputError lists them."""
    try:
        return MODELS[name]
    except KeyError:
        raise InvalidInputError(f"no Trezor model {name!r} is simulated: use one of {', '.join(MODELS)}") from None


def parse_version(text: str) -> Version:
    """``"1.14.1"`` as three numbers; InvalidInputError otherwise."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        raise InvalidInputError(f"firmware {text!r} is not a version: write it as 2.8.9")
    major, minor, patch = map(int, parts)
    return major, minor, patch
