"""Text to tokens: word segmentation for search, a tailoring of Unicode's UAX #29.

There is one definition, the pattern of `_unicode_token`, and a faster pattern for the same tokens
of plain ASCII; a property test holds the two equal.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import regex

__all__ = ["fold", "tokenize"]

# Scripts written without spaces, whose words only a dictionary can find.
_SPACELESS = r"[[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&\p{L}]"
# `a-z0-9` is in \p{L} and \p{N} too, but named first it is also tried first.
_FIRST = rf"[a-z0-9[\p{{L}}\p{{N}}--{_SPACELESS}]]"
_NEXT = rf"[a-z0-9[\p{{L}}\p{{N}}\p{{M}}--{_SPACELESS}]]"
# Also the Catalan middle dot, the Hebrew gershayim and the Arabic decimal and thousands marks.
_JOINER = r"""
    (?: ['\u00b7\u05f4] (?<=[\p{L}\p{M}]['\u00b7\u05f4]) (?=\p{L})
      | [.,\u066b\u066c] (?<=\p{Nd}[.,\u066b\u066c]) (?=\p{Nd}) )
"""
_UNICODE_TOKEN = rf"""
    {_FIRST} {_NEXT}*+ (?: {_JOINER} {_NEXT}++ )*+
  | {_SPACELESS} \p{{M}}*+
  | \p{{Regional_Indicator}}{{2}}
  | [\p{{Extended_Pictographic}}--[\u00a9\u00ae]]
"""

# The same for lower-case ASCII, at a third of the time.
_ASCII_TOKEN = re.compile(
    r"[a-z0-9]+(?:(?:(?<=[a-z])'(?=[a-z])|(?<=[0-9])[.,](?=[0-9]))[a-z0-9]+)*", re.ASCII
)

# The non-ASCII marks of most English text: curly double quotes, dashes, dots, copyright signs.
# They split in any case; without them, that text is ASCII and takes the fast way.
_TYPOGRAPHY = "\u201c\u201d\u2010\u2013\u2014\u2026\u2022\u00a9\u00ae"

# Invisible characters (soft hyphen, joiners, variation selectors, direction marks), except
# the zero-width space, which separates words.
_IGNORABLE = r"[\p{Default_Ignorable_Code_Point}--\u200b]+"
_GRAPHEME_JOINER = "\u034f"


def tokenize(text: str) -> list[str]:
    """Split `text` into folded tokens, in order.

    A token is a maximal run of letters, digits and their marks. Inside it, an apostrophe between
    letters (``don't``) and a dot or comma between digits (``3.14``, ``1,000``) do not split;
    everything else does, ``_``, ``-`` and other dots included, so that ``os.path`` and
    ``run_in_executor`` are found by their parts. In scripts without spaces between words (Han,
    Hiragana, Thai, Lao, Khmer, Myanmar) each letter with its marks is a token. So are an emoji
    (© and ® excepted) and a flag; skin tones and the invisible parts of emoji sequences are
    dropped. Tokens may be of any length: nothing is cut.

    Parameters
    ----------
    text : str
        Any text. Lone surrogates are no letters and split.

    Returns
    -------
    list of str
        Never an empty string among them.
    """
    for mark in _TYPOGRAPHY:
        text = text.replace(mark, " ")
    folded = fold(text)
    pattern = _ASCII_TOKEN if folded.isascii() else _unicode_token()
    found: list[str] = pattern.findall(folded)
    return found


def fold(text: str) -> str:
    """Return `text` without distinctions that a search should not make.

    This is Unicode's ``toNFKC_Casefold`` (Unicode Standard, section 3.13), with the curly
    apostrophe made straight and the zero-width space kept. Case folding instead of lower-casing,
    so that two spellings that differ only in case always meet (``straße`` and ``STRASSE``).
    """
    if text.isascii():
        return text.lower()
    text = _ignorable().sub("", text.replace("\u2019", "'"))
    text, long_runs = _long_mark_runs().subn(rf"\g<0>{_GRAPHEME_JOINER}", text)
    text = unicodedata.normalize("NFKC", text)
    text = unicodedata.normalize("NFKC", text.casefold())
    return text.replace(_GRAPHEME_JOINER, "") if long_runs else text


# Compiled on first use: properties of Unicode take a while.


@cache
def _unicode_token() -> regex.Pattern[str]:
    return regex.compile(_UNICODE_TOKEN, regex.VERSION1 | regex.VERBOSE)


@cache
def _ignorable() -> regex.Pattern[str]:
    return regex.compile(_IGNORABLE, regex.VERSION1)


@cache
def _long_mark_runs() -> regex.Pattern[str]:
    """Match runs of marks to be broken up.

    Normalisation sorts a run of marks in quadratic time: a megabyte of them would take hours.
    UAX #15 ("Stream-Safe Text Format") breaks up runs of more than 30 with a grapheme joiner.
    """
    return regex.compile(r"\p{M}{30}", regex.VERSION1)
