"""What rules a Safe beside its owners: its code, modules, guards and fallback handler, asked of its contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.effects.model import Caution
from bursar.ethereum.questions import Answers, Call
from bursar.ethereum.safe.contract import SafeVersion
from bursar.ethereum.safe.words import selector

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar.ethereum.questions import Question

_PAGE: Final = 50
_FIRST: Final = Address(bytes(19) + b"\x01")
_MODULES: Final = AbiFunction.from_text("getModulesPaginated(address,uint256) returns (address[],address)")
_STORAGE: Final = AbiFunction.from_text("getStorageAt(uint256,uint256) returns (bytes)")
_MASTER_COPY: Final = selector("masterCopy()")
_GUARD: Final = keccak256(b"guard_manager.guard.address")
_MODULE_GUARD: Final = keccak256(b"module_manager.module_guard.address")
_HANDLER: Final = keccak256(b"fallback_manager.handler.address")
_GUARDS_SINCE: Final = SafeVersion(1, 3, 0)
_MODULE_GUARDS_SINCE: Final = SafeVersion(1, 5, 0)

# the Safe project's own deployments (its repository safe-deployments), every chain but zkSync
KNOWN_CODE: Final = frozenset(
    map(
        Address.from_text,
        (
            "0xb6029EA3B2c51D09a50B53CA8012FeEB05bDa35A",  # 1.0.0
            "0x34CfAC646f301356fAa8B21e94227e3583Fe3F5F",  # 1.1.1
            "0x6851D6fDFAfD08c0295C392436245E5bc78B0185",  # 1.2.0
            "0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552",  # 1.3.0
            "0x69f4D1788e39c87893C980c06EdF4b7f686e2938",
            "0x3E5c63644E683549055b9Be8653de26E0B4CD36E",  # 1.3.0 L2
            "0xfb1bffC9d739B8D520DaF37dF666da4C687191EA",
            "0x41675C099F32341bf84BFc5382aF534df5C7461a",  # 1.4.1
            "0x29fcB43b46531BcA003ddC8FCB67FFE91900C762",  # 1.4.1 L2
            "0xFf51A5898e281Db6DfC7855790607438dF2ca44b",  # 1.5.0
            "0xEdd160fEBBD92E350D4D398fb636302fccd67C7e",  # 1.5.0 L2
        ),
    )
)
"""The contracts whose code a genuine Safe runs."""


@dataclass(frozen=True, slots=True)
class SafeSettings:
    """``None`` is what the contract did not tell, the zero address what is not set. ``modules`` are at most 50."""

    singleton: Address | None
    modules: tuple[Address, ...] | None
    more_modules: bool
    guard: Address | None
    module_guard: Address | None
    fallback_handler: Address | None

    def cautions(self) -> list[Caution]:
        """What can move a Safe's money without its owners, or keep them from it, and what could not be read."""
        found: list[Caution] = []
        if self.singleton is None or self.singleton.is_zero:
            found.append(Caution("safe-code-unknown", "the contract does not tell whose code it runs"))
        elif self.singleton not in KNOWN_CODE:
            text = f"the Safe runs the code of {self.singleton}, which is no release of the Safe project"
            found.append(Caution("safe-code", text))
        if self.modules is None:
            found.append(Caution("safe-modules-unknown", "the Safe's modules cannot be read: there may be some"))
        found += [
            Caution("safe-module", f"the module {one} can move everything without the owners")
            for one in self.modules or ()
        ]
        if self.more_modules:
            found.append(Caution("safe-module", f"there are more than {_PAGE} modules"))
        for name, held in (("guard", self.guard), ("guard of modules", self.module_guard)):
            if held is not None and not held.is_zero:
                found.append(Caution("safe-guard", f"the {name} {held} can refuse every transaction"))
        return found


def read_settings(safe: Address, version: SafeVersion) -> Answers[SafeSettings]:
    """A generator of questions about a chain, which ends with the settings of the Safe; what fails stays unknown."""
    singleton = yield from _slot(safe, bytes(32))
    if singleton is None:  # before 1.3.0 only the proxy in front of the code tells
        singleton = _one_address((yield Call(safe, _MASTER_COPY)))
    modules: tuple[Address, ...] | None = None
    more = False
    answer = yield Call(safe, _MODULES.encode_call(_FIRST, _PAGE))
    try:
        listed, following = _MODULES.decode_result(answer or b"")
        modules = tuple(listed)
        more = following not in (_FIRST, ZERO_ADDRESS)
    except InvalidInputError:
        pass
    guard: Address | None = ZERO_ADDRESS
    module_guard: Address | None = ZERO_ADDRESS
    if version >= _GUARDS_SINCE:
        guard = yield from _slot(safe, _GUARD)
    if version >= _MODULE_GUARDS_SINCE:
        module_guard = yield from _slot(safe, _MODULE_GUARD)
    handler = yield from _slot(safe, _HANDLER)
    return SafeSettings(singleton, modules, more, guard, module_guard, handler)


def _slot(safe: Address, place: bytes) -> Generator[Question, bytes | None, Address | None]:
    answer = yield Call(safe, _STORAGE.encode_call(int.from_bytes(place, "big"), 1))
    try:
        (found,) = _STORAGE.decode_result(answer or b"")
    except InvalidInputError:
        return None
    return _one_address(found)


def _one_address(found: bytes | None) -> Address | None:
    return Address(found[12:]) if found is not None and len(found) == 32 and not any(found[:12]) else None
