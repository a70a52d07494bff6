"""The command line: the composition root. Only `output` and `progress` print.

A command is a file of `commands/`. It may import every package, and does so when it runs, so
that `reranker --help` is quick and a missing extra is noticed only by the command that needs it.
"""
