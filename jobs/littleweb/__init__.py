"""A seeded little web: drawn pictures, captions and every planted defect, served on loopback."""
