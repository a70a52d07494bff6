"""The command: ``python -m lab.speed --help``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lab.peers.environments import PeerError, chosen
from lab.peers.process import PeerFailure
from lab.speed.options import (
    CACHE,
    DATA,
    DEFAULT_WORKLOADS,
    OptionError,
    RaceOptions,
    backend_of,
    environments_of,
    levels_of,
    workloads_of,
)
from reranker.backends.device import usable_cpus

NOT_WHOLE, WRONG_INPUT, INTERRUPTED = 1, 2, 130
console = Console(stderr=True)


def race(
    workloads: Annotated[
        str, typer.Option(help="With commas, of w1 to w6 and w3m3; or all.")
    ] = ",".join(DEFAULT_WORKLOADS),
    peers: Annotated[
        str, typer.Option(help="Libraries to measure beside us, with commas; or all, none.")
    ] = "all",
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each side, in turns.")] = 5,
    data: Annotated[
        Path, typer.Option(help="Folder with the collection cranfield; else the sample is used.")
    ] = DATA,
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads of every side; 0 is what this process may use.")
    ] = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for speed.json and the picture.")
    ] = Path("runs/speed"),
    documents: Annotated[
        int | None, typer.Option(min=2, help="Documents of a pool; default: by workload.")
    ] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Pools in a run; default: by workload.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long clients load a server in one repeat.")
    ] = 3.0,
    clients: Annotated[str, typer.Option(help="Closed-loop clients, levels with commas.")] = (
        "1,8,32,128"
    ),
    environment: Annotated[
        list[str] | None,
        typer.Option(help="PEER=FOLDER of the virtual environment it is installed in; repeat."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where models run: cpu, cuda.")] = "cpu",
    backend: Annotated[
        str, typer.Option(help="What ours runs on in w4 to w6: torch, openvino, auto.")
    ] = "torch",
    cache: Annotated[Path, typer.Option(help="Folder where checkpoints are kept.")] = CACHE,
) -> None:
    """Measure speed beside other libraries on the same models, texts and threads."""

    def chosen_options() -> RaceOptions:
        return RaceOptions(
            workloads=workloads_of(workloads),
            peers=chosen(peers),
            repeats=repeats,
            data=data,
            threads=threads or usable_cpus(),
            documents=documents,
            queries=queries,
            seconds=seconds,
            clients=levels_of(clients),
            device=device,
            backend=backend_of(backend),
            environments=environments_of(environment or ()),
            cache=cache,
        )

    raise typer.Exit(_guarded(chosen_options, output))


def _guarded(options: Callable[[], RaceOptions], output: Path) -> int:
    """Measure, and turn what may go wrong into a line and an exit code."""
    from lab.speed.results import ResultsError
    from lab.speed.workloads.servers import ServerFailure
    from reranker.errors import RerankerError
    from reranker_bench.data.beir import DatasetError

    wrong = (OptionError, PeerError, DatasetError, ResultsError, FileNotFoundError)
    try:
        return _measure(options(), output)
    except RerankerError as error:
        return _fail(error.for_operator(), WRONG_INPUT)
    except wrong as error:
        return _fail(str(error), WRONG_INPUT)
    except (PeerFailure, ServerFailure) as error:
        return _fail(str(error), NOT_WHOLE)
    except ModuleNotFoundError as error:
        command = "pip install 'reranker[embedded,bench]'"
        return _fail(f"{error.name} is not installed; install it with: {command}", WRONG_INPUT)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted.[/] Workloads that were done are kept.")
        return INTERRUPTED


def _measure(options: RaceOptions, output: Path) -> int:
    from lab.speed import experiment, results, table

    command = shlex.join(["python", "-m", "lab.speed", *sys.argv[1:]])
    refused = 0
    with console.status("measuring") as status:
        for _, found in experiment.run_workloads(options, output, command, status.update):
            table.show(found, console)
            states = [row["state"] for row in found["rows"]]
            refused += sum(state in (results.FAILED, results.DISAGREES) for state in states)
    console.print(f"Results: [bold]{output / results.FILE}[/]", soft_wrap=True)
    return NOT_WHOLE if refused else 0


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        console.print(f"[red]error:[/] {escape(line)}", soft_wrap=True)
    return code


if __name__ == "__main__":
    typer.run(race)
