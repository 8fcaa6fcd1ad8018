"""What the conformance suites of parts need from elsewhere."""

from tests.system.named import named

__all__ = ["named"]
