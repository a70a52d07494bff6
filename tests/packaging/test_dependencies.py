"""What the base install with `embedded` declares is enough to rank: nothing comes from `dev`."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder, PackageNotFoundError
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

def needed(name, extras, found):
    name = canonicalize_name(name)
    if (name, extras) in found:
        return
    found.add((name, extras))
    try:
        lines = requires(name) or ()
    except PackageNotFoundError:
        return
    for line in lines:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras or {""}):
            needed(one.name, frozenset(one.extras), found)

closure = set()
needed("reranker", frozenset({"", "embedded"}), closure)
declared = {name for name, _ in closure}
undeclared = {
    module
    for module, owners in packages_distributions().items()
    if not {canonicalize_name(owner) for owner in owners} & declared
} - {"packaging", "pkg_resources", "setuptools", "_distutils_hack"}
assert "pytest" in undeclared and "torch" not in undeclared

class Declared:
    '''Finds modules on the path, but for those of packages that are not declared.'''

    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_distributions(context=DistributionFinder.Context()):
        for found in PathFinder.find_distributions(context):
            if canonicalize_name(found.name) in declared:
                yield found

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in undeclared:
            return PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Declared if each is PathFinder else each for each in sys.meta_path]
for name in [each for each in sys.modules if each.partition(".")[0] in undeclared]:
    del sys.modules[name]
import reranker_server.app, reranker_cli.main
from reranker import Reranker
with Reranker() as engine:
    engine.warm()
    for method in ("fast", "standard", "optimal", "best"):
        assert engine.rank("red fox", ["a dog", "the red fox"], method=method)[0].index == 1
"""


def test_declared_dependencies_are_enough_to_serve_the_embedded_pair() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
