"""What it takes to run on a cluster: an image, and the files of its scheduler."""
