"""`pairsieve-tiny`: its data, training and evaluation."""
