"""One module per page: what a person sees."""
