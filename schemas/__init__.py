"""What everything else agrees on: columns, outcomes, the recipe, errors. Knows nothing above it."""
