"""Several instances, one of them the writer: consensus, its store, its wire and its lease."""
