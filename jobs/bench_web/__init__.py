"""`bench web`: the pace at which a web with latencies, failures and silent hosts is fetched."""
