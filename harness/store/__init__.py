"""The Parquet store of a study directory: its tables, where it lies, writing, reading, checking and merging."""
