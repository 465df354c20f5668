SELECT position, rule, entered, dropped, only_this, unmeasured, "left" AS survivors FROM funnel ORDER BY position
