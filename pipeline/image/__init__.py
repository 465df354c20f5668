"""From the bytes of an image to the stored image, and from the stored image back to pixels."""
