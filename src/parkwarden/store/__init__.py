"""What outlives the process: state (SQL), history (journal and Parquet), evidence (files)."""
