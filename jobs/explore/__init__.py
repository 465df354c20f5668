"""What people look at a dataset with: `sql`, and `explore` with its pages."""
