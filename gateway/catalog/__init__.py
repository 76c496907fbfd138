"""Pipelines and integrations: model (pure), compiled runtime (pure), store (io)."""
