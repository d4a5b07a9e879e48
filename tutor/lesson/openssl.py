"""openssl in a lesson's shell: `req -x509`, `x509 -noout`, `verify` and `version`.

Keys and certificates are real: the `cryptography` package makes and verifies them, with the extensions that OpenSSL 3
adds, and the texts are those of OpenSSL 3.0. No key is a file of the course: each machine gets its own.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

VERSION = "OpenSSL 3.0.15 3 Sep 2024 (Library: OpenSSL 3.0.15 3 Sep 2024)"
RSA_BITS = range(1024, 4097)
DAYS_MAX = 36500
USAGE = """\
openssl: this small shell knows
  openssl req -x509 -newkey rsa:2048 -nodes -days N -subj /CN=NAME -keyout KEY -out CERTIFICATE [-CA FILE -CAkey FILE]
  openssl x509 -in FILE -noout -subject -issuer -dates
  openssl verify -CAfile FILE CERTIFICATE
  openssl version"""
_VALUES = {
    "req": ("-newkey", "-keyout", "-out", "-days", "-subj", "-CA", "-CAkey", "-key"),
    "x509": ("-in",),
    "verify": ("-CAfile",),
    "version": (),
}
_FLAGS = {
    "req": ("-x509", "-new", "-nodes", "-noenc", "-sha256", "-batch"),
    "x509": ("-noout", "-subject", "-issuer", "-dates", "-enddate", "-startdate"),
    "verify": (),
    "version": (),
}
_NAMES = {"CN": "2.5.4.3", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11"}
_KEY = "private key"


class OpensslError(Exception):
    """What the program prints when it cannot do something."""


class Openssl:
    """The program on one machine. `read` returns None for a file that does not exist; `write` raises OSError."""

    def __init__(self, read: Callable[[str], bytes | None], write: Callable[[str, bytes], None]) -> None:
        self._read, self._write = read, write

    def run(self, words: Sequence[str]) -> str:
        """Return what `openssl WORDS` prints. Raises OpensslError."""
        name, *rest = words or ["help"]
        if name not in _VALUES:
            raise OpensslError(USAGE if name == "help" else f"Invalid command '{name}'; type \"help\" for a list.")
        options: dict[str, str] = {}
        names: list[str] = []
        todo = iter(rest)
        for word in todo:
            if word in _VALUES[name]:
                value = next(todo, None)
                if value is None:
                    raise OpensslError(f"{name}: Option {word} needs a value\n{name}: Use -help for summary.")
                options[word] = value
            elif word in _FLAGS[name]:
                options[word] = ""
            elif word.startswith("-"):
                raise OpensslError(f"{name}: Unknown option or message digest: {word[1:]}\n{USAGE}")
            else:
                names.append(word)
        if names and name != "verify":
            raise OpensslError(f"{name}: Use -help for summary.\n{USAGE}")
        match name:
            case "req":
                return self._request(options)
            case "x509":
                return self._show(options)
            case "verify":
                return self._verify(options, names)
        return f"{VERSION}\n"

    # -- files

    def _certificate(self, name: str, what: str) -> "x509.Certificate":
        from cryptography import x509

        data = self._read(name)
        if data is None:
            raise OpensslError(f"Could not open file or uri for loading {what} from {name}\nUnable to load {what}")
        try:
            return x509.load_pem_x509_certificate(data)
        except ValueError:
            raise OpensslError(f"Could not read {what} from {name}\nUnable to load {what}") from None

    def _private(self, name: str, what: str) -> "CertificateIssuerPrivateKeyTypes":
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        data = self._read(name)
        if data is None:
            raise OpensslError(f"Could not open file or uri for loading {what} from {name}")
        try:
            key = serialization.load_pem_private_key(data, None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise OpensslError(f"Could not read {what} from {name}")
        return key

    # -- commands

    def _request(self, options: dict[str, str]) -> str:
        """Make a key and a certificate for it, signed by itself or by an authority."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        if "-x509" not in options:
            raise OpensslError(f"req: this small shell makes certificates, not requests: add -x509\n{USAGE}")
        if not {"-nodes", "-noenc"} & options.keys() and "-key" not in options:
            raise OpensslError("req: this small shell cannot ask for a pass phrase for the key: add -nodes")
        if "-subj" not in options:
            raise OpensslError("req: this small shell cannot ask for the subject's name: add -subj /CN=NAME")
        subject = _name(options["-subj"])
        if not re.fullmatch(r"\d{1,5}", days := options.get("-days", "30")):
            raise OpensslError(f'req: Can\'t parse "{days}" as a number\nreq: Use -help for summary.')
        if not 0 < int(days) <= DAYS_MAX:
            raise OpensslError(f"req: this small shell makes certificates for 1 to {DAYS_MAX} days")
        if "-key" in options:
            key, made = self._private(options["-key"], _KEY), False
        elif "-newkey" in options:
            key, made = _new_key(options["-newkey"]), True
        else:
            raise OpensslError("req: which key? Add -newkey rsa:2048, or -key FILE")
        issuer, signs, issuer_key = subject, key, key.public_key()
        if ("-CA" in options) != ("-CAkey" in options):
            missing = "-CAkey" if "-CA" in options else "-CA"
            raise OpensslError(f"req: an authority signs with its certificate and its key: add {missing} FILE")
        if "-CA" in options:
            authority = self._certificate(options["-CA"], "issuer certificate from -CA arg")
            signs = self._private(options["-CAkey"], "issuer private key from -CAkey arg")
            if authority.public_key() != signs.public_key():
                raise OpensslError("Issuer CA certificate and key do not match")
            issuer, issuer_key = authority.subject, signs.public_key()
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=int(days)))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signs, hashes.SHA256())
        )
        said = ""
        if made:
            private = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            self._write(options.get("-keyout", "privkey.pem"), private)
            said = "-----\n"  # behind the dots of the progress
        text = certificate.public_bytes(serialization.Encoding.PEM)
        if "-out" not in options:
            return said + text.decode()
        self._write(options["-out"], text)
        return said

    def _show(self, options: dict[str, str]) -> str:
        from cryptography.hazmat.primitives import serialization

        if "-in" not in options:
            raise OpensslError(f"x509: which file? Add -in FILE\n{USAGE}")
        found = self._certificate(options["-in"], "certificate")
        rows = {
            "-subject": f"subject={_shown(found.subject)}",
            "-issuer": f"issuer={_shown(found.issuer)}",
            "-startdate": f"notBefore={_date(found.not_valid_before_utc)}",
            "-enddate": f"notAfter={_date(found.not_valid_after_utc)}",
        }
        asked = dict.fromkeys(
            each for option in options for each in (("-startdate", "-enddate") if option == "-dates" else (option,))
        )
        text = "".join(f"{rows[option]}\n" for option in asked if option in rows)
        return text + ("" if "-noout" in options else found.public_bytes(serialization.Encoding.PEM).decode())

    def _verify(self, options: dict[str, str], names: list[str]) -> str:
        from cryptography.exceptions import InvalidSignature

        if not names:
            raise OpensslError(f"verify: which certificate?\n{USAGE}")
        trusted = []
        if "-CAfile" in options:
            if self._read(options["-CAfile"]) is None:
                raise OpensslError(f"Error loading file {options['-CAfile']}")
            trusted.append(self._certificate(options["-CAfile"], "certificate"))
        text = ""
        for name in names:
            found = self._certificate(name, "certificate file")
            subject, reason = found.subject, "20 at 0 depth lookup: unable to get local issuer certificate"
            if found.subject == found.issuer:
                reason = "18 at 0 depth lookup: self-signed certificate"
            for authority in trusted:
                try:
                    found.verify_directly_issued_by(authority)
                except (ValueError, TypeError, InvalidSignature):
                    continue
                if authority.subject != authority.issuer:  # it is not the root of the chain
                    subject, reason = authority.subject, "2 at 1 depth lookup: unable to get issuer certificate"
                elif found.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
                    reason = "10 at 0 depth lookup: certificate has expired"
                else:
                    reason = ""
            text += (
                f"{_shown(subject)}\nerror {reason}\nerror {name}: verification failed\n"
                if reason
                else f"{name}: OK\n"
            )
        return text


def _new_key(wanted: str) -> "CertificateIssuerPrivateKeyTypes":
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    kind, _, bits = wanted.partition(":")
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind != "rsa" or not re.fullmatch(r"\d{1,5}", bits or "2048"):
        raise OpensslError(f"req: this small shell makes keys of the kinds rsa:2048 and ec, not {wanted}")
    if int(bits or 2048) not in RSA_BITS:
        raise OpensslError(f"req: this small shell makes RSA keys of {RSA_BITS[0]} to {RSA_BITS[-1]} bits")
    return rsa.generate_private_key(public_exponent=65537, key_size=int(bits or 2048))


def _name(text: str) -> "x509.Name":
    """Return a subject such as /C=CH/CN=redis."""
    from cryptography import x509

    parts = [part.partition("=") for part in re.split(r"(?<!\\)/", text)[1:] if part]
    if not text.startswith("/") or not parts or not all(equals for _, equals, _ in parts):
        raise OpensslError(
            "req: subject name is expected to be in the format /type0=value0/type1=value1/type2=... where characters "
            f"may be escaped by \\. This name is not in that format: '{text}'"
        )
    try:
        return x509.Name(
            [
                x509.NameAttribute(x509.ObjectIdentifier(_NAMES[key]), value.replace("\\/", "/"))
                for key, _, value in parts
            ]
        )
    except (KeyError, ValueError):
        raise OpensslError(f"req: this small shell does not know this subject: {text}") from None


def _shown(name: "x509.Name") -> str:
    names = {number: short for short, number in _NAMES.items()}
    return ", ".join(f"{names.get(each.oid.dotted_string, each.oid.dotted_string)} = {each.value!s}" for each in name)


def _date(time: datetime.datetime) -> str:
    return f"{time:%b} {time.day:2d} {time:%H:%M:%S %Y} GMT"
