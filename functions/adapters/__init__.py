"""Each module turns one foreign thing into one of the protocols of core/. Only these name the libraries that reach outside."""
