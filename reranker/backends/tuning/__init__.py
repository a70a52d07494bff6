"""Which way of running a model is fastest here, among those whose scores agree."""
