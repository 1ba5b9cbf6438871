"""The book: Markdown pages, and the program that makes a site of them, `python -m docs.build`."""
