"""Floor 2: secrets, hashes, the curve, encodings and sealing; bytes in, bytes out, no I/O."""
