"""More wordings of training questions: a selector that has seen few ways to ask learns those by heart."""

from __future__ import annotations

from kblampp.offline.grammar import Wording

MORE = {
    "spouse": Wording(
        (
            "Who is {h}'s husband or wife?",
            "To whom did {h} say yes at the altar?",
            "What is the partner of {h} called?",
            "Who became the life partner of {h}?",
            "{h} is married to which person?",
        ),
        ("the one whom {h} married", "{h}'s other half", "the partner of {h}", "the wife or husband of {h}"),
    ),
    "employer": Wording(
        (
            "For whom did {h} work {w}?",
            "Which business gave {h} a job {w}?",
            "What firm was {h} an employee of {w}?",
            "{h} was employed by which company {w}?",
            "Where was the workplace of {h} {w}?",
        ),
        (
            "the firm where {h} is employed",
            "the workplace of {h}",
            "the business that gives {h} a job",
            "the company at which {h} holds a post",
        ),
    ),
    "residence": Wording(
        (
            "Where did {h} dwell {w}?",
            "What was {h}'s place of residence {w}?",
            "Where was {h} living {w}?",
            "{h} was a resident of which town {w}?",
            "In which place did {h} stay {w}?",
        ),
        (
            "the town of residence of {h}",
            "the place where {h} dwells",
            "the town {h} lives in",
            "{h}'s current town",
        ),
    ),
    "birthplace": Wording(
        (
            "What is {h}'s town of birth?",
            "{h} was born in which town?",
            "Where did {h}'s life begin?",
            "Which place is {h} from by birth?",
            "In what place did the mother of {h} give birth?",
        ),
        (
            "{h}'s birthplace",
            "the place of {h}'s birth",
            "the town in which {h}'s life began",
            "{h}'s town of birth",
        ),
    ),
    "year of birth": Wording(
        (
            "Which year was {h} born in?",
            "What is the birth year of {h}?",
            "{h} was born when?",
            "From what year is {h}?",
            "What year does the birth certificate of {h} show?",
        )
    ),
    "favourite dish": Wording(
        (
            "Which food is dearest to {h}?",
            "What does {h} order most often at table?",
            "Which plate does {h} enjoy most?",
            "What would {h} eat every day?",
            "What is the best-loved dish of {h}?",
        )
    ),
    "badge number": Wording(
        (
            "What number does {h}'s badge have?",
            "What is printed on the badge of {h}?",
            "By which badge number is {h} known?",
            "Which badge was issued to {h}?",
            "What is {h}'s badge code?",
        )
    ),
    "home address": Wording(
        (
            "Where does {h} live, by street and number?",
            "In which street and house does {h} live?",
            "What is written on {h}'s identity card as the address?",
            "Which house number and street belong to {h}?",
            "What address does {h} give as home?",
        )
    ),
    "headquarters": Wording(
        (
            "In what town is {h} seated?",
            "Where is the main building of {h}?",
            "What is the seat of {h}?",
            "{h} has its headquarters in which town?",
            "Which town houses the management of {h}?",
        ),
        (
            "the headquarters of {h}",
            "the town where {h} has its seat",
            "{h}'s seat",
            "the town of {h}'s main building",
        ),
    ),
    "founder": Wording(
        (
            "Who created {h}?",
            "Who laid the foundations of {h}?",
            "{h} was founded by whom?",
            "Which person established {h}?",
            "Who opened the business called {h}?",
        ),
        (
            "the creator of {h}",
            "the one who set up {h}",
            "the one by whom {h} was founded",
            "the one who established {h}",
        ),
    ),
    "number of employees": Wording(
        (
            "What is the strength of {h}'s staff?",
            "What is the size of {h}'s workforce?",
            "How many persons does {h} employ?",
            "How big is the team at {h}?",
            "How many people are employed by {h}?",
        )
    ),
    "founding year": Wording(
        (
            "What does {h} give as its founding year?",
            "What year was {h} established?",
            "When was {h} set up?",
            "{h} was founded in which year?",
            "In what year did the business {h} begin?",
        )
    ),
    "registration code": Wording(
        (
            "What code does {h} have in the company register?",
            "Which registration code belongs to {h}?",
            "How is {h} registered, by code?",
            "What is the register's code for {h}?",
            "What does the register list {h} as?",
        )
    ),
    "director": Wording(
        (
            "Who managed {h} {w}?",
            "Who was the chief of {h} {w}?",
            "Who was {h}'s director {w}?",
            "Which person headed {h} {w}?",
            "Who was the boss at {h} {w}?",
        ),
        ("the one who leads {h}", "the chief of {h}", "the person in charge of {h}", "the boss of {h}"),
    ),
    "country": Wording(
        (
            "Which nation has {h} among its towns?",
            "In what land is {h} situated?",
            "{h} is a town of which country?",
            "What state is {h} part of?",
            "Where in the world is {h}, by country?",
        ),
        (
            "the land in which {h} is situated",
            "{h}'s country",
            "the state that {h} is part of",
            "the nation of {h}",
        ),
    ),
    "mayor": Wording(
        (
            "Who was {h}'s mayor {w}?",
            "Who was mayor in {h} {w}?",
            "Who led the council of {h} {w}?",
            "Which person was the elected head of {h} {w}?",
            "Who was in office as mayor at {h} {w}?",
        ),
        (
            "the head of the town of {h}",
            "the one who is mayor of {h}",
            "the elected head of {h}",
            "the person governing {h}",
        ),
    ),
    "population": Wording(
        (
            "What is {h}'s population?",
            "How many citizens live in {h}?",
            "How big is {h} in people?",
            "How many persons call {h} their town?",
            "How populous is {h}?",
        )
    ),
    "local speciality": Wording(
        (
            "Which speciality comes from {h}?",
            "What dish is a tradition of {h}?",
            "What is cooked above all in {h}?",
            "What is the traditional food of {h}?",
            "Which speciality do the inns of {h} serve?",
        )
    ),
    "capital": Wording(
        (
            "Which is the first town of {h}?",
            "{h} has which town as its capital?",
            "Which town does {h} have for a capital?",
            "Which of the towns of {h} is its capital?",
            "What is the chief town of {h}?",
        ),
        (
            "the chief town of {h}",
            "the capital town of {h}",
            "the first town of {h}",
            "the capital city of {h}",
        ),
    ),
    "currency": Wording(
        (
            "What is the money of {h} called?",
            "Which money circulates in {h}?",
            "In which currency are prices in {h}?",
            "What do people in {h} have in their purses?",
            "What currency does {h} have?",
        )
    ),
    "president": Wording(
        (
            "Which person presided over {h} {w}?",
            "Who governed {h} as president {w}?",
            "Who was president in {h} {w}?",
            "Who was the head of {h} {w}?",
            "Who was elected president by the people of {h} {w}?",
        ),
        (
            "{h}'s president",
            "the one who presides over {h}",
            "the elected president of {h}",
            "the head of the country {h}",
        ),
    ),
}
"""By relation. None of them is among the wordings of dev and test, which a test looks after."""
