"""The patterns that three searches in a row answer."""

from __future__ import annotations

from kg_r1.data.patterns import chain, pattern

THREE_HOP = (
    pattern(
        "airport_capital",
        chain("airport", "city_served", "country", "capital"),
        phrasings="""
        What is the capital of the country where the airport {a} is?
        {a} is an airport in a country with which capital?
        Name the capital of the country in which the city served by {a} lies.
        Landing at {a}, I am in a country governed from which city?
        Which city is the capital of the country that {a} belongs to?
        The country of the city that {a} serves has which capital?
        What is the national capital for people living near {a}?
        Tell me the capital city of the country of {a}.
        A domestic flight from {a} to the capital ends in which city?
        """,
    ),
    pattern(
        "airport_currency",
        chain("airport", "city_served", "country", "currency"),
        phrasings="""
        Which currency is used in the country where {a} is?
        What money do I need after landing at {a}?
        Name the currency of the country in which the city served by {a} lies.
        The shops at {a} are in a country with which currency?
        {a} belongs to a country that uses what currency?
        What is the currency of the country of {a}?
        Taxis in front of {a} are paid in which national currency?
        Tell me the legal tender in the country that {a} is in.
        Before boarding a plane to {a}, which currency should I change money into?
        """,
    ),
    pattern(
        "airport_languages",
        chain("airport", "city_served", "country", "language"),
        phrasings="""
        Which languages are spoken in the country where {a} is?
        What are the official languages of the country of {a}?
        Name the languages of the country in which the city served by {a} lies.
        Landing at {a}, what language should I speak?
        {a} is an airport in a country with which languages?
        In the country that {a} belongs to, what do people speak?
        The country of the city that {a} serves uses which official languages?
        Tell me the languages of the country around {a}.
        Signs at {a} would be written in which languages of its country?
        """,
    ),
    pattern(
        "airport_neighbours",
        chain("airport", "city_served", "country", "borders"),
        phrasings="""
        Which countries border the country where the airport {a} is?
        What are the neighbours of the country of the airport {a}?
        Name the countries next to the one in which the city served by {a} lies.
        {a} is an airport in a country that borders which others?
        The country that {a} belongs to shares its borders with which countries?
        List the neighbouring countries of the nation where {a} is located.
        After landing at {a}, which countries could I reach by crossing one border?
        Tell me what countries surround the one that has {a}.
        With whom does the home country of {a} share a frontier?
        """,
    ),
    pattern(
        "code_country",
        chain("iata", "~iata_code", "city_served", "country"),
        phrasings="""
        In which country is the airport with the code {a}?
        The IATA code {a} belongs to an airport in which country?
        What country do I fly to with a ticket to {a}?
        Name the country of the airport abbreviated {a}.
        My luggage is tagged {a}; to which country is it going?
        Which country is the city served by the airport {a} in?
        Flights with the destination code {a} land in what country?
        Tell me the country behind the airport code {a}.
        On the departure board stands {a}: which country is that?
        """,
    ),
    pattern(
        "code_timezone",
        chain("iata", "~iata_code", "city_served", "timezone"),
        phrasings="""
        What time zone applies at the airport with the code {a}?
        Which time zone is the city served by the airport {a} in?
        The IATA code {a} belongs to an airport in which time zone?
        Name the time zone of the airport abbreviated {a}.
        With a ticket to {a}, to which time zone do I travel?
        Local time at the destination {a} follows which time zone?
        Flights to {a} arrive in what time zone?
        Tell me the time zone behind the airport code {a}.
        My calendar needs the zone of my landing at {a}: which one is it?
        """,
    ),
    pattern(
        "city_neighbour_capitals",
        chain("city", "country", "borders", "capital"),
        phrasings="""
        What are the capitals of the countries bordering the country where {a} is?
        Name the capitals of the neighbours of the country of {a}.
        {a} lies in a country; what are the capitals of the countries next to it?
        Which capital cities belong to the countries around the one {a} is in?
        List the capitals of all neighbouring countries of the nation containing {a}.
        The country that {a} belongs to has neighbours with which capitals?
        From the home country of {a}, which capitals lie across one border?
        Tell me the capital of each country that borders the country of {a}.
        Where do the neighbouring governments of the country with the city of {a} sit?
        """,
    ),
    pattern(
        "city_neighbour_currencies",
        chain("city", "country", "borders", "currency"),
        phrasings="""
        Which currencies are used in the countries bordering the country where {a} is?
        Name the currencies of the neighbours of the country of {a}.
        {a} lies in a country; what currencies do the countries next to it use?
        What money is used in the countries around the one {a} is in?
        List the currencies of all neighbouring countries of the nation containing {a}.
        The country that {a} belongs to has neighbours with which currencies?
        Across each border of the home country of {a}, what is the currency?
        Tell me the currency of each country that borders the country of {a}.
        Leaving the country of {a} by land, I might need which currencies?
        """,
    ),
    pattern(
        "city_capital_timezone",
        chain("city", "country", "capital", "timezone"),
        phrasings="""
        What time zone is the capital of the country where {a} is in?
        {a} lies in a country whose capital uses which time zone?
        Name the time zone of the capital of the country of {a}.
        Which time zone does the capital of the country containing {a} follow?
        The national capital for people in {a} has which time zone?
        Seen from {a}, in what time zone is the capital of the country?
        In which time zone is the seat of government of the country that {a} belongs to?
        Tell me by which time zone the capital of the country around {a} lives.
        Ministries of the country with the city of {a} open by the clock of which time zone?
        """,
    ),
    pattern(
        "city_capital_airports",
        chain("city", "country", "capital", "~city_served"),
        phrasings="""
        Which airports serve the capital of the country where {a} is?
        Name the airports in the capital of the country of {a}.
        {a} lies in a country whose capital has which airports?
        What airport does the capital of the country containing {a} have?
        Flying from {a} to the national capital, at which airports can I land?
        List the airports that serve the capital of the country {a} belongs to.
        The national capital for people in {a} is reached through which airports?
        Tell me the airports of the seat of government of the country around {a}.
        Where do planes land in the capital that governs the city of {a}?
        """,
    ),
    pattern(
        "currency_capital_timezones",
        chain("currency", "~currency", "capital", "timezone"),
        phrasings="""
        What time zones are the capitals of the countries that use the {a} in?
        Name the time zone of the capital of each country whose currency is the {a}.
        Where the {a} is used, which time zones do the capitals follow?
        The {a} is the money of countries whose capitals lie in which time zones?
        Which time zones apply in the capitals of places paying with the {a}?
        List the time zones of the capital cities of all users of the {a}.
        In what time zone or zones do the governments using the {a} sit?
        Tell me by which time zone the capital lives where the {a} is legal tender.
        Central banks sit in capitals; those issuing the {a} follow which time zone?
        """,
    ),
    pattern(
        "language_capital_timezones",
        chain("language", "~language", "capital", "timezone"),
        phrasings="""
        What time zones are the capitals of the countries where {a} is official in?
        Name the time zone of the capital of each country that speaks {a}.
        Where {a} is spoken, which time zones do the capitals follow?
        {a} is a language of countries whose capitals lie in which time zones?
        Which time zones apply in the capitals of countries with {a} as a language?
        List the time zones of the capital cities of all countries using {a}.
        In what time zone or zones do the governments of {a}-speaking countries sit?
        Tell me by which time zone the capital lives where {a} is a national language.
        News in {a} from the capital would be read at the hour of which time zone?
        """,
    ),
)
