"""Names that tell of secrets, and names that only contain their letters."""

from __future__ import annotations

import pytest

from pgrunbook.journey.diagnose.sensitive_names import sensitive_word
from pgrunbook.journey.observe.columns import Column

SECRET = (
    "password password_hash passwordHash user_password encrypted_password pwd api_key apiKey stripe_secret_key"
    " client_secret access_token refresh_token password_reset_token totp_secret private_key ssn customer_ssn"
    " credit_card_number card_number cvv iban national_id tax_id passport_number bank_account APIKey webhookSecret"
).split()
HARMLESS = (
    "id name email token_count tokens_used max_tokens password_changed_at password_expires_at secretary secret_santa_id"
    " api_key_id api_key_name token_type password_hint compassion assessor keyword monkey passenger passport_country"
    " secret_version card_color tokenizer has_been_passworded tax_rate"
).split()


def column(name: str, type_name: str = "text") -> Column:
    return Column(
        table_oid=1,
        attnum=1,
        schema="public",
        table_name="t",
        name=name,
        type_oid=25,
        type_name=type_name,
        declared_type=type_name,
        type_category="S",
        type_kind="b",
        base_type_oid=25,
        base_type_name=type_name,
        element_type_oid=None,
        type_modifier=-1,
        type_length_bytes=-1,
        not_null=False,
        has_default=False,
        generated="",
        identity="",
        collation_oid=100,
        collates_by_bytes=False,
        statistics_readable=True,
    )


@pytest.mark.parametrize("name", SECRET)
def test_a_name_tells_of_a_secret(name: str) -> None:
    assert sensitive_word(column(name)) is not None


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_tells_of_no_secret(name: str) -> None:
    assert sensitive_word(column(name)) is None


@pytest.mark.parametrize("type_name", ["bool", "timestamptz", "int4"])
def test_a_type_that_cannot_hold_a_secret_tells_of_none(type_name: str) -> None:
    assert sensitive_word(column("password", type_name)) is None


def test_a_number_can_be_one() -> None:
    assert sensitive_word(column("ssn", "int4")) == "ssn"
