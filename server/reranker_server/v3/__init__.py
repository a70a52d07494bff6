"""The v3 API, this server's own."""
