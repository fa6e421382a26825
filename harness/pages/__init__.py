"""Pages of one HTML file that need no network: the report of a board, the graph of a trace."""
