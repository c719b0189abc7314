"""The patterns that two searches in a row answer."""

from __future__ import annotations

from kg_r1.data.patterns import chain, pattern

TWO_HOP = (
    pattern(
        "neighbour_capitals",
        chain("country", "borders", "capital"),
        phrasings="""
        What are the capitals of the countries that border {a}?
        Name the capital cities of the neighbours of {a}.
        Which cities are the capitals of the countries next to {a}?
        From {a}, what are the capitals just across the borders?
        List the capitals of all countries neighbouring {a}.
        The neighbours of {a} are governed from which capitals?
        Which capital cities belong to countries sharing a border with {a}?
        Tell me the capital of each country around {a}.
        Where do the governments of the countries bordering {a} sit?
        """,
    ),
    pattern(
        "neighbour_currencies",
        chain("country", "borders", "currency"),
        phrasings="""
        Which currencies are used in the countries that border {a}?
        What are the currencies of the neighbours of {a}?
        Name the currencies of all countries next to {a}.
        What money is used just across the borders of {a}?
        List the currencies that the neighbouring countries of {a} use.
        People living around {a}, in the countries it borders, pay with which currencies?
        With what currencies do the countries bordering {a} trade?
        Tell me the currency of each country that shares a border with {a}.
        Crossing any border of {a}, which currencies might I need?
        """,
    ),
    pattern(
        "neighbour_languages",
        chain("country", "borders", "language"),
        phrasings="""
        Which languages are spoken in the countries that border {a}?
        What are the official languages of the neighbours of {a}?
        Name the languages of all countries next to {a}.
        What do people speak just across the borders of {a}?
        List the languages used in the neighbouring countries of {a}.
        The countries bordering {a} have which languages?
        In the countries sharing a frontier with {a}, what is spoken?
        Tell me the languages of each neighbour of {a}.
        Going around {a} through every country it touches, which languages would I hear?
        """,
    ),
    pattern(
        "capital_timezone",
        chain("country", "capital", "timezone"),
        phrasings="""
        What time zone is the capital of {a} in?
        Which time zone does the capital city of {a} use?
        In the capital of {a}, what is the time zone?
        Name the time zone of the capital of {a}.
        Clocks in the capital of {a} follow which time zone?
        Which zone sets the time for the government seat of {a}?
        The capital city of {a} lies in which time zone?
        Tell me by which time zone the capital of {a} lives.
        To ring the capital of {a} at noon there, which time zone must I look up?
        """,
    ),
    pattern(
        "capital_airports",
        chain("country", "capital", "~city_served"),
        phrasings="""
        Which airports serve the capital of {a}?
        What airport does the capital city of {a} have?
        Name the airports of the capital of {a}.
        Flying to the capital of {a}, at which airports can I land?
        List all airports in the capital of {a}.
        The capital city of {a} is reached through which airports?
        At what airports do planes to the capital of {a} arrive?
        Tell me the airport or airports that the seat of government of {a} has.
        Diplomats on their way to the capital of {a} touch down where?
        """,
    ),
    pattern(
        "city_capital",
        chain("city", "country", "capital"),
        phrasings="""
        What is the capital of the country where {a} is?
        {a} lies in a country with which capital?
        Name the capital of the country that {a} belongs to.
        Which city is the capital of the country of {a}?
        The country containing {a} is governed from which city?
        For someone living in {a}, what is the national capital?
        What is the capital city of the nation in which {a} is located?
        Tell me the capital of the country {a} is in.
        People in {a} look to which capital as the seat of their national government?
        """,
    ),
    pattern(
        "city_currency",
        chain("city", "country", "currency"),
        phrasings="""
        Which currency is used in the city of {a}?
        What is the currency of the country where {a} is?
        What money do the people of the city of {a} pay with?
        Name the currency of the country that {a} belongs to.
        Shopping in {a}, which currency do I need?
        In which currency are wages paid in {a}?
        The country containing {a} uses what currency?
        Tell me the legal tender in the city of {a}.
        A cash machine in {a} hands out which currency?
        """,
    ),
    pattern(
        "city_languages",
        chain("city", "country", "language"),
        phrasings="""
        What are the official languages of the country where {a} is?
        Which languages are spoken in the country of {a}?
        Name the languages of the country that {a} belongs to.
        What language should I learn before moving to the country where {a} lies?
        {a} is in a country with which languages?
        In the country containing {a}, what is spoken?
        The nation around the city of {a} has which official languages?
        Tell me the languages used in the country of the city {a}.
        Which national languages would the people of {a} meet at school?
        """,
    ),
    pattern(
        "city_continent",
        chain("city", "country", "continent"),
        phrasings="""
        On which continent is the city of {a}?
        What continent is the country of {a} on?
        Name the continent where {a} lies.
        {a} is in a country on which continent?
        To which continent does the country containing {a} belong?
        On what continent would I find {a}?
        Which continent is home to the country with the city of {a}?
        Tell me the continent of the country that {a} is in.
        By continent, where is the country to which {a} belongs?
        """,
    ),
    pattern(
        "city_neighbours",
        chain("city", "country", "borders"),
        phrasings="""
        Which countries border the country where {a} is?
        What are the neighbours of the country of {a}?
        Name the countries next to the one that {a} belongs to.
        {a} is in a country that borders which others?
        The country containing {a} shares its borders with which countries?
        List the neighbouring countries of the nation where {a} lies.
        With which countries does the home country of {a} have a frontier?
        Tell me what countries surround the one {a} is in.
        Driving abroad from {a}, which countries can I enter directly?
        """,
    ),
    pattern(
        "city_calling_code",
        chain("city", "country", "calling_code"),
        phrasings="""
        What is the calling code of the country where {a} is?
        To phone somebody in {a}, which country code do I dial?
        Which international prefix do phone numbers in {a} have?
        Name the calling code of the country that {a} belongs to.
        Calls to {a} begin with which country code?
        What telephone country code applies to the city of {a}?
        The country containing {a} has which dialling code?
        Tell me the phone prefix of the country of {a}.
        A friend from {a} writes down a number; with which country code does it start?
        """,
    ),
    pattern(
        "airport_country",
        chain("airport", "city_served", "country"),
        phrasings="""
        In which country is the airport {a}?
        What country is the airport {a} in?
        {a} serves a city in which country?
        Name the country where the airport {a} lies.
        Landing at {a}, which country do I enter?
        Which country is the city served by {a} in?
        To what country does the home city of {a} belong?
        Tell me the country of the airport {a}.
        Passport control at {a} is run by which country?
        """,
    ),
    pattern(
        "airport_timezone",
        chain("airport", "city_served", "timezone"),
        phrasings="""
        What time zone is the airport {a} in?
        Which time zone does the city served by {a} use?
        Name the time zone of the airport {a}.
        Departure times at {a} are given in which time zone?
        In which time zone is the home city of {a}?
        The clocks at {a} follow which time zone?
        Arriving at {a}, to which time zone do I set my watch?
        Tell me the time zone that applies at {a}.
        The timetable of {a} is written for which zone of the tz database?
        """,
    ),
    pattern(
        "code_city",
        chain("iata", "~iata_code", "city_served"),
        phrasings="""
        Which city is served by the airport with the code {a}?
        What city does the airport {a} serve?
        The IATA code {a} belongs to the airport of which city?
        Name the city whose airport has the code {a}.
        A ticket to {a} takes me to which city?
        My luggage is tagged {a}; to which city is it going?
        To what city do flights with the destination code {a} go?
        Tell me the city behind the airport code {a}.
        When the departure board shows {a}, which city is meant?
        """,
    ),
    pattern(
        "currency_capitals",
        chain("currency", "~currency", "capital"),
        phrasings="""
        What are the capitals of the countries that use the {a}?
        Name the capital of each country whose currency is the {a}.
        Which capital cities lie in countries that pay with the {a}?
        The {a} is the money of countries with which capitals?
        In which capitals is the {a} the national currency?
        List the capitals of all places using the {a}.
        Where the {a} is legal tender, what are the capital cities?
        Tell me the capital or capitals of the users of the {a}.
        Governments that have the {a} as their currency sit in which cities?
        """,
    ),
    pattern(
        "language_capitals",
        chain("language", "~language", "capital"),
        phrasings="""
        What are the capitals of the countries where {a} is an official language?
        Name the capital of each country that speaks {a}.
        Which capital cities lie in countries whose language is {a}?
        {a} is a language of countries with which capitals?
        List the capitals of all places where {a} is spoken.
        In which capitals is {a} among the national languages?
        Where people speak {a}, what are the capital cities?
        Tell me the capital or capitals of the countries using {a}.
        Governments that have {a} as a language of the country sit in which cities?
        """,
    ),
)
