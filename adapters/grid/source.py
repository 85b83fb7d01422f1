"""Where a feeder comes from: a SimBench code, a ``pandapower.networks`` function, a pandapower or OpenDSS file."""

import ast
import difflib
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net

FORMS = "'simbench:CODE', 'pandapower:FUNCTION', a pandapower JSON file or an OpenDSS .dss file"
# A pandapower JSON file names the Python classes it wants built; only data containers may be named.
_TRUSTED_PACKAGES = ("pandapower", "pandas", "numpy", "networkx", "shapely", "geopandas", "builtins")
_MODULE_KEY = re.compile(r'\\*"_module\\*"\s*:\s*\\*"([^"\\]*)')


def load_feeder(source: str, base_dir: Path) -> Feeder:
    """Load a feeder.

    Args:
        source: ``simbench:CODE`` (for example ``simbench:1-LV-rural2--2-sw``), ``pandapower:FUNCTION`` (of
            ``pandapower.networks``, keyword arguments allowed: ``create_cigre_network_mv(with_der="all")``)
            a pandapower JSON file or an OpenDSS ``.dss`` file, relative to ``base_dir``.
        base_dir: folder that a relative file name starts from.

    Raises:
        GridInputError: unknown code, function or file, with the nearest known names; a net without an
            external grid; isolated loads; anything else that is named in its text.
        FeederNotSolvableError: an OpenDSS file that does not converge in its own state.
    """
    kind, _, rest = source.partition(":")
    if kind == "simbench" and rest:
        from adapters.grid.simbench_source import simbench_net

        return feeder_from_net(simbench_net(rest), rest, source)
    if kind == "pandapower" and rest:
        return feeder_from_net(_function_net(rest), rest.partition("(")[0], source)
    if source.endswith(".json"):
        return feeder_from_net(_json_net(base_dir / source), Path(source).stem, source)
    if source.lower().endswith(".dss"):
        from adapters.grid.opendss_source import load_dss_feeder

        return load_dss_feeder(base_dir / source, source)
    raise GridInputError(f"grid source {source!r} is not understood: allowed are {FORMS}.")


def _function_net(text: str) -> Any:
    import pandapower
    from pandapower import networks

    name, arguments = _parse_call(text)
    function = getattr(networks, name, None)
    known = [n for n in dir(networks) if _is_network_function(getattr(networks, n))]
    if function is None or name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3, 0.4)) or "none close"
        raise GridInputError(f"pandapower.networks has no function {name!r}; nearest: {near}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pandapower about its own older cases
            net = function(**arguments)
    except Exception as error:
        raise GridInputError(f"pandapower.networks.{text} failed: {error}") from error
    if not isinstance(net, pandapower.pandapowerNet):
        raise GridInputError(f"pandapower.networks.{name} returns no net but {type(net).__name__}.")
    return net


def _is_network_function(value: Any) -> bool:
    return inspect.isfunction(value) and value.__module__.startswith("pandapower.networks")


def _parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """A function name and its keyword arguments, which must be literals: nothing is evaluated."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            return node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError):
        pass
    raise GridInputError(
        f"pandapower:{text} is not understood: give a function name, with keyword arguments if any, "
        'such as pandapower:create_cigre_network_mv(with_der="all").'
    )


def _json_net(path: Path) -> Any:
    if not path.is_file():
        raise GridInputError(f"grid file {path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GridInputError(f"grid file {path} cannot be read: {error}") from error
    foreign = {m for m in _MODULE_KEY.findall(text) if m.partition(".")[0] not in _TRUSTED_PACKAGES}
    if foreign:
        raise GridInputError(
            f"grid file {path} asks for Python classes of {', '.join(sorted(foreign))}, which is refused: "
            "save the net with pandapower.to_json without controllers of your own."
        )
    import pandapower

    try:
        net = pandapower.from_json_string(text, convert=True)
    except Exception as error:
        raise GridInputError(f"grid file {path} is not a pandapower JSON file: {error}") from error
    if not isinstance(net, pandapower.pandapowerNet):
        raise GridInputError(f"grid file {path} is not a pandapower net: it holds {type(net).__name__}.")
    return net
