"""Certificates for tests, made by the lesson's openssl: no key is a file of the project."""

from functools import cache

from tutor.lesson.openssl import Openssl

NEW = ["req", "-x509", "-newkey", "ec", "-nodes"]


def issue(files: dict[str, bytes], name: str, *options: str, subject: str = "", key: str = "") -> None:
    """Add a key and a certificate to files, `name.key` and `name.crt`."""
    made = ["-subj", subject or f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    new = NEW if not key else [*NEW[:3], key, *NEW[4:]]
    Openssl(files.get, files.__setitem__).run([*new, *made, *options])


@cache
def _issued() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    issue(files, "ca")
    issue(files, "stranger")
    issue(files, "redis", "-CA", "ca.crt", "-CAkey", "ca.key")
    issue(files, "web", "-CA", "ca.crt", "-CAkey", "ca.key", key="rsa:2048")
    return files


def issued() -> dict[str, bytes]:
    """Return an authority (`ca`), what it signed (`redis`, `web`), and a `stranger` that signed itself."""
    return dict(_issued())
