"""The resources of the management API, a module each.

Law: a module declares its operations in ``operations``; here they are put together, and nowhere else.
"""

from gateway.admin.api import dead, entries, erase, live, overview, session
from gateway.admin.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *session.operations,
    *entries.operations,
    *overview.operations,
    *live.operations,
    *dead.operations,
    *erase.operations,
)
