"""Content-addressed storage: two stores behind one interface, the gateway, and the fetcher."""
