"""Mapping a sealed event to TikTok's data item: presets as data, compiled programs, TikTok's rules (pure)."""
