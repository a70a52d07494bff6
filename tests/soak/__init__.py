"""A long mixed load with faults, against a server of its own: `make soak`."""
