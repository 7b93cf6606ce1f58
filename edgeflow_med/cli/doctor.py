"""``edgeflow-med doctor``."""


def doctor() -> None:
    """Say what is here."""
