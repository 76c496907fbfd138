"""From mapped items to a request body (pure).

Law: one request is one pixel, one source, one test code; each item is serialised once, and the test code stands at the root.
"""

from collections.abc import Sequence

import orjson


def body(pixel_code: str, test_code: str, items: Sequence[bytes]) -> bytes:
    """The request body for serialised items. It may have a megabyte: no copy of it is made for each of its parts."""
    head = b'{"event_source":"web","event_source_id":' + orjson.dumps(pixel_code)
    if test_code:
        head += b',"test_event_code":' + orjson.dumps(test_code)
    return b"".join((head, b',"data":[', b",".join(items), b"]}"))
