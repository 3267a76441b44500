"""The Lightning shell around a net."""
