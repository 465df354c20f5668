"""Getting bytes from the web: scheduler, request, addresses, robots.txt, rates, diagnosis."""
