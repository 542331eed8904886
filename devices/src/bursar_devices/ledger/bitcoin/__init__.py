"""The simulated Bitcoin app, protocol version 1 of the vendor's app 2.1 and later."""
