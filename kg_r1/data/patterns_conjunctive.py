"""The patterns whose answer is what two walks have in common."""

from __future__ import annotations

from kg_r1.data.patterns import chain, pattern

CONJUNCTIVE = (
    pattern(
        "common_neighbours",
        chain("country", "borders"),
        chain("country", "borders"),
        phrasings="""
        Which countries border both {a} and {b}?
        What countries are neighbours of {a} and of {b}?
        Name the countries that share a border with {a} as well as with {b}.
        Which countries touch {a} and also touch {b}?
        List every country next to both {a} and {b}.
        {a} and {b} have which neighbours in common?
        What country or countries have a frontier with {a} and another with {b}?
        Tell me the common neighbours of {a} and {b}.
        Crossing a single country, through which could I drive from {a} to {b}?
        """,
    ),
    pattern(
        "shared_languages",
        chain("country", "language"),
        chain("country", "language"),
        phrasings="""
        Which languages are spoken in both {a} and {b}?
        What languages do {a} and {b} share?
        Name the languages that are official in {a} as well as in {b}.
        In which language could people from {a} and {b} talk to each other?
        What language is used in {a} and also in {b}?
        {a} and {b} have which languages in common?
        List the official languages common to {a} and {b}.
        Tell me what both {a} and {b} speak.
        An interpreter is not needed between {a} and {b} for which languages?
        """,
    ),
    pattern(
        "neighbours_speaking",
        chain("country", "borders"),
        chain("language", "~language"),
        phrasings="""
        Which neighbours of {a} have {b} as a language?
        Which countries border {a} and speak {b}?
        Name the countries next to {a} where {b} is official.
        What countries that share a border with {a} use {b}?
        In which countries bordering {a} is {b} spoken?
        List the {b}-speaking neighbours of {a}.
        Leaving {a} by land, in which countries would {b} be understood?
        Tell me which of the countries around {a} list {b} among their languages.
        Of all the countries touching {a}, where do people speak {b}?
        """,
    ),
    pattern(
        "city_country_neighbours",
        chain("city", "country", "borders"),
        chain("country", "borders"),
        phrasings="""
        Which countries border both {b} and the country where {a} is?
        {a} lies in a country; which neighbours does it share with {b}?
        Name the common neighbours of {b} and of the country of {a}.
        What countries are next to {b} and also next to the country that {a} belongs to?
        List every country that touches the country of {a} as well as {b}.
        Which neighbours of {b} also border the country containing {a}?
        The country of the city {a} and {b} have which neighbours in common?
        Tell me the countries with a frontier to {b} and to the home country of {a}.
        From the country of {a} to {b} through one other country: which could that be?
        """,
    ),
    pattern(
        "cities_common_neighbours",
        chain("city", "country", "borders"),
        chain("city", "country", "borders"),
        phrasings="""
        Which countries border both the country of {a} and the country of {b}?
        {a} and {b} lie in two countries; which neighbours do these share?
        Name the common neighbours of the countries where {a} and {b} are.
        What countries are next to the country of {a} and also next to that of {b}?
        List every country that touches the home countries of both {a} and {b}.
        Which neighbours does the country of {a} have in common with the country of {b}?
        The countries that contain {a} and {b} have which common neighbours?
        Tell me which countries have a frontier to the country of {a} and to that of {b}.
        Driving from the country of {a} to the country of {b}, which single country could lie between?
        """,
    ),
    pattern(
        "cities_shared_languages",
        chain("city", "country", "language"),
        chain("city", "country", "language"),
        phrasings="""
        Which languages are official both in the country of {a} and in the country of {b}?
        {a} and {b} lie in two countries; which languages do these share?
        Name the languages common to the countries where {a} and {b} are.
        What language is spoken in the country of {a} and also in that of {b}?
        List the languages that the home countries of {a} and {b} have in common.
        In which languages could the country of {a} write to the country of {b} untranslated?
        The countries that contain {a} and {b} share which official languages?
        Tell me what is spoken both in the country of {a} and in that of {b}.
        Somebody moves from {a} to {b}: which national languages of the old country are official in the new?
        """,
    ),
)
