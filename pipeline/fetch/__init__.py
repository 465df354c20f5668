"""Getting bytes from the web: scheduler, one request, address policy, robots.txt, rates, what failures mean."""
