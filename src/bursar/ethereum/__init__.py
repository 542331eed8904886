"""Ethereum: amounts, addresses, transactions, tokens and messages as values; no I/O."""
