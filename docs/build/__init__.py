"""The builder of the book: `python -m docs.build` writes a site of HTML pages from the Markdown pages and the code that they show."""
