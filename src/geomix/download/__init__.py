"""Download: fetch or draw the raw images of a data set, check them, never edit them."""
