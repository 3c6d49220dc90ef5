"""What the Simple API says, as bytes that are rendered once: by media type and encoding, and remembered while true.

Begin with `render`; `catalog` remembers, `negotiation` and `conditions` say what a client asked for.
"""
