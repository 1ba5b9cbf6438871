"""The command `refdiff demo`: train and sample on 2-D data, score the samplers, and draw the figure."""
