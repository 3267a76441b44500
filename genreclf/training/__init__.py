"""The Lightning shell around a net, its figures and its record."""
