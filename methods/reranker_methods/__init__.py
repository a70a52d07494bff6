"""The four built-in methods. Each lives in its own module and is found by its entry point."""
