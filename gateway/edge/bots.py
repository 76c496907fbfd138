"""Crawlers and monitors by their user agent (pure).

Law: only what names itself is recognised; a browser is never taken for a bot because it is unusual. The answer is cached by user agent, bounded.
"""

import re

# CUBOT is a maker of telephones; Telegram's and WhatsApp's own browsers are their users', their fetchers name themselves.
_BOT = re.compile(
    r"(?<!cu)bot(?:\b|[_\d])|crawl|spider|slurp|mediapartners|facebookexternalhit|meta-external|whatsapp/|preview|headlesschrome|phantomjs|lighthouse"
    r"|pingdom|uptime|statuscake|monitor|curl/|wget/|python-requests|python-urllib|aiohttp/|go-http-client|java/|okhttp/|libwww|scrapy|httpclient|node-fetch"
    r"|axios/|gptbot|claudebot|ccbot|bytespider|petalbot|ahrefs|semrush|dataforseo|screaming frog",
    re.IGNORECASE,
)
_known: dict[str, bool] = {}
_MEMO = 8192


def is_bot(user_agent: str) -> bool:
    """Whether the user agent names a crawler, a monitor or a script; an empty one does too, as no browser omits it."""
    if not user_agent:
        return True
    known = _known.get(user_agent)
    if known is None:
        known = _BOT.search(user_agent[:512]) is not None
        if len(user_agent) <= 512:
            if len(_known) >= _MEMO:
                _known.clear()
            _known[user_agent] = known
    return known
