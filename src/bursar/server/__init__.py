"""Floor 8, server: HTTP API and signing agent (only the door stands yet)."""
