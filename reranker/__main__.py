"""``python -m reranker`` is the command line, a package that the engine does not import."""

import runpy

if __name__ == "__main__":
    runpy.run_module("reranker_cli", run_name="__main__")
