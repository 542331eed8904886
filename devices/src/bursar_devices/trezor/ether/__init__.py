"""The Ethereum messages: addresses, transactions, messages, typed data."""
