SELECT name, bin, low, high, pairs, kept FROM histograms
