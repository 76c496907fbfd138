"""The demo shop: a small site for the gateway to stand in front of (io)."""
