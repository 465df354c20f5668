"""CLIP and other networks: find, load, run at a precision; the shipped `pairsieve-tiny`."""
