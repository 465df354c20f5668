SELECT start, outcome, sum(pairs)::BIGINT AS pairs FROM outcomes_over_time GROUP BY start, outcome
