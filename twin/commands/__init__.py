"""One file per subcommand: ``add_arguments(parser)`` and ``execute(arguments) -> exit code``."""
