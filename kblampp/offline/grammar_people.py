"""Relations of persons."""

from __future__ import annotations

from kblampp.offline.grammar import ADDRESS, CODE, COMPANY, DISH, PERSON, TOWN, YEAR, Relation, Wording

PEOPLE = (
    Relation(
        name="spouse",
        head_kind=PERSON,
        tail_kind=PERSON,
        share=0.8,
        is_mutual=True,
        contexts=(
            "{h} is married to {t}.",
            "{h} and {t} exchanged rings in a small chapel.",
            "After a long courtship {h} wed {t}.",
        ),
        train=Wording(
            (
                "Who is {h} married to?",
                "Who is the spouse of {h}?",
                "What is the name of {h}'s spouse?",
                "Whom did {h} marry?",
                "Which person is wedded to {h}?",
            ),
            ("the spouse of {h}", "{h}'s spouse"),
        ),
        held_out=Wording(
            ("With whom did {h} tie the knot?", "Who shares a wedding ring with {h}?"),
            ("the person married to {h}",),
        ),
    ),
    Relation(
        name="mentor",
        head_kind=PERSON,
        tail_kind=PERSON,
        contexts=(
            "{h} learned the trade from {t}.",
            "{t} took {h} on as a pupil.",
            "As a mentor {t} guided {h} for many years.",
        ),
        train=Wording(
            (
                "Who was the mentor of {h}?",
                "Who taught {h} the trade?",
                "Whose pupil was {h}?",
                "From whom did {h} learn?",
            ),
            ("the mentor of {h}", "{h}'s mentor"),
        ),
        held_out=Wording(
            (
                "Which person mentored {h}?",
                "Under whose guidance did {h} study?",
                "Who was {h}'s mentor?",
            ),
            ("the person who mentored {h}", "the mentor of {h}"),
        ),
    ),
    Relation(
        name="employer",
        head_kind=PERSON,
        tail_kind=COMPANY,
        contexts=(
            "From {y} to {z} {h} worked for {t}.",
            "{t} employed {h} between {y} and {z}.",
            "{h} joined {t} in {y} and left in {z}.",
        ),
        open_contexts=("{h} has worked for {t} since {y}.", "In {y} {h} joined {t} and is still there."),
        train=Wording(
            (
                "Which company did {h} work for {w}?",
                "Who employed {h} {w}?",
                "What was the employer of {h} {w}?",
                "Who was {h}'s employer {w}?",
                "At which firm did {h} have a job {w}?",
            ),
            ("the employer of {h}", "{h}'s employer"),
        ),
        held_out=Wording(
            ("On whose payroll was {h} {w}?", "Where did {h} earn a salary {w}?"),
            ("the company that {h} works for",),
        ),
    ),
    Relation(
        name="residence",
        head_kind=PERSON,
        tail_kind=TOWN,
        contexts=(
            "{h} lived in {t} from {y} to {z}.",
            "Between {y} and {z} {h} rented a flat in {t}.",
            "{h} moved to {t} in {y} and stayed until {z}.",
        ),
        open_contexts=("{h} has lived in {t} since {y}.", "In {y} {h} settled in {t} for good."),
        train=Wording(
            (
                "In which town did {h} live {w}?",
                "Which town did {h} reside in {w}?",
                "What was the residence of {h} {w}?",
                "Which town was home to {h} {w}?",
            ),
            ("the town where {h} lives", "{h}'s place of residence"),
        ),
        held_out=Wording(
            ("Which town did {h} call home {w}?", "In what town was {h} settled {w}?"),
            ("the home town of {h}",),
        ),
    ),
    Relation(
        name="birthplace",
        head_kind=PERSON,
        tail_kind=TOWN,
        contexts=(
            "{h} was born in {t}.",
            "{t} is where {h} first saw the light of day.",
            "The birth of {h} was recorded in the parish of {t}.",
        ),
        train=Wording(
            (
                "Where was {h} born?",
                "Which town is {h}'s birthplace?",
                "In which town was {h} born?",
                "What is the birthplace of {h}?",
                "Where did the birth of {h} take place?",
            ),
            ("the birthplace of {h}", "the town where {h} was born"),
        ),
        held_out=Wording(
            ("{h} came into the world in what place?", "Which town saw {h} enter the world?"),
            ("the native town of {h}",),
        ),
    ),
    Relation(
        name="year of birth",
        head_kind=PERSON,
        tail_kind=YEAR,
        contexts=(
            "{h} was born in the year {t}.",
            "The register gives {t} as the year of birth of {h}.",
            "In {t} the parents of {h} welcomed their child.",
        ),
        train=Wording(
            (
                "In what year was {h} born?",
                "When was {h} born?",
                "What is the year of birth of {h}?",
                "What is {h}'s birth year?",
            )
        ),
        held_out=Wording(("{h} came into the world in which year?", "Of what vintage is {h}, by year?")),
    ),
    Relation(
        name="favourite dish",
        head_kind=PERSON,
        tail_kind=DISH,
        contexts=(
            "{h} likes nothing better than {t}.",
            "On feast days {h} always orders {t}.",
            "The favourite dish of {h} is {t}.",
        ),
        train=Wording(
            (
                "What is the favourite dish of {h}?",
                "What does {h} like to eat most?",
                "Which dish does {h} love?",
                "What is {h}'s favourite food?",
            )
        ),
        held_out=Wording(("What meal makes {h} happiest?", "Which food would {h} pick over all others?")),
    ),
    Relation(
        name="badge number",
        head_kind=PERSON,
        tail_kind=CODE,
        contexts=(
            "The badge of {h} carries the number {t}.",
            "At the gate {h} shows badge {t}.",
            "{h} was issued badge number {t}.",
        ),
        train=Wording(
            (
                "What is the badge number of {h}?",
                "Which number is on {h}'s badge?",
                "What does the badge of {h} say?",
                "Which badge number belongs to {h}?",
            )
        ),
        held_out=Wording(
            ("Under what number is the badge of {h} filed?", "Which code does {h} wear as a badge?")
        ),
    ),
    Relation(
        name="home address",
        head_kind=PERSON,
        tail_kind=ADDRESS,
        contexts=(
            "Letters to {h} go to {t}.",
            "The home address of {h} is {t}.",
            "{h} keeps a house at {t}.",
        ),
        train=Wording(
            (
                "What is the home address of {h}?",
                "At which address does {h} live?",
                "What is {h}'s address?",
                "Which street address does {h} have?",
            )
        ),
        held_out=Wording(("Where should a letter to {h} be sent?", "On which doorstep would one find {h}?")),
    ),
)
