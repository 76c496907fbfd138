"""The management listener: a JSON API below ``/api/v1/`` and the UI's pages, which are its client.

Law: a leaf. It knows the catalogue and the spool's interface; whatever else it needs – previews, test sends, the store – is injected through :class:`gateway.admin.desk.Desk`.
It has a listener of its own, so that no fault and no load here reaches the visitors. Access tokens and raw personal data are in none of its answers.
"""
