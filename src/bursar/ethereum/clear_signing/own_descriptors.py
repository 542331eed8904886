"""The descriptors that come with Bursar: tokens, NFTs, permits and wrapped ether."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from bursar.ethereum.clear_signing.descriptor import read_descriptor
from bursar.ethereum.clear_signing.descriptor_json import read_json
from bursar.ethereum.clear_signing.descriptors import Descriptors

_ANY_TOKEN: Final = ("erc20", "permit")
_ANY_COLLECTION: Final = ("erc721", "erc1155")


@cache
def own_descriptors() -> Descriptors:
    """For ERC-20, ERC-721, ERC-1155 and ERC-2612 of every token and collection that is known, and for wrapped ether.

    Put them behind a book of your own: ``Descriptors.from_files(texts).and_then(own_descriptors())``.
    """
    folder = files("bursar.ethereum.clear_signing") / "own"
    read = {
        name: read_descriptor(f"own/{name}.json", read_json((folder / f"{name}.json").read_text("utf-8")))
        for name in (*_ANY_TOKEN, *_ANY_COLLECTION, "weth")
    }
    found = {name: one for name, one in read.items() if one is not None}
    return Descriptors(
        (found["weth"],),
        generic={
            "token": tuple(found[name] for name in _ANY_TOKEN),
            "collection": tuple(found[name] for name in _ANY_COLLECTION),
        },
    )
