"""Pure mathematics under the strategies: arrays in, arrays out."""
