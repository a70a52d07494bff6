"""Count the source files and the hand-overs between threads of one HTTP request.

    python -m lab.regression.request_trace      # the list, the way and the two counts
    python -m lab.regression.request_trace --most-files 26 --most-hand-overs 4

With bounds, the exit status is 1 beyond either.

The application is the real one, called in this process through its ASGI interface on asyncio's
own loop; the socket and uvicorn's protocol before it are not part of it. After some warm-up
requests, one `standard` request over three documents that no cache knows is traced by a profile
function on every thread. It sees each call, and by that:

* A *file* is one of ours (see --packages) in which at least one function ran for the request.
* A *visit* is what a thread does from a wake-up to where it waits again: for a lock inside a
  `threading.Condition`, an item of a queue, or an event of the loop. One in which no function of
  ours ran is left out. So is one that woke for nothing: it went back to wait in the same function
  call as before and called nothing but ours and the standard library, as a second worker does
  that finds no work left, or a wait that looks every so often whether its time is up.
* A *hand-over* is a change of thread between two visits, in the order in which they began. What a
  thread still does after it woke the next one belongs to the visit it is part of, so that it makes
  no difference which of the two is quicker. Threads of one pool count as one place.

Both counts depend on the code alone. The request is traced several times, with other texts each
time, and the script says so where the counts differ.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.util
import json
import logging
import sys
import threading
from itertools import groupby
from pathlib import Path
from typing import Any

from lab.regression.engine_settings import engine_values, say
from lab.regression.visits import Tracer, Visit

APPS = ("reranker_server.app:create_app", "reranker_server:create_app")
PACKAGES = ("reranker", "reranker_methods", "reranker_server")
PATH = "/api/v3/inference/reranker"


def create(name: str | None, engine: Any) -> Any:
    """Return the application around an engine, made by the first of the names that there is."""
    for each in [name] if name else APPS:
        module, _, function = each.partition(":")
        try:
            make = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError):
            continue
        return make(engine)
    raise SystemExit(f"none of {name or ', '.join(APPS)}; say where with --app MODULE:NAME")


async def trace(options: argparse.Namespace, tracer: Tracer) -> list[list[Visit]]:
    """Serve requests and return what was noted of each traced one."""
    import httpx

    from reranker import Reranker, Settings

    engine = Reranker(Settings(**engine_values("float32", 2, 256)))
    app, noted = create(options.app, engine), []
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
            for number in range(-3, options.repeats):
                await asyncio.sleep(0.1)  # whoever still works on the last request ends meanwhile
                if number >= 0:
                    tracer.start()
                answer = await client.post(PATH, json=_body(engine, number))
                await asyncio.sleep(0.1)
                tracer.on = False
                if answer.status_code != 200:
                    raise SystemExit(f"status {answer.status_code}: {answer.text}")
                if number >= 0:
                    noted.append([v for v in tracer.visits if v.files and not v.idle])
    return noted


def _body(engine: Any, number: int) -> dict[str, Any]:
    return {
        "model": engine.settings.model,
        "model_cross": engine.settings.model_cross,
        "query": f"which pump is drained before frost number {number}?",
        "documents": [
            f"Pump {number} must be drained before the first frost of the year.",
            f"The tank of pump {number} holds forty litres.",
            f"Battery {number} reaches seventy kilometres on a flat road.",
        ],
        "method": "standard",
    }


def folders(packages: str) -> list[Path]:
    """Return the folders of packages, given by name with commas; those not installed are none."""
    specs = [importlib.util.find_spec(name) for name in packages.split(",")]
    found = [spec.submodule_search_locations or () for spec in specs if spec is not None]
    return [Path(folder) for each in found for folder in each]


def summary(noted: list[list[Visit]], roots: list[Path]) -> dict[str, Any]:
    """Return files, way and counts; where requests differ, all files and the most frequent way."""
    ways = [[place for place, _ in groupby(visit.place for visit in each)] for each in noted]
    files = [{_short(f, roots) for visit in each for f in visit.files} for each in noted]
    way = max(ways, key=ways.count)
    every = sorted(set().union(*files))
    return {
        "files": every,
        "way": way,
        "file_count": len(every),
        "hand_over_count": len(way) - 1,
        "requests": len(noted),
        "all_alike": all(each == way for each in ways) and all(len(f) == len(every) for f in files),
    }


def _short(file: str, roots: list[Path]) -> str:
    """Return a file's path from its package on."""
    root = next(root for root in roots if Path(file).is_relative_to(root))
    return str(Path(root.name) / Path(file).relative_to(root))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--app", help=f"MODULE:NAME; by default {' or '.join(APPS)}")
    parser.add_argument("--packages", default=",".join(PACKAGES), help="whose files count")
    parser.add_argument("--repeats", type=int, default=5, help="traced requests (5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--most-files", type=int, help="exit with 1 if there are more")
    parser.add_argument("--most-hand-overs", type=int, help="exit with 1 if there are more")
    options = parser.parse_args()
    roots = folders(options.packages)
    # The server logs each request at this level, which is part of its way.
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    gc.disable()  # what it ends would run on any thread
    tracer = Tracer([f"{root}/" for root in roots])
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    noted = asyncio.run(trace(options, tracer))
    sys.setprofile(None)
    told = summary(noted, roots)
    if options.json:
        say(json.dumps(told, indent=2))
    else:
        say("\n".join([*told["files"], "", " -> ".join(told["way"]), ""]))
        say(f"{told['file_count']} files, {told['hand_over_count']} hand-overs")
        if not told["all_alike"]:
            say(f"not the same in each of {told['requests']} requests")
    files, ways = options.most_files, options.most_hand_overs
    beyond = files is not None and told["file_count"] > files
    return int(beyond or (ways is not None and told["hand_over_count"] > ways))


if __name__ == "__main__":
    sys.exit(main())
