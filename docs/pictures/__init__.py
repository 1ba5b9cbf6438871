"""The pictures of the book, drawn by matplotlib from what refdiff computes."""
