"""The outside world coming in: files, folders, standard input, live services; what a look may cost (limits)."""
