"""Encryption of a stream under a secret, for files that lie where others can read them.

The file: a magic word with a version, 16 random bytes of salt, 16 bytes that show whether a key fits, then chunks of
64 KiB, each sealed with AES-256-GCM. Key and check value come from the secret and the salt by scrypt (a secret may be
a pass phrase), so no two files share a key, and a chunk's nonce may be its number. The last byte of the nonce says
whether the chunk is the last one, so a file that lost its end, or whose chunks changed places, is refused: the STREAM
construction, https://eprint.iacr.org/2015/189, as the file format age uses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from fastopp.errors import BadRequest

MAGIC = b"FASTOPP-ENCRYPTED-1\n"
CHUNK = 64 * 1024  # bytes of plain text in every chunk but the last

_SALT = 16
_CHECK = 16
_HEADER = len(MAGIC) + _SALT + _CHECK
_TAG = 16  # bytes that GCM adds
_NUMBER = 11  # bytes of the nonce that count; the twelfth says "last"

# 32 MiB and some 100 ms of a core. Source: RFC 7914, 2, and what it names for interactive use, doubled; the settings
# demand a secret that is long besides.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
_SCRYPT_MEMORY = 64 * 1024 * 1024


class NotEncrypted(BadRequest):
    """This is not an encrypted FastOpp backup."""

    hint = "Send an encrypted backup. `oppman.py remote restore --database FILE` encrypts a local one first."


class WrongKey(BadRequest):
    """The file is encrypted with another key."""

    hint = "Set BACKUP_KEY to the BACKUP_KEY, or else the SECRET_KEY, of the project that made the file."


class Damaged(BadRequest):
    """The encrypted file was changed, or its end is missing."""

    hint = "Take another copy of it, or an older backup."


class Encryptor:
    """Seals a stream, piece by piece. Making one derives the key, which takes some 100 ms of a core."""

    def __init__(self, secret: str) -> None:
        salt = secrets.token_bytes(_SALT)
        key, check = _derive(secret, salt)
        self._header = MAGIC + salt + check
        self._cipher = _Cipher(key, self._header)
        self._waiting = bytearray()
        self._pending = self._header

    def update(self, data: bytes) -> bytes:
        """Return the bytes that are sealed after `data`; often none yet."""
        self._waiting += data
        sealed = bytearray(self._pending)
        self._pending = b""
        while len(self._waiting) > CHUNK:  # what may be the last chunk waits
            sealed += self._cipher.seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return bytes(sealed)

    def finish(self) -> bytes:
        """The end of the file."""
        return self._pending + self._cipher.seal(bytes(self._waiting), last=True)


class Decryptor:
    """Opens a stream, piece by piece. What it returns is genuine; whether it is all is known after `finish`."""

    def __init__(self, candidates: Sequence[str]) -> None:
        self._candidates = candidates
        self._waiting = bytearray()
        self._cipher: _Cipher | None = None

    def update(self, data: bytes) -> bytes:
        """Return the bytes that can be opened after `data`. Raises NotEncrypted, WrongKey, Damaged."""
        self._waiting += data
        if self._cipher is None:
            if len(self._waiting) < _HEADER:
                return b""
            self._cipher = self._find_key(bytes(self._waiting[:_HEADER]))
            del self._waiting[:_HEADER]
        opened = bytearray()
        while len(self._waiting) > CHUNK + _TAG:
            opened += self._cipher.open(bytes(self._waiting[: CHUNK + _TAG]), last=False)
            del self._waiting[: CHUNK + _TAG]
        return bytes(opened)

    def finish(self) -> bytes:
        """The rest. Raises Damaged when this is not the end of the file."""
        if self._cipher is None:
            raise Damaged if MAGIC.startswith(bytes(self._waiting[: len(MAGIC)])) else NotEncrypted
        return self._cipher.open(bytes(self._waiting), last=True)

    def _find_key(self, header: bytes) -> _Cipher:
        if not header.startswith(MAGIC):
            raise NotEncrypted
        salt, expected = header[len(MAGIC) : -_CHECK], header[-_CHECK:]
        for secret in self._candidates:
            key, check = _derive(secret, salt)
            if hmac.compare_digest(check, expected):
                return _Cipher(key, header)
        raise WrongKey


async def encrypt(chunks: AsyncIterable[bytes], secret: str) -> AsyncGenerator[bytes]:
    """The stream, encrypted."""
    encryptor = await asyncio.to_thread(Encryptor, secret)
    async for chunk in chunks:
        if sealed := encryptor.update(chunk):
            yield sealed
    yield encryptor.finish()


async def decrypt(chunks: AsyncIterable[bytes], candidates: Sequence[str]) -> AsyncGenerator[bytes]:
    """The stream, decrypted with whichever of the secrets fits. Raises NotEncrypted, WrongKey, Damaged."""
    decryptor = Decryptor(candidates)
    async for chunk in chunks:
        if opened := await asyncio.to_thread(decryptor.update, chunk):
            yield opened
    if opened := decryptor.finish():
        yield opened


class _Cipher:
    def __init__(self, key: bytes, header: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 20 ms that few processes need

        self._aes = AESGCM(key)
        self._header = header
        self._number = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        return self._aes.encrypt(self._nonce(last=last), chunk, self._header)

    def open(self, chunk: bytes, *, last: bool) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

        try:
            return self._aes.decrypt(self._nonce(last=last), chunk, self._header)
        except (InvalidTag, ValueError) as error:  # ValueError: shorter than a tag
            raise Damaged from error

    def _nonce(self, *, last: bool) -> bytes:
        number = self._number
        self._number += 1
        return number.to_bytes(_NUMBER, "big") + bytes([last])


def _derive(secret: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key of 32 bytes, and the value that shows whether a key fits."""
    both = hashlib.scrypt(
        secret.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_SCRYPT_MEMORY, dklen=32 + _CHECK
    )
    return both[:32], both[32:]
