import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.english import read_english, spoken_english
from espnet_fsqdiff.text.normalize import build_cleaner

SPOKEN = {
    # Numbers
    "She had 3 apples.": "she had three apples.",
    "1,234 pears": "one thousand two hundred thirty four pears",
    "1,000,000": "one million",
    "It is 3.14 or .5 or -7.5": "it is three point one four or point five or "
    "minus seven point five",
    "agent 007": "agent zero zero seven",
    "12345678901234567890": "one two three four five six seven eight nine zero one "
    "two three four five six seven eight nine zero",
    "He came 1st, she 22nd, I 103rd.": "he came first, she twenty second, i one "
    "hundred third.",
    "1/2 cup, 3/4 cup, 2/3 full": "one half cup, three quarters cup, two thirds full",
    "3 3/4 cups and 3\u00bd miles": "three and three quarters cups and three and a "
    "half miles",
    "120/80 and 10/10": "one hundred twenty over eighty and ten out of ten",
    "pages 10-20": "pages ten to twenty",
    "5% of 3.5%, 5-10%, 5%-10%": "five percent of three point five percent, five to "
    "ten percent, five percent to ten percent",
    "the ratio 3:2": "the ratio three to two",
    "2 + 2 = 4; 5 - 3 = 2": "two plus two equals four; five minus three equals two",
    "4x4, 2*3, 3x faster": "four by four, two times three, three times faster",
    "x^2 + 10^3": "x squared plus ten cubed",
    "1.5M people, #1 fan": "one point five million people, number one fan",
    "~5 minutes": "about five minutes",
    "x <= 5, a >= b, 5 != 6, a<=b": "x less than or equal to five, a greater than or "
    "equal to b, five not equal to six, a less than or equal to b",
    "y = -x; -x <= -5; x<-y": "y equals minus x; x less than or equal to minus five; x "
    "is less than minus y",
    "a<b, b>c, 2<x and <b>x</b> -> y": "a is less than b, b is greater than c, two is "
    "less than x and b x slash b y",
    "1,000s of them, 100s, 1,200s": "thousands of them, hundreds, one thousand two "
    "hundreds",
    # Dates and years
    "On 12/25/2023 we met.": "on december twenty fifth, twenty twenty three we met.",
    "13/02/2024": "february thirteenth, twenty twenty four",
    "25.12.2023": "december twenty fifth, twenty twenty three",
    "5/4/23": "may fourth, twenty three",
    "2023-04-05": "april fifth, twenty twenty three",
    "2020/01/02, 1999/12/31.": "january second, twenty twenty, december thirty first, "
    "nineteen ninety nine.",
    "May 5-June 3, May-June 3, Jan-Mar 2020": "may fifth to june third, may to june "
    "third, january to march twenty twenty",
    "In May \u2014 June came": "in may, june came",
    "Mon-Fri, Sat.-Sun., Monday-Friday": "monday to friday, saturday to sunday, monday "
    "to friday",
    "on 25 December 2023": "on the twenty fifth of december twenty twenty three",
    "the 5th of May. He left.": "the fifth of may. he left.",
    "March 3rd, 1999 was cold.": "march third, nineteen ninety nine was cold.",
    "Dec. 3, 2021": "december third, twenty twenty one",
    "May 3-5; may 5": "may third to fifth; may five",
    "In 1905, 2008, 2000 and 2015.": "in nineteen oh five, two thousand eight, two "
    "thousand and twenty fifteen.",
    "In 1066, 1066 men": "in ten sixty six, one thousand sixty six men",
    "The 1990s, the '80s, the 1900s": "the nineteen nineties, the eighties, the "
    "nineteen hundreds",
    "the 1914-18 war, 1999-2005": "the nineteen fourteen to eighteen war, nineteen "
    "ninety nine to two thousand five",
    # Times
    "At 10:30 p.m. or 14:00.": "at ten thirty p m or fourteen hundred.",
    "We left at 5 p.m. He stayed.": "we left at five p m. he stayed.",
    "9:05 am, 10:00, 10:30:15": "nine oh five eh m, ten o'clock, ten thirty and "
    "fifteen seconds",
    "9am-5pm": "nine eh m to five p m",
    "4 p.m.-5 p.m., 9AM-5PM": "four p m to five p m, nine eh m to five p m",
    # Money
    "I paid $3.50 for it.": "i paid three dollars and fifty cents for it.",
    "$1, $0.99, $1.01": "one dollar, ninety nine cents, one dollar and one cent",
    "\u00a31,200 or \u20ac99.99, about \u00a5500": "one thousand two hundred pounds or "
    "ninety nine euros and ninety nine cents, about five hundred yen",
    "A $3 million house, $1.5bn of debt": "a three million dollar house, one point "
    "five billion dollars of debt",
    "$5-$10, $20/month, 100 EUR": "five to ten dollars, twenty dollars per month, one "
    "hundred euros",
    # Units
    "It is 5 km, 10 kg, 3 lbs, 6 ft tall.": "it is five kilometers, ten kilograms, "
    "three pounds, six feet tall.",
    "60 mph and 100 km/h": "sixty miles per hour and one hundred kilometers per hour",
    "25\u00b0C or -3 \u00b0F, 1\u00b0": "twenty five degrees celsius or minus three "
    "degrees fahrenheit, one degree",
    "1 km, a 10 km run, a 5-year-old": "one kilometer, a ten kilometer run, a five "
    "year old",
    "100 m\u00b2, 10 \u00b5m": "one hundred square meters, ten micrometers",
    "16 GB at 3.2 GHz": "sixteen gigabytes at three point two gigahertz",
    "5'10\" tall": "five feet ten tall",
    '12" disk, 3/4" wide, a 5" by 8" card': "twelve inches disk, three quarters of "
    "an inch wide, a five inch by eight inches card",
    '12" x 8" is "5" and "a 12" he said': "twelve inches by eight inches is five "
    "and a twelve he said",
    "12 in. of snow in 5 min.": "twelve inches of snow in five minutes.",
    # Telephone, versions, addresses
    "Call 555-123-4567.": "call five five five, one two three, four five six seven.",
    "+1 (555) 123-4567": "plus one, five five five, one two three, four five six seven",
    "555-1234": "five five five, one two three four",
    "version 2.0.1": "version two point zero point one",
    "192.168.1.1": "one hundred ninety two dot one hundred sixty eight dot one dot one",
    "See https://www.example.com/page.": "see w w w dot example dot com slash page.",
    "john.doe99@mail.co.uk": "john dot doe nine nine at mail dot c o dot u k",
    # Abbreviations, initials, acronyms
    "Dr. Smith lives on Main St. near St. Peter's.": "doctor smith lives on main "
    "street near saint peter's.",
    "Mr. and Mrs. Jones vs. Prof Brown, etc.": "mister and missus jones versus "
    "professor brown, et cetera.",
    "e.g. this, i.e. that": "for example, this, that is, that",
    "See Fig. 3, No. 5 and pp. 10-12. No.": "see figure three, number five and pages "
    "ten to twelve. no.",
    "J. R. R. Tolkien, Ph.D.": "j r r tolkien, p h d.",
    "He lives in the U.S. Now he left.": "he lives in the u s. now he left.",
    "NASA and the FBI saw the USA.": "nasa and the f b i saw the u s eh.",
    "PDFs, the CEO's MP3, COVID-19, H2O": "p d f's, the c e o's m p three, covid "
    "nineteen, h two o",
    "She was VERY angry; NO ONE knew.": "she was very angry; no one knew.",
    "I SAID STOP THAT NOW!": "i said stop that now!",
    "STOP IT! COME IN. IT IS BY ME": "stop it! come in. it is by me",
    "STOP IT!": "stop it!",
    "COME IN!": "come in!",
    "BY ME": "by me",
    "AT ALL": "at all",
    "He said I AM AN AGENT, IN IT AS FBI": "he said i am an agent, in it as f b i",
    "the IT department, AM radio": "the i t department, eh m radio",
    # Roman numerals
    "Henry VIII and World War II": "henry the eighth and world war two",
    "Chapter IV, Act I. Elizabeth I was queen.": "chapter four, act one. elizabeth i "
    "was queen.",
    "Louis XIV, John Paul II, Type II": "louis the fourteenth, john paul the second, "
    "type two",
    "Part I think is best. Mark I know.": "part i think is best. mark i know.",
    "Part I of it, Act I is, World War I led": "part one of it, act one is, world war "
    "one led",
    "Henry VIII's wives, Chapter IV's": "henry the eighth's wives, chapter four's",
    # Symbols and typography
    "F# minor, A#, C# and #1": "f sharp minor, eh sharp, c sharp and number one",
    "1,000,000Mr. Lee Vs. Est. 1900": "one million mister lee versus established "
    "nineteen hundred",
    "AT&T & co, 24/7 and/or @home": "eh t and t and co, twenty four seven and or at "
    "home",
    "He said, \u201cIt\u2019s over \u2014 really\u2026\u201d": "he said, it's over, "
    "really.",
    "Well\u2026 maybe. Wait... What?!": "well, maybe. wait. what?",
    "(a) [b] co-worker's 'quoted' boys' words": "a, b, co worker's quoted boys words",
    "caf\u00e9 na\u00efve stra\u00dfe \ufb01ne": "cafe naive strasse fine",
    "\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff11\uff12\uff13": "hello one hundred "
    "twenty three",
    "a\u00a0b\u200bc\u00ad d": "a bc d",
}


@pytest.mark.parametrize("text", SPOKEN, ids=range(len(SPOKEN)))
def test_spoken(text):
    assert spoken_english(text) == SPOKEN[text]


@pytest.mark.parametrize("text", SPOKEN, ids=range(len(SPOKEN)))
def test_spoken_text_stays(text):
    assert spoken_english(SPOKEN[text]) == SPOKEN[text]


CHARS = [chr(code) for code in range(32, 127)]
PARTS = [
    "St. ",
    "Dr. ",
    " km",
    "p.m. ",
    "U.S. ",
    "3/4",
    "\u20ac5",
    "th",
    "...",
    "A",
    "'s",
]
WRITTEN = st.lists(st.sampled_from(CHARS + PARTS), max_size=50).map("".join)
PIECES = st.lists(st.sampled_from([*SPOKEN, *SPOKEN.values()]), max_size=4)


@settings(max_examples=150, deadline=None)
@given(WRITTEN | PIECES.map(" ".join) | PIECES.map("".join))
def test_only_what_can_be_spoken_is_left(text):
    words = spoken_english(text)
    assert not re.search(r"[^a-z' .,?!:;]", words)
    assert words == words.strip() and "  " not in words
    assert re.search("[a-z]", words) or not words
    assert not re.search(r"[.,?!:;][ ]*[.,?!:;]|\s[.,?!:;]", words)
    # What has been said once is said the same way again.
    assert spoken_english(words) == words


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex("[a-z]{1,8}", fullmatch=True), min_size=1, max_size=8))
def test_plain_words_stay(words):
    text = " ".join(words)
    assert spoken_english(text) == text


def test_every_number_below_a_thousand_differs():
    said = {spoken_english(str(n)) for n in range(1000)}
    assert len(said) == 1000
    assert not any(char.isdigit() for words in said for char in words)


@pytest.mark.parametrize(
    "text, named",
    [
        ("say \u0436", "'\u0436' CYRILLIC SMALL LETTER ZHE cannot be spoken"),
        ("hi \U0001f600!", "'\U0001f600' GRINNING FACE"),
        ("\u4f60\u597d", "'\u4f60' CJK UNIFIED IDEOGRAPH-4F60, "),
        ("\u0663 apples", "ARABIC-INDIC DIGIT THREE"),
        ("1\ufe0f\u20e3", "COMBINING ENCLOSING KEYCAP"),
        ("a\x00b", "U+0000 control cannot be spoken"),
        ("\u0430\u0431\u0432\u0433\u0434", " and 2 more cannot be spoken"),
        ("?!...", "has nothing to speak"),
        ("", "has nothing to speak"),
        (" \n\t", "has nothing to speak"),
        ("*" * 100_000, "has nothing to speak"),
    ],
)
def test_what_cannot_be_spoken_is_refused_by_name(text, named):
    with pytest.raises(InputError) as e:
        read_english(text, "text 3")
    message = str(e.value)
    assert message.startswith("text 3: ") and named in message
    assert "\n" not in message and len(message) < 300


def test_it_is_a_cleaner():
    clean = build_cleaner("spoken_english")
    assert clean("Room 7!") == "room seven!"
    # Others may follow; they find nothing to do.
    pytest.importorskip("espnet2")
    assert build_cleaner("spoken_english,tacotron,lower")("It's $5.") == (
        "it's five dollars."
    )
