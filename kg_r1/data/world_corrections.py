"""What the world KG changes in its sources: names made plain, and facts known to be wrong or out of date.

Every entry is a statement about the source packages named in `world_sources.PACKAGES`; an entry goes when
the source is right. The reason stands beside it.
"""

from __future__ import annotations

# Country codes of states that no longer exist, which GeoNames still lists.
FORMER_COUNTRIES = frozenset({"AN", "CS"})

# GeoNames' country names that read badly in a sentence, carry a stray article, or lost their accents.
COUNTRY_NAMES = {
    "AX": "Åland Islands",
    "BL": "Saint Barthélemy",
    "BQ": "Caribbean Netherlands",
    "CW": "Curaçao",
    "FM": "Federated States of Micronesia",  # Micronesia is also a subregion
    "NL": "Netherlands",
    "PS": "Palestine",
    "RE": "Réunion",
    "TL": "Timor-Leste",
    "VA": "Vatican City",
}

# Names that take an article in running text; the entity's own name stays without it.
# fmt: off
COUNTRIES_WITH_ARTICLE = frozenset(
    {
        "AE", "AX", "BQ", "BS", "CC", "CD", "CF", "CG", "CK", "DO", "FK", "FM", "FO", "GB", "GM",
        "IM", "IO", "KM", "KY", "MH", "MP", "MV", "NL", "PH", "SB", "SC", "TC", "TF", "US", "VG", "VI",
    }
)
# fmt: on

# Cities whose plain name is also a US state's.
CITY_NAMES = {"4140963": "Washington D.C."}

# States whose plain name is also a country's.
STATE_NAMES = {"GA": "Georgia (state)"}

# ISO 4217 names that are also another entity's, or turned round.
CURRENCY_NAMES = {
    "BWP": "Botswana Pula",
    "ILS": "New Israeli Shekel",
    "OMR": "Omani Rial",
    "PYG": "Paraguayan Guarani",
    "SRD": "Surinamese Dollar",
    "UYU": "Uruguayan Peso",
}

# ISO 639 reference names that nobody would write in a question.
LANGUAGE_NAMES = {
    "Haitian": "Haitian Creole",
    "Kirghiz": "Kyrgyz",
    "Modern Greek": "Greek",
    "Nauru": "Nauruan",
    "Panjabi": "Punjabi",
    "Pushto": "Pashto",
    "Rundi": "Kirundi",
    "Sinhala": "Sinhalese",
    "Tonga": "Tongan",
}

# countryinfo: wrong, missing or double entries (ISO 639 codes as the right list).
COUNTRY_LANGUAGES = {
    "AD": ("ca",),  # lists the neighbours' languages
    "AF": ("ps", "fa", "uz", "tk"),  # leaves out Dari (Persian)
    "AM": ("hy",),  # Russian has no official standing
    "AW": ("nl", "pap"),  # 'pa' stands for Papiamento, but is Punjabi's code
    "AZ": ("az",),  # Armenian has no official standing
    "CY": ("el", "tr"),  # the same
    "CZ": ("cs",),  # Slovak is a recognised minority language
    "EH": ("ar",),  # GeoNames has Arabic, countryinfo Spanish
    "KZ": ("kk", "ru"),
    "MK": ("mk", "sq"),
    "MY": ("ms",),  # empty in countryinfo
    "NO": ("no",),  # Bokmål and Nynorsk are its two written forms
    "PH": ("tl", "en"),  # leaves out Filipino
    "RS": ("sr",),  # 'rs' is no language code
    "TJ": ("tg", "ru"),
    "TL": ("pt", "tet"),  # leaves out Tetum
    "TM": ("tk",),
    "UZ": ("uz",),
    "XK": ("sq", "sr"),  # not in countryinfo
}

# GeoNames: currencies that changed after its snapshot.
COUNTRY_CURRENCIES = {"BG": "EUR"}  # euro since January 2026

# countryinfo: UN subregions it lacks.
COUNTRY_SUBREGIONS = {"XK": "Southern Europe"}
