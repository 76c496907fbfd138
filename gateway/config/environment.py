"""The one file that reads the environment (io)."""

import os


def variables() -> dict[str, str]:
    """A copy of the process's environment."""
    return dict(os.environ)  # noqa: TID251 - this is that one file
