"""The site-facing listener: collect, proxy, tunnel on one protocol."""
