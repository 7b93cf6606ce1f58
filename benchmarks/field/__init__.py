"""The whole field side by side: ``make field-report``, or ``python -m benchmarks.field``.

Every row (a method at clicks and scribbles, or a way to propagate) is measured in a process of its own and keeps what
it found in a file of its own, so that a report that was stopped goes on where it was.
"""
