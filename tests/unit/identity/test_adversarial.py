"""Cases that break linkage elsewhere: rows as agencies send them in, dbt, identity, and who is one person out.

Belongs here: what is right for named cases, judged by what the warehouse reads (exchange/). Does not belong here: how
it is reached (test_partition.py, test_score.py) and laws that hold for any input (test_laws.py).

All cases lie in one state, apart by their surnames and numbers, among the records of 1,500 people, so that names and
birth dates are as frequent as in life, and 5,000 whose birth date is a placeholder. Three nights: the first sees the
cases; before the second a steward tells two persons apart, and a batch of a test student arrives; the third sees
nothing new. Keys are drawn at random and no case may depend on them.
"""

import datetime
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pipelines.identity.run import run_identity
from pipelines.identity.vault import open_vault
from pipelines.settings import load

from .conftest import deliver, run_dbt
from .five_sectors import GIVEN, state

NIGHTS = ("20261121T000000-aaaa", "20261122T000000-bbbb", "20261123T000000-cccc")
CASES = []


def case(*rows):
    CASES.extend(rows)


def k12(who, given=None, surname=None, born=None, sid=None, zip_code=None, **more):
    return {"who": who, "sector": "k12", "local_id_issuer": "sea", "given_name": given, "surname": surname,
            "birth_date": born, "student_id_state": sid, "postal_code": zip_code, **more}  # fmt: skip


def enrolled(who, sid):
    return {"who": who, "sector": "k12", "student_id_state": sid}


def early(who, given, surname, born, child_id, zip_code=None, **more):
    return {"who": who, "sector": "early_childhood", "local_id_issuer": "oel", "local_id": child_id,
            "given_name": given, "surname": surname, "birth_date": born, "postal_code": zip_code, **more}  # fmt: skip


def college(who, given, surname, born, local_id, issuer="001001", **more):
    return {"who": who, "sector": "postsecondary", "local_id_issuer": issuer, "local_id": local_id, "given_name": given,
            "surname": surname, "birth_date": born, **more}  # fmt: skip


def care(who, given, surname, born, client_id, **more):
    return {"who": who, "sector": "child_welfare", "local_id_issuer": "dhs", "local_id": client_id, "given_name": given,
            "surname": surname, "birth_date": born, **more}  # fmt: skip


def wage(who, given, surname, ssn):
    return {"who": who, "sector": "workforce", "given_name": given, "surname": surname, "ssn": ssn}


case(  # twins whose names the second year exchanged
    k12("twin_1", "Marisol", "Ybarrola", "2009-04-17", "7100001", "20031", sex_code="F"),
    k12("twin_2", "Soledad", "Ybarrola", "2009-04-17", "7100002", "20031", sex_code="F"),
    k12("twin_1_exchanged", "Soledad", "Ybarrola", "2009-04-17", "7100001", "20031", sex_code="F"),
    k12("twin_2_exchanged", "Marisol", "Ybarrola", "2009-04-17", "7100002", "20031", sex_code="F"),
    enrolled("twin_1_bare", "7100001"),
    enrolled("twin_2_bare", "7100002"),
)
case(  # twins of whom only the name tells which, at another agency
    k12("twin_3", "Leocadia", "Vandermolen", "2010-08-02", "7100003", "20031", sex_code="F"),
    k12("twin_4", "Philippa", "Vandermolen", "2010-08-02", "7100004", "20031", sex_code="F"),
    early("twin_3", "Leocadia", "Vandermolen", "2010-08-02", "T3", "20031"),
    early("twin_4", "Philippa", "Vandermolen", "2010-08-02", "T4", "20031"),
)
case(  # twins of whom each agency knows one, with names that many bear (the population has both)
    k12("twin_5", "Jaden", "Wolverhampton", "2011-06-03", "7100005", "20031"),
    early("twin_6", "Jayden", "Wolverhampton", "2011-06-03", "T6", "20031"),
    # A slip of the pen at another agency: nobody bears that name.
    k12("misspelled", "Jayden", "Cholmondeley", "2011-06-13", "7100006", "20031"),
    early("misspelled", "Jaydne", "Cholmondeley", "2011-06-13", "T7", "20031"),
    # Their number says that it is one child.
    k12("two_spellings", "Jaden", "Featherstone", "2011-06-23", "7100007", "20031"),
    care(
        "two_spellings", "Jayden", "Featherstone", "2011-06-23", "T8", student_id_state="7100007", postal_code="20031"
    ),
)
case(  # father and son
    college("father", "Ambrose", "Kettleby", "1974-02-11", "F1", ssn="219441001", postal_code="20032"),
    early("father", "Ambrose", "Kettleby", "1974-02-11", "F1", "20032"),
    wage("father", "Ambrose", "Kettleby", "219441001"),
    k12("son", "Ambrose", "Kettleby", "2006-09-30", "7110001", "20032"),
    college("son", "Ambrose", "Kettleby", "2006-09-30", "F2", ssn="219441777", student_id_state="7110001"),
    early("son", "Ambrose", "Kettleby", "2006-09-30", "F3", "20032"),
    wage("son", "Ambrose", "Kettleby", "219441777"),
)
case(  # a son born on his father's birthday
    college("father_birthday", "Crispin", "Thackeray", "1975-03-12", "F4", ssn="219441003", postal_code="20032"),
    k12("son_birthday", "Crispin", "Thackeray", "1999-03-12", "7110002", "20032"),
)
case(  # a father's number on his son's child-care record; the son has his name
    college("fathers_number", "Lazarus", "Winterhalter", "1974-05-02", "F6", ssn="219441005", postal_code="20032"),
    early("fathers_number_son", "Lazarus", "Winterhalter", "2006-10-17", "F7", "20032", ssn="219441005"),
    k12("fathers_number_son", "Lazarus", "Winterhalter", "2006-10-17", "7110003", "20032"),
)
case(  # one number and name, two birth dates
    college("one_ssn_1", "Horatia", "Billingsgate", "1999-02-11", "F8", ssn="219441006"),
    care("one_ssn_2", "Horatia", "Billingsgate", "2002-07-25", "F8", ssn="219441006"),
    k12("one_student_id_1", "Casimir", "Drinkwater", "1999-03-08", "7110004"),
    college("one_student_id_2", "Casimir", "Drinkwater", "2012-10-21", "F9", student_id_state="7110004"),
    # One slip only: the same person.
    college("one_slip", "Hermione", "Cotterstock", "1999-02-11", "F10", ssn="219441007"),
    care("one_slip", "Hermione", "Cotterstock", "1999-11-02", "F10", ssn="219441007"),
    k12("other_slip", "Ludovic", "Tattersall", "1999-03-08", "7110005"),
    college("other_slip", "Ludovic", "Tattersall", "1998-03-08", "F11", student_id_state="7110005"),
)
case(  # sisters under one number, the name of one the beginning of the other's
    early("sister_1", "Anna", "Somersby", "2012-04-09", "F12", "20032", ssn="219441008"),
    early("sister_2", "Annabel", "Somersby", "2015-09-23", "F13", "20032", ssn="219441008"),
)
SHELTER = [
    ("Adelaide", "Winterbourne", "2015-01-20"), ("Barnaby", "Norcross", "2017-06-02"),
    ("Clementine", "Osgoode", "2014-11-11"), ("Desmond", "Pettigrew", "2016-03-03"),
    ("Eudora", "Quillfeather", "2013-09-19"), ("Florian", "Rothwell", "2018-12-25"),
    ("Gwendolyn", "Stanhope", "2015-07-07"), ("Horatio", "Tillinghast", "2012-02-14"),
    ("Isadora", "Underhill", "2016-10-30"), ("Jocasta", "Vyner", "2017-01-05"),
    ("Lysander", "Wetherby", "2014-05-16"), ("Melisande", "Yardley", "2013-04-28"),
]  # fmt: skip
case(
    *(
        early(f"shelter_{n}", given, surname, born, f"H{n}", "20033", ssn="219441200")
        for n, (given, surname, born) in enumerate(SHELTER)
    ),
    # A brother of the first.
    early("shelter_brother", "Leopold", "Winterbourne", "2018-08-08", "H50", "20033", ssn="219441200"),
)
# One number on more records than any key may be shared by (200), as of a form's printed example; a wage of one name.
FIRST = ["Bar", "Cor", "Dul", "Fen", "Gam", "Hos", "Jil", "Kur", "Lom", "Mev", "Nat", "Pry", "Quo", "Sib", "Tav", "Vex"]
LAST = [
    "dock",
    "fora",
    "gith",
    "holm",
    "ley",
    "murn",
    "nesk",
    "rup",
    "sted",
    "ton",
    "wick",
    "zorth",
    "by",
    "cazo",
    "ham",
]
CROWD = [
    (FIRST[n % 16] + LAST[n // 16] + "a", LAST[n % 15].title() + FIRST[n // 15].lower(),
     f"{1985 + n % 31}-{1 + n % 12:02}-{1 + n % 28:02}")
    for n in range(230)
]  # fmt: skip
case(
    *(
        early(f"crowd_{n}", given, surname, born, f"C{n}", f"{20300 + n}", ssn="219441250")
        for n, (given, surname, born) in enumerate(CROWD)
    ),
    wage("crowd_wage", *CROWD[0][:2], "219441250"),
)
case(  # marriage and a move: the new name comes with a number of before
    k12("bride_by_student_id", "Lucinda", "Farthingale", "2001-06-14", "7120001", "20010"),
    college("bride_by_student_id", "Lucinda", "Ravenscroft", "2001-06-14", "M1", postal_code="20055",
            student_id_state="7120001"),
    care("bride_by_ssn", "Rosalind", "Mapplebeck", "2000-10-09", "M2", ssn="219441301", postal_code="20010"),
    college("bride_by_ssn", "Rosalind", "Aldersgate", "2000-10-09", "M2", ssn="219441301", postal_code="20056"),
    wage("bride_by_ssn", "Rosalind", "Aldersgate", "219441301"),
    # The wages know the new name, the person is known under the old one: the given name is enough beside the number.
    care("bride_at_work", "Winifred", "Copperthwaite", "2000-05-21", "M3", ssn="219441302", postal_code="20010"),
    wage("bride_at_work", "Winifred", "Babbington", "219441302"),
    # Nothing that is collected ties the next two: a given name that many bear and a birth date.
    k12("bride_before", "Olivia", "Throckmorton", "2001-02-03", "7120002", "20010", sex_code="F"),
    college("bride_after", "Olivia", "Bartholomew", "2001-02-03", "M4", ssn="219441303", postal_code="20057",
            sex_code="F"),
)  # fmt: skip
case(  # an adopted child: new surname and number, the child-welfare client id goes on
    early("adopted", "Milo", "Hargreave", "2012-05-06", "A1", "20011", ssn="219441401"),
    care("adopted", "Milo", "Hargreave", "2012-05-06", "R900", ssn="219441401", postal_code="20011"),
    care("adopted", "Milo", "Penhaligon", "2012-05-06", "R900", ssn="523448402", postal_code="20058"),
    k12("adopted", "Milo", "Penhaligon", "2012-05-06", "7130001", "20058"),
    # Both numbers confirmed by a second sector: that is for a steward.
    early("adopted_before", "Tobias", "Lockridge", "2011-07-08", "A2", "20011", ssn="219441403"),
    care("adopted_before", "Tobias", "Lockridge", "2011-07-08", "R901", ssn="219441403", postal_code="20011"),
    care("adopted_after", "Tobias", "Merriweather", "2011-07-08", "R901", ssn="523448404", postal_code="20059"),
    college("adopted_after", "Tobias", "Merriweather", "2011-07-08", "A2", ssn="523448404"),
)
case(  # a surname of one letter
    k12("letter", "Jasmine", "O", "2005-03-15", "7140001", "20034"),
    college("letter", "Jasmine", "O", "2005-03-15", "L1", ssn="219441501"),
    k12("letter_other_name", "Jasmine", "Oakenshott", "2005-03-15", "7942860", "20060"),
    k12("letter_other_date", "Jasmine", "O", "2007-12-01", "7365174", "20034"),
)
SCRIPTS = {
    "chinese": (("小明", "王"), ("丽华", "李"), "2007-08-09"),
    "one_sign": (("伟", "张"), ("敏", "陈"), "2007-08-10"),
    "arabic": (("محمد", "الأحمد"), ("حسن", "الخطيب"), "2008-01-12"),
    "cyrillic": (("Иван", "Петров"), ("Олег", "Сидоров"), "2008-02-17"),
}
for script, (one, other, born) in SCRIPTS.items():
    case(
        k12(f"{script}_one", *one, born, None, "20040"),
        early(f"{script}_one", *(name.upper() for name in one), born, f"{script}1", "20040"),
        k12(f"{script}_other", *other, born, None, "20040"),
        early(f"{script}_other", *other, born, f"{script}2", "20040"),
    )
case(  # a student id given twice
    k12("given_id_1", "Noor", "Haddadine", "2006-06-01", "7150001", "20041"),
    k12("given_id_1", "Noor", "Haddadine", "2006-06-01", "7150001", "20042"),
    k12("given_id_2", "Walter", "Quinnell", "2001-12-24", "7150001", "20043"),
    college("given_id_2", "Walter", "Quinnell", "2001-12-24", "D2", student_id_state="7150001"),
    enrolled("given_id_bare", "7150001"),
)
case(  # one digit of the SSN
    college("one_digit", "Philomena", "Darlington", "1999-09-09", "E1", ssn="219441601"),
    care("one_digit", "Philomena", "Darlington", "1999-09-09", "E1", ssn="219441607"),
    # Numbers given in one go to twins are one digit apart too.
    care("digit_twin_1", "Cordelia", "Fotheringay", "2003-11-30", "E2", ssn="219441611", postal_code="20044"),
    care("digit_twin_2", "Benedict", "Fotheringay", "2003-11-30", "E3", ssn="219441612", postal_code="20044"),
    college("digit_twin_1", "Cordelia", "Fotheringay", "2003-11-30", "E2", ssn="219441611"),
    college("digit_twin_2", "Benedict", "Fotheringay", "2003-11-30", "E3", ssn="219441612"),
)
case(  # what a steward tells apart before the second night
    care("judged_1", "Thaddeus", "Gillingham", "2002-04-04", "J1", ssn="219441701"),
    college("judged_2", "Thaddeus", "Gillingham", "2002-04-04", "J2", ssn="219441701"),
)
case(  # a name and birth date that a test batch outgrows
    k12("batch", "Percival", "Hathersage", "2005-02-01", "7160001"),
    k12("batch", "Percival", "Hathersage", "2005-02-01", "7160001", "20045"),
    college("batch_college", "Percival", "Hathersage", "2005-02-01", "B1"),
)
# More than any key of tiers (60 and 100) or of scoring (400) may be shared by.
BATCH = [k12(f"batch_{n}", "Percival", "Hathersage", "2005-02-01", f"{7170000 + n}") for n in range(420)]


def placeholder_dates():
    """5,000 students and children, each with a number of their own, born on 1900-01-01; many share name and ZIP."""
    rng = np.random.default_rng(11)
    surnames = ["Abernathy", "Blackwood", "Castellano", "Donnelly", "Eastwick", "Fairbanks", "Guilfoyle", "Holloway",
                "Ingersoll", "Jankowski", "Kensington", "Lindqvist", "Montgomery", "Nakamura", "Ostrowski",
                "Pemberton", "Quintana", "Rasmussen", "Silverstein", "Thornbury"]  # fmt: skip
    for n in range(5000):
        given, surname, zip_code = rng.choice(GIVEN), rng.choice(surnames), f"{20100 + rng.integers(0, 5)}"
        make = k12 if n % 2 else early
        yield make("placeholder", str(given), str(surname), "1900-01-01", f"{8_000_000 + n}", zip_code)


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """The state after each night: `rows` (who, record_key), `told` (a frame record_key, person_key, ... a night),
    `summary` (a night), `waiting`, `conflict` and `asked` (persons of the steward's items)
    of the first night, the home's settings."""
    settings = load({"P20W_HOME": str(tmp_path_factory.mktemp("adversarial") / "state")})
    first = pl.concat(
        [
            pl.DataFrame([*CASES, *placeholder_dates()], infer_schema_length=None),
            state(1500, seed=13).with_columns(who=pl.lit("population")).drop("true_person"),
        ],
        how="diagonal",
    )
    told, summary = [], []

    def night():
        summary.append(run_identity(settings, NIGHTS[len(told)]))
        told.append(pl.read_parquet(settings.exchange / "brg_record_person.parquet"))

    rows = deliver(settings, first).select("who", "record_key")
    run_dbt(settings)
    night()
    waiting = pl.read_parquet(settings.exchange / "link_not_determined.parquet")
    conflict = pl.read_parquet(settings.exchange / "identity_conflict.parquet")
    with open_vault(settings) as con:
        person = dict(told[0].select("record_key", "person_key").iter_rows())
        items = con.execute("SELECT record_key_a, record_key_b FROM queue_item WHERE state = 'open'").fetchall()
        asked = [(person[a], person[b]) for a, b in items]
        pair = [rows.filter(who=name)["record_key"][0] for name in ("judged_1", "judged_2")]
        at = datetime.datetime(2026, 11, 21, 12)
        con.execute(
            "INSERT INTO verdict VALUES (?, ?, 'distinct', 'steward', 'seen both', ?)", [min(pair), max(pair), at]
        )
    batch = deliver(settings, pl.DataFrame(BATCH, infer_schema_length=None), NIGHTS[1]).select("who", "record_key")
    run_dbt(settings)
    night()
    night()
    return SimpleNamespace(
        rows=pl.concat([rows, batch]),
        told=told,
        summary=summary,
        waiting=waiting,
        conflict=conflict,
        asked=asked,
        settings=settings,
    )


def persons(nights, *who, night=0):
    """The person keys that the records of some names have after a night."""
    keys = nights.rows.filter(pl.col("who").is_in(who)).select("record_key").unique()
    found = nights.told[night].join(keys, on="record_key")
    assert found.height and {name for name in who} <= set(nights.rows["who"])
    return set(found["person_key"])


def is_one(nights, *who, night=0):
    return len(persons(nights, *who, night=night)) == 1


def are_apart(nights, *who, night=0):
    """Every name is one person, and no two names are the same."""
    each = [persons(nights, name, night=night) for name in who]
    return all(len(found) == 1 for found in each) and len(set.union(*each)) == len(who)


def test_twins_with_swapped_names_stay_two_with_their_numbers(nights):
    """The number is the issuer's own; a name that stands at the sibling once is an error of that row."""
    assert persons(nights, "twin_1") != persons(nights, "twin_2")
    assert persons(nights, "twin_1") == persons(nights, "twin_1_exchanged") == persons(nights, "twin_1_bare")
    assert persons(nights, "twin_2") == persons(nights, "twin_2_exchanged") == persons(nights, "twin_2_bare")


def test_twins_are_told_apart_by_their_names_at_another_agency(nights):
    """Surname, birth date and ZIP are the same; the given name alone says which twin it is."""
    assert are_apart(nights, "twin_3", "twin_4")


def test_twins_known_to_one_agency_each_are_not_merged_by_names_that_are_spelled_alike(nights):
    """Surname, birth date and ZIP are the family's, and each given name is one that many bear."""
    assert are_apart(nights, "twin_5", "twin_6")


def test_a_misspelled_name_and_two_spellings_under_one_number_still_link(nights):
    assert is_one(nights, "misspelled") and is_one(nights, "two_spellings")


def test_father_and_son_with_one_name_at_one_address_are_two(nights):
    """Their birth dates cannot be one person's, so name, ZIP and a wage under that name never join them."""
    assert are_apart(nights, "father", "son")


def test_a_son_born_on_his_fathers_birthday_is_another_person(nights):
    """One part of the date differs, by a generation."""
    assert are_apart(nights, "father_birthday", "son_birthday")


def told_reasons(nights, first, second):
    """Reasons of the conflicts between records of two names after the first night."""
    keys = [nights.rows.filter(who=name)["record_key"].to_list() for name in (first, second)]
    return {
        reason
        for a, b, reason in nights.conflict.select("record_key_a", "record_key_b", "reason").iter_rows()
        if (a in keys[0] and b in keys[1]) or (a in keys[1] and b in keys[0])
    }


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [("fathers_number", "fathers_number_son", "birth_dates_a_generation_apart"),
     ("one_ssn_1", "one_ssn_2", "irreconcilable_birth_dates"),
     ("one_student_id_1", "one_student_id_2", "birth_dates_a_generation_apart"),
     ("sister_1", "sister_2", "irreconcilable_birth_dates")],
)  # fmt: skip
def test_irreconcilable_birth_dates_never_merge_automatically_they_queue(nights, first, second, reason):
    """One number and one name outweigh no birth date: two persons, each whole, told with the reason and asked of a
    steward on the very night."""
    assert are_apart(nights, first, second)
    assert told_reasons(nights, first, second) == {reason}
    pair = persons(nights, first) | persons(nights, second)
    assert any({a, b} == pair for a, b in nights.asked)


def test_one_slip_in_a_birth_date_beside_a_number_is_one_person(nights):
    assert is_one(nights, "one_slip") and is_one(nights, "other_slip")


def test_an_ssn_shared_by_a_whole_shelter_joins_nobody(nights):
    """A number needs a second field that agrees."""
    assert len(set.union(*(persons(nights, f"shelter_{n}") for n in range(12)))) == 12


def test_wages_under_a_number_that_a_crowd_bears_follow_nobody(nights):
    """Above the cap a number is nobody's: the wage waits although a name agrees, told once for each of the crowd."""
    crowd = set.union(*(persons(nights, f"crowd_{n}") for n in range(len(CROWD))))
    assert len(crowd) == len(CROWD)
    assert not crowd & persons(nights, "crowd_wage")
    wage_key = nights.rows.filter(who="crowd_wage")["record_key"][0]
    waiting = nights.waiting.filter(record_key=wage_key)
    assert set(waiting["candidate_person_key"]) == crowd and waiting.height == len(CROWD)
    assert set(waiting["reason"]) == {"number_of_a_crowd"}


def test_brother_and_sister_under_the_shelters_ssn_are_two(nights):
    """Other given names and irreconcilable birth dates are two persons, whatever number they were given."""
    assert are_apart(nights, "shelter_0", "shelter_brother")


def test_a_placeholder_birth_date_on_5000_records_joins_nobody(nights):
    """1900-01-01 is no birth date, and what is left, name and ZIP, many share; each has a number of their own."""
    keys = nights.rows.filter(who="placeholder")["record_key"]
    assert keys.n_unique() == 5000
    assert len(persons(nights, "placeholder")) == 5000
    assert not persons(nights, "placeholder") & persons(nights, "population")


def test_marriage_and_a_move_link_by_the_number_of_before(nights):
    """A shared number and the given name with the birth date make them linkable by definition; so they are linked."""
    assert are_apart(nights, "bride_by_student_id", "bride_by_ssn", "bride_at_work")


def test_marriage_and_a_move_without_a_number_are_not_guessed(nights):
    """A common given name and a birth date are not two of name, birth date and ZIP."""
    assert are_apart(nights, "bride_before", "bride_after")


def test_an_adopted_child_stays_one_over_the_client_id(nights):
    """New surname and new SSN, which no second sector confirms; the client id, given name and birth date go on."""
    assert is_one(nights, "adopted")


def test_an_adopted_child_with_two_confirmed_ssns_waits_for_a_steward(nights):
    """Two numbers, each confirmed by a second sector, never join by themselves: the pair is told with its reason."""
    assert are_apart(nights, "adopted_before", "adopted_after")
    keys = nights.rows.filter(pl.col("who").is_in(["adopted_before", "adopted_after"]))["record_key"].implode()
    told = nights.conflict.filter(pl.col("record_key_a").is_in(keys) & pl.col("record_key_b").is_in(keys))
    assert set(told["reason"]) == {"two_confirmed_ssns"}


def test_a_surname_of_one_letter_is_a_surname(nights):
    """It links with given name and birth date, and is neither an initial of longer surnames nor enough by itself."""
    assert are_apart(nights, "letter", "letter_other_name", "letter_other_date")


@pytest.mark.parametrize("script", SCRIPTS)
def test_names_in_another_script_are_names(nights, script):
    """Two records of one person meet by name, birth date and ZIP; another name with the same birth date and ZIP does
    not join, as it would if letters other than A to Z were dropped."""
    assert are_apart(nights, f"{script}_one", f"{script}_other")


def test_a_student_id_given_twice_is_two_students(nights):
    """Birth date and names speak against one person; the row with the bare number follows neither and is told."""
    assert are_apart(nights, "given_id_1", "given_id_2", "given_id_bare")
    bare = nights.rows.filter(who="given_id_bare")["record_key"][0]
    told = nights.waiting.filter(record_key=bare)
    assert set(told["candidate_person_key"]) == persons(nights, "given_id_1", "given_id_2")
    assert set(told["reason"]) == {"two_persons_carry_the_number"}


def test_an_ssn_one_digit_off_is_the_same_person_where_name_and_birth_date_agree(nights):
    assert is_one(nights, "one_digit")


def test_twins_with_ssns_one_digit_apart_are_two(nights):
    assert are_apart(nights, "digit_twin_1", "digit_twin_2")


def test_a_stewards_distinct_outranks_an_ssn_with_name_and_birth_date(nights):
    """Joined before the verdict, two after it; the night after it is as quiet as any."""
    assert is_one(nights, "judged_1", "judged_2")
    assert are_apart(nights, "judged_1", "judged_2", night=1)
    assert nights.told[2].equals(nights.told[1])
    quiet = nights.summary[2]
    assert (quiet.minted, quiet.merged, quiet.split, quiet.moved) == (0, 0, 0, 0)


def test_a_key_group_that_outgrows_its_cap_overnight_lets_go_what_nothing_else_ties(nights):
    """A name and birth date that a batch of test students bears too says nothing any more; a number still does."""
    assert is_one(nights, "batch", "batch_college")
    assert are_apart(nights, "batch", "batch_college", *(f"batch_{n}" for n in range(420)), night=1)


@pytest.mark.slow
def test_three_nights_equal_one_home_that_sees_all_records_at_once(nights, tmp_path):
    """With the same model, frequencies of names included: those of the version are counted once, on its first night."""
    settings = load({"P20W_HOME": str(tmp_path / "state")})
    inputs = ("identity_record", "current_record", "verdict", "term_frequency")
    with open_vault(nights.settings) as con:
        frames = {table: con.execute(f"SELECT * FROM {table}").to_arrow_table() for table in inputs}
        expected = con.execute("SELECT * FROM canonical ORDER BY record_key").pl()
    with open_vault(settings) as con:
        for table, frame in frames.items():
            con.register("given", frame)
            con.execute(f"INSERT INTO {table} SELECT * FROM given")
            con.unregister("given")
    run_dbt(settings)
    run_identity(settings, NIGHTS[2])
    with open_vault(settings) as con:
        found = con.execute("SELECT * FROM canonical ORDER BY record_key").pl()
    assert found.height > 10_000
    differing = found.join(expected, on=found.columns, how="anti", nulls_equal=True)
    assert found.height == expected.height and differing.is_empty(), differing.head(5)
