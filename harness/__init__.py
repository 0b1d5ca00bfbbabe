"""How to run: data, specifications, the learner, the trajectory loop, the Ray shell, the Parquet store."""
