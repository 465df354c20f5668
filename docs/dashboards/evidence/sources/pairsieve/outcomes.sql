SELECT outcome, pairs FROM outcomes
