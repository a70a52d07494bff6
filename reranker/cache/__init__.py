"""Results that are known already: in memory, and in a tier that processes share."""
