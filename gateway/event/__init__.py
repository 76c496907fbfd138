"""The canonical event and one parser per wire format (pure)."""
