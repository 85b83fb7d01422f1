"""The report in a real Chromium: it draws what the run recorded, moves when asked to, and complains about nothing."""

import numpy as np
import pytest

from twin.report.render import write_report
from twin.results import RunResult

pytestmark = pytest.mark.slow

VOLTAGES = "[...document.querySelectorAll('#map circle[data-b]')].map(c => +c.dataset.v)"
COLOURS = "[...document.querySelectorAll('#map circle[data-b]')].map(c => c.getAttribute('fill')).join()"
MOVE = "(k => {{ const s = document.getElementById('slot'); s.value = k; s.dispatchEvent(new Event('input')); }})({})"


def press(browser, key, code):
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def test_the_slider_moves_the_feeder(browser, day):
    browser.open(day / "report.html")
    states = RunResult(day).table("grid_states")["v_pu"].to_pylist()
    seen = set()
    for k in (0, 30, 95):
        browser.run(MOVE.format(k))
        np.testing.assert_allclose(browser.run(VOLTAGES), states[k], atol=1e-5)
        seen.add(browser.run(COLOURS))
    assert len(seen) == 3
    assert browser.run("document.getElementById('when').textContent") == "Tue 19 Jan 2016, 11:45"
    browser.run("document.getElementById('slot').focus()")
    press(browser, "ArrowLeft", 37)
    np.testing.assert_allclose(browser.run(VOLTAGES), states[94], atol=1e-5)
    assert browser.problems == []


def test_variants_charts_and_links(browser, day):
    browser.open(day / "report.html")
    supplier = RunResult(day).variant("supplier").table("grid_states")["v_pu"].to_pylist()
    browser.run(MOVE.format(30))
    browser.run("document.querySelector('#variants input').click()")
    np.testing.assert_allclose(browser.run(VOLTAGES), supplier[30], atol=1e-5)
    assert browser.run("document.querySelectorAll('.uplot').length") == 8
    painted = browser.run(
        "[...document.querySelectorAll('.u-wrap canvas')].every(c => {"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return new Set(new Uint32Array(d.buffer)).size > 5; })"
    )
    assert painted
    row = RunResult(day).variant("supplier").table("violations").to_pylist()[0]
    browser.run("document.querySelector('.goto[data-variant=supplier]').click()")
    assert int(browser.run("document.getElementById('slot').value")) == row["worst_interval"]
    chosen = "document.getElementById('element').selectedOptions[0].textContent"
    assert browser.run(chosen) == row["element"]
    readout = browser.run("document.getElementById('readout').textContent")
    assert f"{row['value']:.1f}" in readout and row["element"] in readout
    assert browser.problems == []


def test_play_sort_hover(browser, day):
    browser.open(day / "report.html")
    browser.run(MOVE.format(10))
    browser.run("document.getElementById('play').click()")
    browser.wait("document.getElementById('slot').value > 10")
    browser.run("document.getElementById('play').click()")
    browser.run(
        "document.querySelector('#map circle[data-b=\"5\"]').dispatchEvent("
        "new PointerEvent('pointermove', {bubbles: true, clientX: 50, clientY: 50}))"
    )
    tip = browser.run("document.querySelector('.tip').textContent")
    assert "LV1 Bus 5" in tip and "pu" in tip and "LV1 Load 4: feeds in" in tip
    browser.run("document.querySelectorAll('table.sortable th button')[6].click()")
    bills = browser.run(
        "[...document.querySelectorAll('table.sortable tbody tr')].map(r => +r.cells[6].dataset.value)"
    )
    assert bills == sorted(bills, reverse=True) and bills[0] > bills[-1]
    assert browser.problems == []


def test_hostile_names_do_nothing(browser, synthetic, tmp_path):
    bad = '</script><img src=x onerror="window.hacked=1"><svg onload="window.hacked=1">'
    variants = [{**v, "title": bad} for v in synthetic.VARIANTS]
    folder = synthetic.build(tmp_path / "r", variants=variants, house=bad + " {}", title=bad)
    browser.open(write_report(folder))
    browser.run(MOVE.format(3))
    assert browser.run("window.hacked === undefined && !document.querySelector('img')")
    assert browser.run("document.querySelector('#variants label').textContent") == bad
    assert browser.problems == []


def test_the_first_screen_holds_the_verdict_and_the_table_of_variants(browser, day):
    browser.size(1280, 900)
    browser.open(day / "report.html")
    bottom = "document.querySelector('table.variants').getBoundingClientRect().bottom"
    assert browser.run(bottom) <= 900
    assert browser.run("document.querySelectorAll('table.variants tbody tr').length") >= 15


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(browser, day, width):
    browser.size(width, 844, mobile=width < 600)
    browser.open(day / "report.html")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.problems == []


def test_what_is_missing_is_no_error(browser, synthetic, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    browser.open(write_report(tmp_path))
    killed = synthetic.build(tmp_path / "killed", variants=synthetic.VARIANTS[2:], status=None)
    browser.open(write_report(killed))
    assert browser.run("document.getElementById('slot').max") == "79"
    assert browser.problems == []
