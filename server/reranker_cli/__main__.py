"""The same as the command `reranker`: ``python -m reranker_cli``."""

from reranker_cli.main import main

if __name__ == "__main__":
    main()
