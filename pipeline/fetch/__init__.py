"""Getting bytes from the web: scheduler, request, addresses, rates, concurrency."""
