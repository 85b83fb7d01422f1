"""``twin schema``: the JSON Schema of scenario files."""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin schema`` understands: nothing but a hint how to use it."""
    parser.epilog = "use in an editor: # yaml-language-server: $schema=./scenario.schema.json"


def execute(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from twin.scenario.keys import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
