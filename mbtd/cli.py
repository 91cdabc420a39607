"""Entry point of the ``mbtd`` command."""


def main() -> int:
    """Run the command line."""
    raise SystemExit(2)
