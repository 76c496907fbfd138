"""ttgateway: a first-party edge gateway for TikTok's Events API.

The way of one event:

A browser asks the site's own domain. **edge** reads the request on one asyncio protocol; ordinary traffic goes on to the
site's app untouched, and what lies below the first-party prefix is collected. **event** parses whichever wire format came
into one canonical event. **consent** decides; without a grant nothing is stored and no cookie is set. **identity** seals:
it normalises and hashes, resolves the visitor's address, browser id and click id, and redacts what looks personal anywhere
else, so that from here on no raw e-mail or phone number exists. **spool** makes one record per event and integration
durable; only then is the request answered 2xx. **delivery** leases records per lane, has **mapping** turn the sealed event
into TikTok's data item with the integration's current mapping, posts batches, and settles each record by TikTok's verdict.
Every step reports an **outcome** from one closed set, which metrics, logs and the live feed derive from.

Upper rooms import lower ones, never the other way round; ``pyproject.toml`` holds the contracts.
"""

__version__ = "0.1.0"
