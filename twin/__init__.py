"""Do these P2P trades respect the feeder's limits? The public interface; everything else is internal.

Example::

    import twin
    loaded = twin.load_scenario("scenarios/winter_evening.yaml", overrides=["duration_days=1"])
    result = twin.run(loaded)
    print(result.verdict, result.folder)
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.results import RunResult
    from twin.run import run
    from twin.scenario.load import LoadedScenario, load_scenario
    from twin.scenario.problems import Problem, ScenarioError

__all__ = ["LoadedScenario", "Problem", "RunResult", "ScenarioError", "__version__", "load_scenario", "run"]

_HOMES = {
    "LoadedScenario": "twin.scenario.load",
    "Problem": "twin.scenario.problems",
    "RunResult": "twin.results",
    "ScenarioError": "twin.scenario.problems",
    "load_scenario": "twin.scenario.load",
    "run": "twin.run",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import twin`` (and ``twin --help``) costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("p2p-grid-twin")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'twin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Public(ModuleType):
    """Keeps ``twin.run`` the function: importing the submodule of that name would put the module there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "run" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Public
