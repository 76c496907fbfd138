"""The management UI's pages: shells (Jinja2), ES modules and one stylesheet, shipped as they are.

Law: the pages hold no data and no secret; whatever they show they ask the JSON API for, as any other client would. Strings from there are an attacker's: the modules build
elements and set ``textContent``, never markup. No inline script or style, nothing from another host.
"""
