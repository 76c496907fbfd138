"""The name of a delivery queue (pure): shared by those who fill lanes, keep them and empty them.

Law: a lane is an integration and the test code that was set when its records were accepted; stored and passed around as its key.
"""

from typing import NamedTuple


class Lane(NamedTuple):
    """One delivery queue: an integration and the test code that was set at acceptance (empty = live)."""

    integration: str
    test_code: str = ""

    @property
    def key(self) -> str:
        """The lane as stored: ``integration`` or ``integration|CODE`` (ids hold no ``|``)."""
        return f"{self.integration}|{self.test_code}" if self.test_code else self.integration

    @classmethod
    def parse(cls, key: str) -> "Lane":
        """The inverse of :attr:`key`."""
        integration, _, code = key.partition("|")
        return cls(integration, code)
