"""Windows over readings, sites and censuses of a whole fleet, in columns: what happened lately, ready to be judged."""
