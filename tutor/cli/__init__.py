"""The command line: the same agent and store as the app, for terminals, pipes and programs."""

from tutor.cli.main import main

__all__ = ["main"]
