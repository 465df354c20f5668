SELECT rule, other, pairs FROM rule_overlaps
