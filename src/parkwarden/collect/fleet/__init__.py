"""A fleet: targets -> readings, sites, censuses, captures; what each look costs the watched, and that nobody is hurt."""
