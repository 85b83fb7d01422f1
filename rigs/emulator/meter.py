"""The device's own meter: what its registers say, which a fault can make differ from what flowed."""

from rigs.emulator.process import PowerProcess


class Meter:
    """Mean power over the last step and rising counters.

    A lying meter (``scale`` other than 1 from a simulated time on) scales power and the *growth* of its
    counters, so that they stay continuous.
    """

    def __init__(self, process: PowerProcess) -> None:
        self._process = process
        self._true_export_wh = 0.0
        self._true_import_wh = 0.0
        self.export_wh = 0.0
        self.import_wh = 0.0
        self.mean_w = 0.0
        self._scale = 1.0
        self._scale_from_s = 0.0

    def lie(self, scale: float, from_s: float) -> None:
        """Scale what is registered from ``from_s`` on (steps that end after it)."""
        self._scale, self._scale_from_s = scale, from_s

    def restart(self) -> None:
        """Begin the counters at 0 again."""
        self._true_export_wh, self._true_import_wh = self._process.export_wh, self._process.import_wh
        self.export_wh = self.import_wh = 0.0

    def close(self, duration_s: float, now_s: float) -> None:
        """Register the step that just ended."""
        scale = self._scale if now_s > self._scale_from_s else 1.0
        exported_wh = (self._process.export_wh - self._true_export_wh) * scale
        imported_wh = (self._process.import_wh - self._true_import_wh) * scale
        self._true_export_wh, self._true_import_wh = self._process.export_wh, self._process.import_wh
        self.export_wh += exported_wh
        self.import_wh += imported_wh
        if duration_s > 0:
            self.mean_w = (exported_wh - imported_wh) * 3600 / duration_s
        else:
            self.mean_w = self._process.power_w * scale
