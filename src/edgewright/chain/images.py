"""Pictures that clients send, read as the recipes read them; needs the extra `vision`."""

from edgewright._pictures import Picture, read_picture


def decode_image(content: bytes) -> Picture:
    """A picture as upright RGB [height, width, 3] over the fixed background.

    Raises:
        InputError: no picture, broken, or of too many pixels.
    """
    return read_picture(content, source="the picture")
