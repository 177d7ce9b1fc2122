"""."""
def report():
    return ""
