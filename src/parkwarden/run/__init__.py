"""The stages wired together, one module per command: diagnose, trace, export, and the lab that makes things to diagnose."""
