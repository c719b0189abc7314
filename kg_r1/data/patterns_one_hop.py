"""The patterns that one search answers."""

from __future__ import annotations

from kg_r1.data.patterns import NAMESAKE, chain, pattern

ONE_HOP = (
    pattern(
        "capital",
        chain("country", "capital"),
        phrasings="""
        What is the capital of {a}?
        Which city is the capital of {a}?
        Name the capital city of {a}.
        What city serves as the seat of government of {a}?
        Tell me the capital of {a}.
        Where is the national government of {a} based?
        {a} has which city as its capital?
        I need to know the capital city of {a}.
        As its capital, {a} has chosen which city?
        """,
    ),
    pattern(
        "continent",
        chain("country", "continent"),
        phrasings="""
        On which continent is {a}?
        What continent does {a} belong to?
        Which continent is {a} located on?
        {a} is part of which continent?
        Name the continent of {a}.
        On what continent would you find {a}?
        To which continent is {a} counted?
        Tell me which continent {a} lies on.
        In which part of the world, by continent, is {a}?
        """,
    ),
    pattern(
        "currency",
        chain("country", "currency"),
        phrasings="""
        What is the currency of {a}?
        Which currency is used in {a}?
        What money do people pay with in {a}?
        Name the official currency of {a}.
        In which currency are prices given in {a}?
        What currency does {a} use?
        A traveller to {a} needs which currency?
        Tell me the legal tender of {a}.
        What do shops in {a} accept as the national currency?
        """,
    ),
    pattern(
        "languages",
        chain("country", "language"),
        phrasings="""
        What languages are spoken in {a}?
        Which language or languages are official in {a}?
        What is the language of {a}?
        Name the languages of {a}.
        What do people speak in {a}?
        Which tongues have official standing in {a}?
        In {a}, what languages are used?
        Tell me the official languages of {a}.
        What should one speak to be understood in {a}?
        """,
    ),
    pattern(
        "borders",
        chain("country", "borders"),
        phrasings="""
        Which countries border {a}?
        What are the neighbouring countries of {a}?
        Name the countries that share a border with {a}.
        What countries does {a} have a land border with?
        Which nations are next to {a}?
        List the neighbours of {a}.
        {a} is surrounded by which countries?
        Which countries would you enter by crossing the border of {a}?
        With whom does {a} share its frontier?
        """,
    ),
    pattern(
        "subregion",
        chain("country", "subregion"),
        phrasings="""
        Which subregion is {a} in?
        In what subregion of the world is {a}?
        What world subregion does {a} belong to?
        Name the subregion of {a}.
        To which subregion is {a} assigned?
        {a} lies in which subregion?
        What is the geographic subregion of {a}?
        Tell me the subregion that contains {a}.
        Statisticians count {a} to which subregion?
        """,
    ),
    pattern(
        "calling_code",
        chain("country", "calling_code"),
        phrasings="""
        What is the calling code of {a}?
        Which prefix do you dial to phone {a}?
        What is the international dialling code for {a}?
        Name the telephone country code of {a}.
        Phone numbers in {a} begin with which country code?
        Which calling code belongs to {a}?
        To call somebody in {a}, what code comes first?
        Tell me the phone prefix of {a}.
        How do telephone numbers from {a} start internationally?
        """,
    ),
    pattern(
        "internet_domain",
        chain("country", "internet_domain"),
        phrasings="""
        What is the internet domain of {a}?
        Which top-level domain belongs to {a}?
        Websites from {a} end with which domain?
        Name the country-code domain of {a}.
        What is the web suffix of {a}?
        Which internet ending is used for {a}?
        Addresses of sites in {a} carry which top-level domain?
        Tell me the internet country domain for {a}.
        How do web addresses registered in {a} end?
        """,
    ),
    pattern(
        "largest_city",
        chain("country", "largest_city"),
        phrasings="""
        What is the largest city of {a}?
        Which city in {a} has the most inhabitants?
        Name the biggest city in {a}.
        What is the most populous city of {a}?
        Which is the largest city in {a} by population?
        In {a}, where do the most people live, by city?
        Tell me the biggest city of {a}.
        No city of {a} has more people than which one?
        What city tops the population ranking of {a}?
        """,
    ),
    pattern(
        "city_country",
        chain("city", "country"),
        phrasings="""
        In which country is {a}?
        What country is the city of {a} in?
        Which country does {a} belong to?
        {a} is a city in which country?
        Name the country where {a} lies.
        Where in the world is {a}, by country?
        To visit {a}, which country do you travel to?
        Tell me the country of the city {a}.
        The city of {a} can be found on the map of which country?
        """,
    ),
    pattern(
        "city_timezone",
        chain("city", "timezone"),
        phrasings="""
        What time zone is {a} in?
        Which time zone does {a} use?
        Name the time zone of {a}.
        In which time zone lies the city of {a}?
        Clocks in {a} follow which time zone?
        What is the tz database zone of {a}?
        By which time zone do people in {a} set their watches?
        Tell me the time zone that applies in {a}.
        For a meeting in {a}, which time zone should I choose?
        """,
    ),
    pattern(
        "city_airports",
        chain("city", "~city_served"),
        phrasings="""
        Which airports serve {a}?
        What airport does the city of {a} have?
        Name the airport or airports of {a}.
        At which airports can you land to visit {a}?
        What airports are there in {a}?
        Flying to {a}, which airports can I use?
        List the airports that serve the city of {a}.
        Tell me where planes to {a} touch down.
        By which airports is {a} connected to the world?
        """,
    ),
    pattern(
        "airport_city",
        chain("airport", "city_served"),
        phrasings="""
        Which city does {a} serve?
        What city is served by {a}?
        {a} is the airport of which city?
        Name the city that {a} belongs to.
        Landing at {a}, which city am I in?
        To which city does {a} bring its passengers?
        Which city's airport is {a}?
        Tell me the city served by {a}.
        Whoever lands at {a} wants to visit which city?
        """,
    ),
    pattern(
        "airport_code",
        chain("airport", "iata_code"),
        phrasings="""
        What is the IATA code of {a}?
        Which three-letter code does {a} have?
        Name the IATA airport code for {a}.
        On luggage tags, how is {a} abbreviated?
        What airport code belongs to {a}?
        Which IATA code is assigned to {a}?
        Tell me the three-letter code of {a}.
        Under which IATA code do airlines list {a}?
        A ticket to {a} shows which three letters?
        """,
    ),
    pattern(
        "code_airport",
        chain("iata", "~iata_code"),
        phrasings="""
        Which airport has the IATA code {a}?
        What airport does the code {a} stand for?
        {a} is the IATA code of which airport?
        Name the airport abbreviated {a}.
        My luggage tag says {a}; which airport is that?
        Which airport is meant by {a} on a ticket?
        Tell me the airport whose three-letter code is {a}.
        To which airport did IATA assign {a}?
        Spell out the airport behind the letters {a}.
        """,
    ),
    pattern(
        "capital_of",
        chain("city", "~capital"),
        phrasings="""
        {a} is the capital of which country?
        Which country has {a} as its capital?
        Of what country is {a} the capital?
        Name the country whose capital is {a}.
        The government of which country sits in {a}?
        What country is governed from {a}?
        Which nation's capital city is {a}?
        Tell me whose capital {a} is.
        For which country does {a} serve as the seat of government?
        """,
    ),
    pattern(
        "currency_users",
        chain("currency", "~currency"),
        phrasings="""
        Where is the {a} used as currency?
        Which country or countries use the {a}?
        In what places is the {a} legal tender?
        Name every country whose currency is the {a}.
        Where can you pay with the {a}?
        Who uses the {a} as money?
        The {a} is the currency of which country or countries?
        Tell me where prices are given in the {a}.
        Banknotes of the {a} circulate in which places?
        """,
    ),
    pattern(
        "language_countries",
        chain("language", "~language"),
        phrasings="""
        Where is {a} an official language?
        In which country or countries is {a} spoken?
        Which countries list {a} among their languages?
        Name the places whose language is {a}.
        Where do people speak {a}?
        {a} is a language of which country or countries?
        Tell me where {a} has official standing.
        A speaker of {a} is at home in which countries?
        What countries would I learn {a} for?
        """,
    ),
    pattern(
        "namesake_countries",
        chain(NAMESAKE, "country"),
        phrasings="""
        In which countries is there a city called {a}?
        Several cities bear the name {a}; which countries are they in?
        Which countries have a city named {a}?
        Name all countries with a city called {a}.
        {a} is the name of cities in which countries?
        Where, by country, are the cities named {a}?
        List the countries of the cities that share the name {a}.
        Tell me every country that has its own {a}.
        More than one city is called {a}: to which countries do they belong?
        """,
    ),
)
