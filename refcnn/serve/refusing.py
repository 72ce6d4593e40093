"""What a client asks for that it cannot have, and can mend."""


class Refusal(Exception):
    """Something that is wrong with a request; the text is for the client."""
