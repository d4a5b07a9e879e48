"""Files of the live world: the file effects, carried out."""


class Files:
    """Carries out file effects."""
