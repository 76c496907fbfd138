"""Who may do what on the management listener (pure: clock and entropy come in).

Law: tokens are compared in constant time and all of them every time. A session is a random id in a cookie that scripts cannot read; it is bounded in number and in time
and ends with the token it came from. Attempts to log in are rationed per address and in all.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gateway.admin.settings import AdminToken

Role = Literal["viewer", "editor"]
SESSION_S = 12 * 3600.0
COOKIE = "ttgateway_session"
_MAX_SESSIONS = 1000
_ATTEMPTS, _ATTEMPTS_IN_ALL, _WINDOW_S = 10, 100, 60.0
_MAX_ADDRESSES = 10_000


class Who(NamedTuple):
    """An authenticated caller. ``expires_at`` is 0 for a bearer token."""

    name: str
    role: Role
    expires_at: float = 0.0


class Access:
    """Tokens, sessions and rationed attempts."""

    def __init__(
        self,
        tokens: Sequence[AdminToken],
        allowed_hosts: Sequence[str],
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._now = now
        self._entropy = entropy
        self._sessions: dict[str, tuple[bytes, float]] = {}
        self._failures: dict[str, deque[float]] = {}
        self._all_failures: deque[float] = deque(maxlen=_ATTEMPTS_IN_ALL)
        self._tokens: dict[bytes, Who] = {}
        self.hosts: frozenset[str] = frozenset()
        self.reconfigure(tokens, allowed_hosts)

    def reconfigure(self, tokens: Sequence[AdminToken], allowed_hosts: Sequence[str]) -> None:
        """Put new tokens in force; sessions of those that are gone end."""
        self._tokens = {
            _digest(token.token.get_secret_value().strip()): Who(token.name, token.role)
            for token in tokens
            if token.token.get_secret_value().strip()
        }
        self.hosts = frozenset(host.lower() for host in allowed_hosts)
        self._sessions = {id_: held for id_, held in self._sessions.items() if held[0] in self._tokens}

    def of_token(self, token: str) -> Who | None:
        """Who holds ``token``."""
        digest, found = _digest(token), None
        for known, who in self._tokens.items():
            if hmac.compare_digest(known, digest):
                found = who
        return found

    def of_session(self, id_: str) -> Who | None:
        """Whose session it is."""
        held = self._sessions.get(id_)
        if held is None or held[1] < self._now():
            self._sessions.pop(id_, None)
            return None
        who = self._tokens.get(held[0])
        return who and who._replace(expires_at=held[1])

    def wait_s(self, address: str) -> int:
        """Seconds until ``address`` may try a token again; 0 = now."""
        now = self._now()
        waits = [
            int(kept[0] + _WINDOW_S - now) + 1
            for kept, most in ((self._failures.get(address), _ATTEMPTS), (self._all_failures, _ATTEMPTS_IN_ALL))
            if kept and len(kept) >= most and kept[0] + _WINDOW_S > now
        ]
        return max(waits, default=0)

    def failed(self, address: str) -> None:
        """A wrong token came from ``address``."""
        if len(self._failures) >= _MAX_ADDRESSES:
            self._failures.clear()
        self._failures.setdefault(address, deque(maxlen=_ATTEMPTS)).append(self._now())
        self._all_failures.append(self._now())

    def log_in(self, token: str) -> tuple[str, Who] | None:
        """(session id, who) for a token that is known."""
        who = self.of_token(token)
        if who is None:
            return None
        now = self._now()
        for id_ in [id_ for id_, (_, expires) in self._sessions.items() if expires < now]:
            del self._sessions[id_]
        while len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        id_ = self._entropy(32).hex()
        self._sessions[id_] = (_digest(token), now + SESSION_S)
        return id_, who._replace(expires_at=now + SESSION_S)

    def log_out(self, id_: str) -> None:
        """End a session."""
        self._sessions.pop(id_, None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
