"""Errors of the export adapters. The class says what the caller can do."""


class ExportError(Exception):
    """Base of all export errors."""


class FolderExistsError(ExportError, FileExistsError):
    """The output folder is in use: name another one, or pass ``replace`` where it holds an older run."""


class TableError(ExportError, ValueError):
    """Rows do not fit their table. The text names table and column; nothing of the call was kept."""
