"""The comparison of methods: its plan, its rankings, and their records on disk."""
