"""Addresses files, keystores, password files."""

import json
import stat

import pytest
from eth_account import Account

from commonweal.adapters.deployment import (
    CONTRACTS,
    Deployment,
    DeploymentNotFound,
    InvalidDeployment,
    load_abi,
    load_deployment,
)
from commonweal.adapters.keystore import (
    InvalidKeystore,
    KeystoreExists,
    KeystoreNotFound,
    PasswordWrong,
    create_keystore,
    load_account,
    read_password,
    store_key,
)
from commonweal.protocol.types import Address

SOMEWHERE = Address("0x" + "11" * 20)
DEPLOYMENT = Deployment(31_337, 5, dict.fromkeys(CONTRACTS, SOMEWHERE))


def test_an_addresses_file_survives(tmp_path):
    path = tmp_path / "new" / "addresses.json"
    DEPLOYMENT.save(path)
    assert load_deployment(path) == DEPLOYMENT
    assert DEPLOYMENT["Rounds"] == SOMEWHERE
    assert DEPLOYMENT.rounds_domain == DEPLOYMENT.board_domain


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("chain_id"),
        lambda document: document["contracts"].pop("Rounds"),
        lambda document: document["contracts"].update(Rounds="0x12"),
        lambda document: document.update(contracts=None),
        lambda document: document.update(deployed_block="soon"),
    ],
)
def test_a_broken_addresses_file_is_refused(tmp_path, spoil):
    path = tmp_path / "addresses.json"
    DEPLOYMENT.save(path)
    document = json.loads(path.read_text())
    spoil(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidDeployment) as raised:
        load_deployment(path)
    assert str(path) in raised.value.message


def test_no_addresses_file(tmp_path):
    with pytest.raises(DeploymentNotFound):
        load_deployment(tmp_path / "none.json")


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_has_an_abi(name):
    assert "function" in {entry["type"] for entry in load_abi(name)}


def test_a_keystore_opens_with_its_password_only(tmp_path):
    path = tmp_path / "keys" / "owner.json"
    address = create_keystore(path, "secret", light=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_account(path, "secret").address == address
    with pytest.raises(PasswordWrong) as raised:
        load_account(path, "wrong")
    assert "secret" not in str(raised.value.details)


def test_a_keystore_is_never_overwritten(tmp_path):
    path = tmp_path / "owner.json"
    address = create_keystore(path, "secret", light=True)
    with pytest.raises(KeystoreExists):
        create_keystore(path, "other", light=True)
    assert load_account(path, "secret").address == address


def test_a_key_that_exists_is_stored(tmp_path):
    account = Account.create()
    address = store_key(tmp_path / "key.json", "secret", bytes(account.key), light=True)
    assert address == account.address
    assert load_account(tmp_path / "key.json", "secret").key == account.key


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"crypto": {}, "version": 3}', "not json"])
def test_what_is_no_keystore_is_refused(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InvalidKeystore):
        load_account(path, "secret")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(KeystoreNotFound):
        load_account(tmp_path / "none", "secret")
    with pytest.raises(KeystoreNotFound):
        read_password(tmp_path / "none")


def test_a_password_is_the_first_line(tmp_path):
    path = tmp_path / "password"
    path.write_text("with spaces \nsecond line\n")
    assert read_password(path) == "with spaces "
    path.write_text("\n")
    with pytest.raises(InvalidKeystore):
        read_password(path)
