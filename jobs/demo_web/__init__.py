"""The seeded web of the demo: pictures, captions, planted defects, the server."""
