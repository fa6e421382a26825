"""What others hand in: results checked and made again, and rankings of other methods given their curves."""
