"""Encrypted key files (Web3 Secret Storage v3) and the password files beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from commonweal.errors import Conflict, InvalidInput, NotFound
from commonweal.protocol.types import Address

_LIGHT_ROUNDS = 2**12  # for tests and the local demo: opens in milliseconds, guesses fast too
_FULL_ROUNDS = 2**18


class KeystoreExists(Conflict):
    code = "keystore-exists"


class KeystoreNotFound(NotFound):
    code = "keystore-not-found"


class InvalidKeystore(InvalidInput):
    code = "invalid-keystore"


class PasswordWrong(InvalidInput):
    code = "password-wrong"


def create_keystore(path: Path, password: str, light: bool = False) -> Address:
    """A new random key, encrypted with scrypt, mode 0600; never overwrites a file."""
    return store_key(path, password, bytes(Account.create().key), light)


def store_key(path: Path, password: str, key: bytes, light: bool = False) -> Address:
    """Like `create_keystore`, for a key that exists already."""
    rounds = _LIGHT_ROUNDS if light else _FULL_ROUNDS
    document = Account.encrypt(key, password, kdf="scrypt", iterations=rounds)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeystoreExists(f"{path} exists and is left as it is", path=str(path)) from error
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    return Address(Account.from_key(key).address)


def load_account(path: Path, password: str) -> LocalAccount:
    """Raises KeystoreNotFound, InvalidKeystore, PasswordWrong."""
    document = _read_document(path)
    try:
        key = Account.decrypt(document, password)
    except ValueError as error:
        if "MAC mismatch" not in str(error):
            raise InvalidKeystore(f"{path}: {error}", path=str(path)) from error
        raise PasswordWrong(f"the password does not open {path}", path=str(path)) from error
    except (KeyError, TypeError, NotImplementedError) as error:
        raise InvalidKeystore(f"{path} is not a keystore", path=str(path)) from error
    account: LocalAccount = Account.from_key(key)
    return account


def read_password(file: Path) -> str:
    """The first line of a password file, without its line end."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError as error:
        raise KeystoreNotFound(f"there is no password file {file}", path=str(file)) from error
    if not lines or not lines[0]:
        raise InvalidKeystore(f"the password file {file} is empty", path=str(file))
    return lines[0]


def _read_document(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise KeystoreNotFound(f"there is no keystore {path}", path=str(path)) from error
    except ValueError as error:
        raise InvalidKeystore(f"{path} is not a keystore", path=str(path)) from error
    if not isinstance(document, dict):
        raise InvalidKeystore(f"{path} is not a keystore", path=str(path))
    return document
