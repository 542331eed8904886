"""A regtest node in this process: Bitcoin Core's consensus code, a mempool, an index and JSON-RPC."""
