"""HTTP itself: bodies, connections, headers, the OpenAPI document and its page."""
