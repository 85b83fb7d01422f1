"""The run folder: whole or absent, readable after a kill, the same for the same rows."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.export.errors import FolderExistsError, TableError
from adapters.export.run_folder import ROW_GROUP_ROWS, RunFolder

SCHEMAS = {
    "intervals": pa.schema([("interval", pa.int64()), ("price", pa.int64()), ("note", pa.string())]),
    "people": pa.schema(
        [("interval", pa.int64()), ("name", pa.string()), ("soc", pa.float64()), ("wire", pa.bool_())]
    ),
    "states": pa.schema([("interval", pa.int64()), ("v_pu", pa.list_(pa.float32()))]),
    "unused": pa.schema([("x", pa.int64())]),
}
NAMES = ("anna", "ben", "čeněk")


def make(path, **options):
    return RunFolder.create(path, {"schema_version": 1, "name": "t"}, schemas=SCHEMAS, **options)


def fill(folder, first, last):
    for k in range(first, last):
        folder.append("intervals", {"interval": [k], "price": [None if k % 2 else 7 * k], "note": ["n"]})
        folder.append(
            "people",
            {
                "interval": np.full(3, k),
                "name": NAMES,
                "soc": np.array([k / 10, np.nan, 0.5]),
                "wire": np.array([True, False, False]),
            },
        )
        folder.append("states", {"interval": [k], "v_pu": np.full((1, 4), 1 + k / 1000, dtype=np.float32)})


def manifest(path):
    return json.loads((path / "manifest.json").read_text())


def test_finished_tables_hold_what_was_appended(tmp_path):
    folder = make(tmp_path / "run", flush_rows=4)
    fill(folder, 0, 10)
    folder.finish("finished", {"wall_s": 1.5})

    intervals = pq.read_table(tmp_path / "run/intervals.parquet")
    assert intervals.schema.equals(SCHEMAS["intervals"])
    assert intervals["interval"].to_pylist() == list(range(10))
    assert intervals["price"].to_pylist() == [None if k % 2 else 7 * k for k in range(10)]
    people = pq.read_table(tmp_path / "run/people.parquet").to_pylist()
    assert len(people) == 30
    assert people[3]["name"] == "anna" and people[3]["soc"] == 0.1 and people[3]["wire"] is True
    assert np.isnan(people[4]["soc"])  # NaN stays a NaN: null would mean "not recorded"
    states = pq.read_table(tmp_path / "run/states.parquet")
    np.testing.assert_array_equal(states["v_pu"][9].as_py(), np.full(4, np.float32(1.009)))
    assert pq.read_table(tmp_path / "run/unused.parquet").num_rows == 0
    assert manifest(tmp_path / "run")["status"] == "finished" and manifest(tmp_path / "run")["wall_s"] == 1.5
    assert not list((tmp_path / "run").glob("*.parts")) and not list((tmp_path / "run").glob("*.tmp"))


def test_the_file_does_not_depend_on_when_parts_were_flushed(tmp_path):
    for name, flush_rows in (("a", 1), ("b", 7), ("c", 10**6)):
        folder = make(tmp_path / name, flush_rows=flush_rows)
        fill(folder, 0, 40)
        folder.finish("finished", {})
    for table in SCHEMAS:
        first, *others = [(tmp_path / name / f"{table}.parquet").read_bytes() for name in "abc"]
        assert all(other == first for other in others), table


def test_parts_of_all_tables_end_at_the_same_interval(tmp_path):
    folder = make(tmp_path / "run", flush_rows=4)
    fill(folder, 0, 10)
    folder.wait()
    last = {
        table: max(
            max(pq.read_table(part)["interval"].to_pylist())
            for part in (tmp_path / "run" / f"{table}.parts").iterdir()
        )
        for table in ("intervals", "people", "states")
    }
    assert last == {"intervals": 7, "people": 7, "states": 7}
    assert manifest(tmp_path / "run")["status"] == "running"


def test_a_part_that_cannot_be_written_is_told_at_the_next_flush(tmp_path, monkeypatch):
    import adapters.export.run_folder as module

    def full(path, write):
        raise OSError(28, "No space left on device")

    folder = make(tmp_path / "run", flush_rows=2)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", full)
        fill(folder, 0, 3)
        with pytest.raises(OSError, match="No space left"):
            folder.flush()
    fill(folder, 3, 6)
    folder.finish("failed", {})
    assert pq.read_table(tmp_path / "run/intervals.parquet")["interval"].to_pylist() == [2, 3, 4, 5]


def test_old_rows_are_flushed_by_the_clock(tmp_path):
    now_s = 0.0
    folder = make(tmp_path / "run", max_age_s=5, clock=lambda: now_s)
    fill(folder, 0, 3)
    assert not (tmp_path / "run/intervals.parts").exists()
    now_s = 5.0
    fill(folder, 3, 4)
    folder.wait()
    assert pq.read_table(tmp_path / "run/intervals.parts/part-00000.parquet").num_rows == 3


def test_row_groups_are_bounded(tmp_path):
    folder = make(tmp_path / "run")
    n = ROW_GROUP_ROWS + 10
    for _ in range(3):
        folder.append("people", {"interval": np.arange(n), "soc": np.zeros(n)})
        folder.flush()
    folder.finish("finished", {})
    metadata = pq.read_metadata(tmp_path / "run/people.parquet")
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [ROW_GROUP_ROWS] * 3 + [30]
    interval = pq.read_table(tmp_path / "run/people.parquet")["interval"].to_numpy()
    np.testing.assert_array_equal(interval, np.tile(np.arange(n), 3))


def test_a_caller_may_reuse_its_arrays(tmp_path):
    folder = make(tmp_path / "run")
    soc = np.zeros(3)
    names = list(NAMES)
    folder.append("people", {"soc": soc, "name": names})
    soc[:] = 9
    names[:] = ["x"] * 3
    folder.finish("finished", {})
    people = pq.read_table(tmp_path / "run/people.parquet")
    assert people["soc"].to_pylist() == [0, 0, 0] and people["name"].to_pylist() == list(NAMES)
    assert people["wire"].to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("table", "columns", "words"),
    [
        ("persons", {"interval": [1]}, "unknown table 'persons'"),
        ("intervals", {"intervall": [1]}, "intervall"),
        ("intervals", {"interval": [1], "price": [1, 2]}, "price 2"),
        ("intervals", {}, "none given"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, table, columns, words):
    folder = make(tmp_path / "run")
    with pytest.raises(TableError, match=words):
        folder.append(table, columns)
    folder.finish("finished", {})
    assert pq.read_table(tmp_path / "run/intervals.parquet").num_rows == 0


@pytest.mark.parametrize("value", ["seven", 7.5, 2**70, np.array([0.5])])
def test_a_wrong_type_names_table_and_column(tmp_path, value):
    folder = make(tmp_path / "run")
    folder.append("intervals", {"price": value if isinstance(value, np.ndarray) else [value]})
    with pytest.raises(TableError, match=r"intervals, column price \(int64\)"):
        folder.flush()
    folder.append("intervals", {"price": [5]})
    folder.finish("failed", {})  # a run that fails is closed all the same
    assert pq.read_table(tmp_path / "run/intervals.parquet")["price"].to_pylist() == [5]
    assert manifest(tmp_path / "run")["status"] == "failed"


def test_json_is_strict_and_whole(tmp_path):
    folder = make(tmp_path / "run")
    folder.write_json(
        "kpis.json", {"a": float("nan"), "b": np.int64(3), "c": [np.float64("inf"), 0.1], "d": "µ€"}
    )
    content = json.loads((tmp_path / "run/kpis.json").read_text(), parse_constant=pytest.fail)
    assert content == {"a": None, "b": 3, "c": [None, 0.1], "d": "µ€"}
    with pytest.raises(TypeError, match="object"):
        folder.write_json("kpis.json", {"a": object()})
    assert json.loads((tmp_path / "run/kpis.json").read_text()) == content


class TestRoom:
    def test_an_empty_folder_is_taken(self, tmp_path):
        make(tmp_path)
        assert manifest(tmp_path)["status"] == "running"

    def test_an_earlier_run_is_replaced_only_when_asked(self, tmp_path):
        make(tmp_path / "run").write_json("old.json", {})
        with pytest.raises(FolderExistsError, match="earlier run"):
            make(tmp_path / "run")
        assert (tmp_path / "run/old.json").exists()
        make(tmp_path / "run", replace=True)
        assert not (tmp_path / "run/old.json").exists()

    @pytest.mark.parametrize("content", [None, "{}", '{"status": "finished"}', "not json", "[1]"])
    def test_a_folder_that_is_not_ours_is_never_deleted(self, tmp_path, content):
        (tmp_path / "thesis.tex").write_text("years of work")
        if content is not None:
            (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(FolderExistsError, match="left alone"):
            make(tmp_path, replace=True)
        assert (tmp_path / "thesis.tex").read_text() == "years of work"

    def test_a_file_and_a_link_are_refused(self, tmp_path):
        (tmp_path / "file").write_text("x")
        make(tmp_path / "run")
        (tmp_path / "link").symlink_to(tmp_path / "run")
        for name in ("file", "link"):
            with pytest.raises(FolderExistsError):
                make(tmp_path / name, replace=True)
        assert (tmp_path / "run/manifest.json").exists()


def test_a_killed_run_says_so_and_keeps_its_parts(tmp_path):
    """A real process, a real SIGKILL, at whatever point it happens to be."""
    script = textwrap.dedent(
        """
        import sys, pathlib, numpy as np, pyarrow as pa
        from adapters.export.run_folder import RunFolder
        schema = pa.schema([("interval", pa.int64()), ("v", pa.float64())])
        folder = RunFolder.create(
            pathlib.Path(sys.argv[1]), {}, schemas={"intervals": schema, "people": schema}, flush_rows=5,
            max_age_s=1e9)
        k = 0
        while True:
            folder.append("intervals", {"interval": [k], "v": [k / 2]})
            folder.append("people", {"interval": [k, k], "v": [k, -k]})
            k += 1
        """
    )
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    try:
        deadline = time.monotonic() + 120
        while len(list(path.glob("people.parts/*.parquet"))) < 3:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert manifest(path)["status"] == "running"
    for table, per_interval in (("intervals", 1), ("people", 2)):
        parts = sorted(path.glob(f"{table}.parts/part-*.parquet"))
        rows = pa.concat_tables([pq.read_table(part) for part in parts])
        k = rows["interval"].to_numpy()
        np.testing.assert_array_equal(k, np.repeat(np.arange(len(k) // per_interval), per_interval))
        assert len(k) == 5 * per_interval * len(parts)


def test_lists_without_a_single_value_keep_their_type(tmp_path):
    schemas = {"refusals": pa.schema([("codes", pa.list_(pa.string())), ("ids", pa.list_(pa.int64()))])}
    folder = RunFolder.create(tmp_path / "run", {"schema_version": 1, "name": "t"}, schemas=schemas)
    folder.append("refusals", {"codes": [[], []], "ids": [[], []]})
    folder.finish("finished", {})
    table = pq.read_table(tmp_path / "run" / "refusals.parquet")
    assert table.schema.equals(schemas["refusals"])
    assert table.to_pydict() == {"codes": [[], []], "ids": [[], []]}
