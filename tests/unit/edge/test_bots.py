"""Who names itself a crawler is one; who does not is a visitor."""

import pytest

from gateway.edge import bots

VISITORS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_34.5.0 JsSdk/2.0 BytedanceWebview/d8a21c6",
    "Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 30 Build/SP1A.210812.016) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36 Telegram-Android/10.2",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 [FBAN/FBIOS;FBAV/431.0;FBDV/iPhone14,5]",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
]
BOTS = [
    "",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0)",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0 A",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh) Chrome-Lighthouse",
    "curl/8.5.0",
    "python-requests/2.32",
    "Python/3.11 aiohttp/3.14.5",
    "Go-http-client/1.1",
    "okhttp/4.12.0",
    "Slackbot_LinkExpanding 1.0",
    "Mozilla/5.0 (compatible; UptimeRobot/2.0)",
]


@pytest.mark.parametrize("user_agent", VISITORS)
def test_visitors(user_agent: str) -> None:
    assert not bots.is_bot(user_agent)
    assert not bots.is_bot(user_agent), "the remembered answer is the same"


@pytest.mark.parametrize("user_agent", BOTS)
def test_bots(user_agent: str) -> None:
    assert bots.is_bot(user_agent)
    assert bots.is_bot(user_agent)


def test_what_is_remembered_is_bounded() -> None:
    for number in range(10_000):
        bots.is_bot(f"Mozilla/5.0 number {number}")
    bots.is_bot("x" * 5000)
    assert len(bots._known) <= 8192
    assert max(map(len, bots._known)) <= 512
