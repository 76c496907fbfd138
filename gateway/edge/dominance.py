"""Whether one address sends most of the events (pure: told once a second, without a clock).

Law: addresses stay here; what leaves is a share and a kind. Of each second only the busiest address is looked at, and a majority vote over seconds finds
the one that dominates, if any does, with the memory of one. Behind a proxy that is not trusted all visitors seem to be that proxy: this is how it shows.
"""

import ipaddress
from collections.abc import Mapping

KEEP = 0.995
"""What remains of the counts after a second: the last few minutes decide."""
ENOUGH = 50.0
"""Events before a share says anything."""


class Dominance:
    """The busiest address of late."""

    def __init__(self) -> None:
        self._address = ""
        self._lead = 0.0
        self._of_it = 0.0
        self._of_all = 0.0

    def second(self, counts: Mapping[object, int]) -> None:
        """A second is over: events by (pipeline, address); other keys are left out."""
        sums: dict[str, int] = {}
        for key, n in counts.items():
            if type(key) is tuple:
                sums[key[1]] = sums.get(key[1], 0) + n
        if not sums:
            return
        busiest = max(sums, key=sums.__getitem__)
        total = sum(sums.values())
        self._of_all = self._of_all * KEEP + total
        self._of_it *= KEEP
        if busiest == self._address:
            self._lead += sums[busiest]
        else:
            self._lead -= sums[busiest]
            if self._lead < 0:
                self._address, self._lead, self._of_it = busiest, sums[busiest], 0.0
        self._of_it += sums.get(self._address, 0)

    def share(self) -> tuple[str, float]:
        """(kind of the busiest address: ``public``, ``private``, ``none``; its share of the events of the last minutes)."""
        if self._of_all < ENOUGH:
            return "none", 0.0
        try:
            kind = "public" if ipaddress.ip_address(self._address).is_global else "private"
        except ValueError:
            kind = "private"
        return kind, self._of_it / self._of_all
