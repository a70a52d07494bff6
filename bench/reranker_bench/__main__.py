"""The benchmark's commands by themselves: ``python -m reranker_bench compare --help``."""

import typer

from reranker_bench.cli import register


def main() -> None:
    """Run the command line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    register(app)
    app.callback()(lambda: None)
    app()


if __name__ == "__main__":
    main()
