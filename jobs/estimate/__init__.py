"""`estimate`: what a run will leave and cost, foretold from a sample of its pairs."""
