"""The live ruler: real Go programs that leak while they serve, and innocent ones that look alike, asked by `parkwarden check`."""
