"""The durable queue. It moves bytes and knows no event."""
