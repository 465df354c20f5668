"""Filters learnt from pairs that a person has marked: labels, features, the fit, its evaluation."""
