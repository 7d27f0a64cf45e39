"""Columns whose names tell of secrets or of what identifies a person, judged by whole words of a name.

`password_hash`, `apiKey` and `stripe_secret` are such; `token_count`, `password_changed_at` and `secretary` are not.
"""

from __future__ import annotations

import re

from pgrunbook.journey.observe.columns import Column

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Phrases that stand anywhere in a name, as words in a row.
_PHRASES = tuple(
    tuple(phrase.split("_"))
    for phrase in """
    password passwd pwd passphrase passcode password_hash hashed_password pin_code
    secret token api_key apikey access_key accesskey private_key privatekey secret_key secretkey encryption_key
    signing_key ssh_key otp totp mfa_secret recovery_code recovery_codes backup_codes
    ssn social_security national_id passport_number passport_no tax_id taxid tax_number drivers_license
    driver_license credit_card creditcard card_number cardnumber cvv cvc iban bank_account account_number
    routing_number sort_code
    credential credentials jwt medical_record health_record maiden_name
    """.split()
)
# What makes of such a name something about the secret, not the secret.
_ABOUT = frozenset(
    """
    at date time timestamp until expires expiry expiration expired ttl age days count counts total number_of used
    usage limit limits max min length len size version type kind status state enabled required verified valid policy
    rule rules hint question attempts tries last name label id ids uuid url uri link provider issuer format prefix
    algorithm algo scope scopes changed created updated rotated revoked per budget cost
    """.split()
)
_COUNTS = frozenset({"bool", "date", "timestamp", "timestamptz", "time", "timetz", "interval", "float4", "float8"})
_WHOLE = frozenset({"int2", "int4", "int8", "numeric", "money"})
_NUMBERS_THEMSELVES = frozenset(
    "ssn cvv cvc social card creditcard cardnumber account routing national passport tax taxid pin otp credit".split()
)


def sensitive_word(column: Column) -> str | None:
    """The words that make a column sensitive, None when nothing does.  Its type must be able to hold such a thing."""
    if column.base_type_name in _COUNTS or column.base_type_name.removeprefix("_") in _COUNTS:
        return None
    words = tuple(word.lower() for word in _WORDS.findall(column.name))
    found = next((phrase for phrase in _PHRASES if _position(words, phrase) is not None), None)
    if found is None:
        return None
    position = _position(words, found) or 0
    around = (*words[:position], *words[position + len(found) :])
    if any(word in _ABOUT for word in around):
        return None
    if column.base_type_name in _WHOLE and found[0] not in _NUMBERS_THEMSELVES:
        return None
    return " ".join(found)


def _position(words: tuple[str, ...], phrase: tuple[str, ...]) -> int | None:
    places = range(len(words) - len(phrase) + 1)
    return next((place for place in places if words[place : place + len(phrase)] == phrase), None)
