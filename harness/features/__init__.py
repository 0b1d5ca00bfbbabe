"""From images to frozen self-supervised features: pre-training, extraction, import. Needs the extra `features`."""
