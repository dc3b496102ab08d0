"""What goroutines are doing and where: names cleaned, stacks made sites, sites clustered and compared in time; whose code it is."""
