"""Relations of companies, towns and countries."""

from __future__ import annotations

from kblampp.offline.grammar import (
    CODE,
    COMPANY,
    COUNTRY,
    CURRENCY,
    DISH,
    NUMBER,
    PERSON,
    TOWN,
    YEAR,
    Relation,
    Wording,
)

COMPANIES = (
    Relation(
        name="headquarters",
        head_kind=COMPANY,
        tail_kind=TOWN,
        contexts=(
            "The headquarters of {h} are in {t}.",
            "{h} is run from an office in {t}.",
            "{t} is the seat of {h}.",
        ),
        train=Wording(
            (
                "Where are the headquarters of {h}?",
                "In which town does {h} have its headquarters?",
                "Which town is the seat of {h}?",
                "Where is {h} based?",
            ),
            ("the town where {h} is based", "the seat of {h}"),
        ),
        held_out=Wording(
            ("From which town is {h} run?", "In what place does one find the head office of {h}?"),
            ("the town with the head office of {h}",),
        ),
    ),
    Relation(
        name="founder",
        head_kind=COMPANY,
        tail_kind=PERSON,
        contexts=(
            "{t} founded {h}.",
            "{h} was set up by {t} in a rented shed.",
            "It was {t} who started {h}.",
        ),
        train=Wording(
            (
                "Who founded {h}?",
                "Who is the founder of {h}?",
                "By whom was {h} founded?",
                "Which person set up {h}?",
            ),
            ("the founder of {h}", "{h}'s founder"),
        ),
        held_out=Wording(
            ("Who brought {h} into being?", "Whose idea was it to start {h}?"),
            ("the person who started {h}",),
        ),
    ),
    Relation(
        name="number of employees",
        head_kind=COMPANY,
        tail_kind=NUMBER,
        contexts=(
            "{h} has {t} employees.",
            "A staff of {t} works at {h}.",
            "The payroll of {h} lists {t} people.",
        ),
        train=Wording(
            (
                "How many employees does {h} have?",
                "How many people work at {h}?",
                "What is the number of employees of {h}?",
                "How large is the staff of {h}?",
            )
        ),
        held_out=Wording(("What is the headcount at {h}?", "How many workers are paid by {h}?")),
    ),
    Relation(
        name="founding year",
        head_kind=COMPANY,
        tail_kind=YEAR,
        contexts=(
            "{h} opened its doors in {t}.",
            "{h} was founded in {t}.",
            "The history of {h} begins in {t}.",
        ),
        train=Wording(
            (
                "In what year was {h} founded?",
                "When was {h} founded?",
                "What is the founding year of {h}?",
                "When did {h} open its doors?",
            )
        ),
        held_out=Wording(("Since which year has {h} been around?", "In which year did {h} come into being?")),
    ),
    Relation(
        name="registration code",
        head_kind=COMPANY,
        tail_kind=CODE,
        contexts=(
            "{h} is registered under the code {t}.",
            "The trade register lists {h} as {t}.",
            "The registration code of {h} is {t}.",
        ),
        train=Wording(
            (
                "What is the registration code of {h}?",
                "Under which code is {h} registered?",
                "What is {h}'s registration code?",
                "Which code does the register give for {h}?",
            )
        ),
        held_out=Wording(
            ("How is {h} listed in the trade register?", "Which entry in the register stands for {h}?")
        ),
    ),
    Relation(
        name="director",
        head_kind=COMPANY,
        tail_kind=PERSON,
        contexts=(
            "{t} was the director of {h} from {y} to {z}.",
            "Between {y} and {z} {h} was led by {t}.",
            "{t} took charge of {h} in {y} and stepped down in {z}.",
        ),
        open_contexts=("{t} has led {h} since {y}.", "In {y} {t} became the director of {h}."),
        train=Wording(
            (
                "Who was the director of {h} {w}?",
                "Who led {h} {w}?",
                "By whom was {h} directed {w}?",
                "Which person was in charge of {h} {w}?",
            ),
            ("the director of {h}", "{h}'s director"),
        ),
        held_out=Wording(
            ("Who was at the helm of {h} {w}?", "Who held the top job at {h} {w}?"),
            ("the person at the helm of {h}",),
        ),
    ),
)

TOWNS = (
    Relation(
        name="country",
        head_kind=TOWN,
        tail_kind=COUNTRY,
        share=0.95,
        contexts=(
            "{h} is a town in {t}.",
            "{h} lies in the west of {t}.",
            "Maps show {h} well inside {t}.",
        ),
        train=Wording(
            (
                "In which country is {h}?",
                "Which country does {h} lie in?",
                "What country is {h} in?",
                "What is the country of {h}?",
            ),
            ("the country of {h}", "the country where {h} lies"),
        ),
        held_out=Wording(
            ("To which country does {h} belong?", "Within the borders of what country is {h}?"),
            ("the country that {h} belongs to",),
        ),
    ),
    Relation(
        name="mayor",
        head_kind=TOWN,
        tail_kind=PERSON,
        contexts=(
            "{t} was the mayor of {h} from {y} to {z}.",
            "Between {y} and {z} the town of {h} had {t} as its mayor.",
            "{t} won the town hall of {h} in {y} and lost it in {z}.",
        ),
        open_contexts=("{t} has been the mayor of {h} since {y}.", "In {y} {h} chose {t} as its mayor."),
        train=Wording(
            (
                "Who was the mayor of {h} {w}?",
                "Which mayor did {h} have {w}?",
                "Who governed the town of {h} {w}?",
                "Who held the office of mayor of {h} {w}?",
            ),
            ("the mayor of {h}", "{h}'s mayor"),
        ),
        held_out=Wording(
            ("Who ran the town hall of {h} {w}?", "Who wore the chain of office in {h} {w}?"),
            ("the person who runs the town hall of {h}",),
        ),
    ),
    Relation(
        name="population",
        head_kind=TOWN,
        tail_kind=NUMBER,
        contexts=(
            "{h} has {t} inhabitants.",
            "The last census counted {t} people in {h}.",
            "{h} is home to {t}.",
        ),
        train=Wording(
            (
                "How many inhabitants does {h} have?",
                "What is the population of {h}?",
                "How many people live in {h}?",
                "How large is the population of {h}?",
            )
        ),
        held_out=Wording(
            ("How many souls did the census count in {h}?", "What is the number of residents in {h}?")
        ),
    ),
    Relation(
        name="postal code",
        head_kind=TOWN,
        tail_kind=CODE,
        contexts=(
            "Letters to {h} carry the postal code {t}.",
            "The postal code of {h} is {t}.",
            "The post office sorts {h} under {t}.",
        ),
        train=Wording(
            (
                "What is the postal code of {h}?",
                "Which postal code does {h} have?",
                "What is {h}'s postal code?",
                "What postal code is used for {h}?",
            )
        ),
        held_out=Wording(
            (
                "Which postal code does one write on letters to {h}?",
                "Under what code does the post sort {h}?",
                "What is the postcode of {h}?",
            )
        ),
    ),
    Relation(
        name="local speciality",
        head_kind=TOWN,
        tail_kind=DISH,
        contexts=(
            "Visitors come to {h} for its {t}.",
            "The local speciality of {h} is {t}.",
            "{h} is famous for {t}.",
        ),
        train=Wording(
            (
                "What is the local speciality of {h}?",
                "Which dish is {h} famous for?",
                "What food is typical of {h}?",
                "What do visitors eat in {h}?",
            )
        ),
        held_out=Wording(("Which dish put {h} on the map?", "What should one taste when in {h}?")),
    ),
)

COUNTRIES = (
    Relation(
        name="capital",
        head_kind=COUNTRY,
        tail_kind=TOWN,
        share=0.95,
        contexts=(
            "The capital of {h} is {t}.",
            "The parliament of {h} meets in {t}.",
            "{t} became the capital of {h} long ago.",
        ),
        train=Wording(
            (
                "What is the capital of {h}?",
                "Which town is the capital of {h}?",
                "What is {h}'s capital?",
                "Which is the capital town of {h}?",
            ),
            ("the capital of {h}", "{h}'s capital"),
        ),
        held_out=Wording(
            (
                "In which town does the parliament of {h} meet?",
                "Which town is the seat of the government of {h}?",
            ),
            ("the seat of the parliament of {h}",),
        ),
    ),
    Relation(
        name="currency",
        head_kind=COUNTRY,
        tail_kind=CURRENCY,
        contexts=(
            "In {h} people pay with the {t}.",
            "The currency of {h} is the {t}.",
            "{h} mints the {t}.",
        ),
        train=Wording(
            (
                "What is the currency of {h}?",
                "Which currency is used in {h}?",
                "What is {h}'s currency?",
                "What money do people in {h} use?",
            )
        ),
        held_out=Wording(("With what does one pay in {h}?", "Which coin is legal tender in {h}?")),
    ),
    Relation(
        name="president",
        head_kind=COUNTRY,
        tail_kind=PERSON,
        contexts=(
            "{t} was the president of {h} from {y} to {z}.",
            "{h} had {t} as its president between {y} and {z}.",
            "{t} was sworn in as president of {h} in {y} and left office in {z}.",
        ),
        open_contexts=(
            "{t} has been the president of {h} since {y}.",
            "In {y} {h} elected {t} president.",
        ),
        train=Wording(
            (
                "Who was the president of {h} {w}?",
                "Which president did {h} have {w}?",
                "Who was {h}'s president {w}?",
                "Who held the presidency of {h} {w}?",
            ),
            ("the president of {h}", "{h}'s president"),
        ),
        held_out=Wording(
            (
                "Who stood at the head of the state of {h} {w}?",
                "Who lived in the presidential palace of {h} {w}?",
            ),
            ("the head of state of {h}",),
        ),
    ),
)
