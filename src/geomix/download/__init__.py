"""Download: fetch or write the raw files of a data set, check them, never edit them."""
