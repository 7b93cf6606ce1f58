"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no reason to fail; tests that bound a time do so themselves.
settings.register_profile("edgeflow", deadline=None)
settings.load_profile("edgeflow")
