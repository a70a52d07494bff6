"""Bodies, connections, headers and descriptions of the HTTP server."""
