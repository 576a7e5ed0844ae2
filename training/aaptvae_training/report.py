"""`report.html`."""
def write_report(*a: object) -> None:
    """x"""
