"""Whatever an author writes, the loader answers with a scenario or with problems, never with anything else."""

import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError

ROOT = Path(__file__).parents[3]
SHIPPED = [yaml.safe_load(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "scenarios").glob("*.yaml"))]
JARGON = ("Input should", "Value error", "pydantic", "union", "discriminator", "NoneType", "Section")
# PyYAML makes dates of what looks like one; our files hold text there
SHIPPED = [{**tree, "start": "2016-01-18T12:00:00+01:00"} for tree in SHIPPED]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["11 kW", "NO", "ev", "17:30", "none"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "count", "at", "set", "x", "p_max_w"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def damaged(draw):
    """A shipped scenario with one to four places overwritten, removed or added."""
    tree = yaml.safe_load(yaml.safe_dump(draw(st.sampled_from(SHIPPED))))
    for _ in range(draw(st.integers(1, 4))):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(node[key], (dict, list)) or not node[key] or draw(st.booleans()):
                break
            node = node[key]
        if key is None:
            continue
        action = draw(st.sampled_from(["overwrite", "remove", "add"]))
        if action == "overwrite":
            node[key] = draw(values)
        elif action == "remove":
            del node[key]
        elif isinstance(node, dict):
            node[draw(st.sampled_from(["limits", "p_max", "kind", "x", "set", "seed"]))] = draw(values)
    return tree


@given(
    damaged(),
    st.lists(
        st.sampled_from(
            [
                "seed=x",
                "limits.voltage_min_pu=0.9",
                "participants.assets[7].count=1",
                "variants.a.set.x=1",
                "a[0]=3",
                "x.y.z=[1]",
            ]
        ),
        max_size=2,
    ),
)
@settings(max_examples=100, deadline=None)
def test_any_damage_is_explained(tree, overrides):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s.yaml"
        file.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), encoding="utf-8")
        try:
            load_scenario(file, overrides)
        except ScenarioError as error:
            for problem in error.problems:
                assert problem.message
                assert not any(
                    word in str(problem).replace(repr(problem.got), "")
                    for word in JARGON
                    if word not in problem.got
                ), str(problem)
