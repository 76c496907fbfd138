"""The resources of the management API, a module each.

Law: a module declares its operations in ``operations``; here they are put together, and nowhere else.
"""

from gateway.admin.api import catalogue, dead, erase, integrations, live, mappings, overview, pipelines, revisions, session
from gateway.admin.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *session.operations,
    *catalogue.operations,
    *integrations.operations,
    *mappings.operations,
    *pipelines.operations,
    *revisions.operations,
    *overview.operations,
    *live.operations,
    *dead.operations,
    *erase.operations,
)
