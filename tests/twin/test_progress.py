"""The progress bar says where the run is, and is silent where nobody looks."""

import io

from twin.progress import BarProgress, silent


def test_the_bar_shows_intervals_simulated_time_and_speed():
    stream = io.StringIO()
    with BarProgress(interval_s=900, stream=stream) as bar:
        bar._bar.console.width = 200
        bar.start("gated", 96)
        bar.advance(48, "2016-01-18T12:00:00+01:00")
        (task,) = bar._bar.tasks
        assert (task.completed, task.total) == (48, 96)
        assert task.fields["now"] == "2016-01-18 12:00"
        speed = float(task.fields["speed"].rstrip("x").replace(",", ""))
        assert speed > 48 * 900, "half a day took less than a second"
        bar.finish()
        bar.advance(49, "2016-01-18T12:15:00+01:00")
        assert task.completed == 48, "what is finished stays"
        bar.start("local", 96)
        assert [t.description for t in bar._bar.tasks] == ["gated", "local"]


def test_silence():
    silent.start("x", 3)
    silent.advance(1, "2016-01-18T12:00:00+01:00")
    silent.finish()
    silent.finish()
