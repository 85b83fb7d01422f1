"""Compiled code that its sources have outrun is dropped, once, and only where the market core's sources differ."""

from twin.compiled import drop_stale_code


def project(folder, source="x = 1\n"):
    cache = folder / "market" / "__pycache__"
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "market" / "arithmetic.py").write_text(source)
    for name in (
        "amm_kernels.buy-1.py311.nbi",
        "amm_kernels.buy-1.py311.1.nbc",
        "arithmetic.cpython-311.pyc",
    ):
        (cache / name).write_bytes(b"compiled")
    return cache


def test_compiled_callers_go_with_the_formula_they_were_compiled_from(tmp_path):
    cache = project(tmp_path)
    assert drop_stale_code(tmp_path)
    assert [p.suffix for p in sorted(cache.iterdir())] == [".pyc", ".sha256"]
    project(tmp_path)
    assert not drop_stale_code(tmp_path)
    assert len(list(cache.glob("*.nb*"))) == 2
    project(tmp_path, "x = 2\n")
    assert drop_stale_code(tmp_path)
    assert not list(cache.glob("*.nb*"))


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "__pycache__").write_text("a file where the folder should be")
    assert not drop_stale_code(tmp_path)
