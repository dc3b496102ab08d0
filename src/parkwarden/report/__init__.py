"""What was found, shown: terminal, JSON, HTML and files for other tools; pure functions of the model, redacted and inert."""
