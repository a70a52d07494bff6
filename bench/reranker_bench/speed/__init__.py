"""How fast the user's own server and models are."""
