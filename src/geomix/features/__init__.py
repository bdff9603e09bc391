"""Features: a frozen backbone embeds a packed data set once, and heads train on the result."""
