"""What the gateway is measured beside: bare aiohttp, a straightforward aiohttp proxy, nginx."""
