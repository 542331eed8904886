"""Coin selection (Erhardt 2016; Bitcoin Core's waste metric): ways to choose coins, all of them ``CoinSelector``."""

from bursar.bitcoin.selection.branch_and_bound import BranchAndBound, branch_and_bound
from bursar.bitcoin.selection.coin_grinder import CoinGrinder, coin_grinder
from bursar.bitcoin.selection.consolidation import Consolidation
from bursar.bitcoin.selection.least_waste import DefaultSelector, select
from bursar.bitcoin.selection.oldest_first import OldestFirst
from bursar.bitcoin.selection.privacy import Privacy
from bursar.bitcoin.selection.random_draw import SingleRandomDraw, single_random_draw

__all__ = [
    "BranchAndBound",
    "CoinGrinder",
    "Consolidation",
    "DefaultSelector",
    "OldestFirst",
    "Privacy",
    "SingleRandomDraw",
    "branch_and_bound",
    "coin_grinder",
    "select",
    "single_random_draw",
]
