"""Tables of English: what is written short, and how it is said.

The splitter of sentences reads the same abbreviations.
"""

MONTHS = {
    month[:length]: month.lower()
    for month in (
        "January February March April May June July August September October "
        "November December"
    ).split()
    for length in (3, 4 if month == "September" else 3, len(month))
}
MONTH_NAMES = list(dict.fromkeys(MONTHS.values()))

DAYS = {
    "Mon": "monday",
    "Tue": "tuesday",
    "Tues": "tuesday",
    "Wed": "wednesday",
    "Thu": "thursday",
    "Thur": "thursday",
    "Thurs": "thursday",
    "Fri": "friday",
    "Sat": "saturday",
    "Sun": "sunday",
}

# Said before a name; their stop ends no sentence.
TITLES = {
    "Mr": "mister",
    "Mrs": "missus",
    "Ms": "miz",
    "Messrs": "messieurs",
    "Dr": "doctor",
    "Prof": "professor",
    "St": "saint",
    "Mt": "mount",
    "Ft": "fort",
    "Gen": "general",
    "Col": "colonel",
    "Maj": "major",
    "Capt": "captain",
    "Cpt": "captain",
    "Cmdr": "commander",
    "Lt": "lieutenant",
    "Sgt": "sergeant",
    "Rev": "reverend",
    "Hon": "honorable",
    "Gov": "governor",
    "Sen": "senator",
    "Rep": "representative",
    "Pres": "president",
    "Supt": "superintendent",
    "Fr": "father",
}
# Titles that many write without a stop.
BARE_TITLES = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St")
# Said before a number; their stop ends no sentence.
NUMBERED = {
    "No": "number",
    "Nos": "numbers",
    "no": "number",
    "nos": "numbers",
    "Fig": "figure",
    "Figs": "figures",
    "fig": "figure",
    "Vol": "volume",
    "vol": "volume",
    "Ch": "chapter",
    "ch": "chapter",
    "Sec": "section",
    "Eq": "equation",
    "Art": "article",
    "p": "page",
    "pp": "pages",
    "ca": "circa",
    "c": "circa",
}
# Said anywhere, and never last in a sentence.
INNER = {
    "e.g": "for example",
    "i.e": "that is",
    "vs": "versus",
    "cf": "compare",
    "viz": "namely",
    "a.k.a": "also known as",
    "approx": "approximately",
    "incl": "including",
    "w.r.t": "with respect to",
}
# Said anywhere; may end a sentence.
ANYWHERE = {
    "etc": "et cetera",
    "et al": "et al",
    "Ph.D": "p h d",
    "Tel": "telephone",
    "Jr": "junior",
    "Sr": "senior",
    "Esq": "esquire",
    "Inc": "incorporated",
    "Ltd": "limited",
    "Co": "company",
    "Corp": "corporation",
    "Bros": "brothers",
    "Dept": "department",
    "dept": "department",
    "Univ": "university",
    "Assn": "association",
    "Ave": "avenue",
    "Blvd": "boulevard",
    "Rd": "road",
    "Hwy": "highway",
    "est": "established",
    "St": "street",
    "Dr": "drive",
    **{
        short: MONTHS[short]
        for short in ("Jan", "Feb", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec")
    },
}

# After a number. Regular plurals; a pair gives the plural.
UNITS = {
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "km": "kilometer",
    "nm": "nanometer",
    "microm": "micrometer",
    "microg": "microgram",
    "micros": "microsecond",
    "mm^2": "square millimeter",
    "cm^2": "square centimeter",
    "m^2": "square meter",
    "km^2": "square kilometer",
    "cm^3": "cubic centimeter",
    "m^3": "cubic meter",
    "ha": "hectare",
    "in.": ("inch", "inches"),
    '"': ("inch", "inches"),
    "ft": ("foot", "feet"),
    "sq ft": ("square foot", "square feet"),
    "ft^2": ("square foot", "square feet"),
    "sq mi": "square mile",
    "yd": "yard",
    "yds": "yard",
    "mi": "mile",
    "mg": "milligram",
    "g": "gram",
    "kg": "kilogram",
    "oz": "ounce",
    "lb": "pound",
    "lbs": "pound",
    "ml": "milliliter",
    "mL": "milliliter",
    "cl": "centiliter",
    "l": "liter",
    "L": "liter",
    "gal": "gallon",
    "ns": "nanosecond",
    "ms": "millisecond",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "yr": "year",
    "yrs": "year",
    "mph": ("mile per hour", "miles per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "mpg": ("mile per gallon", "miles per gallon"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "fps": ("frame per second", "frames per second"),
    "bpm": ("beat per minute", "beats per minute"),
    "ppm": ("part per million", "parts per million"),
    "°C": ("degree celsius", "degrees celsius"),
    "°F": ("degree fahrenheit", "degrees fahrenheit"),
    "°": "degree",
    "%": ("percent", "percent"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "dB": "decibel",
    "V": "volt",
    "W": "watt",
    "kW": "kilowatt",
    "MW": "megawatt",
    "kWh": "kilowatt hour",
    "mA": "milliamp",
    "mAh": "milliamp hour",
    "J": "joule",
    "kJ": "kilojoule",
    "kcal": "kilocalorie",
    "kPa": "kilopascal",
    "KB": "kilobyte",
    "kB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "kbps": ("kilobit per second", "kilobits per second"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
    "px": "pixel",
    "M": ("million", "million"),
    "bn": ("billion", "billion"),
    "x": ("times", "times"),
}
# After a stroke that follows a unit or a sum of money.
PER = ("second", "minute", "hour", "day", "night", "week", "month", "year", "person")

# Sign or code: one, several, one hundredth, several hundredths.
MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "¢": ("cent", "cents", "", ""),
    "USD": ("u s dollar", "u s dollars", "cent", "cents"),
    "GBP": ("british pound", "british pounds", "penny", "pence"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "JPY": ("japanese yen", "japanese yen", "", ""),
    "CHF": ("swiss franc", "swiss francs", "centime", "centimes"),
}
SCALES = {
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "b": "billion",
    "B": "billion",
    "bn": "billion",
    "tn": "trillion",
    **{s: s for s in ("thousand", "million", "billion", "trillion")},
}

# Symbols that are left once all else is read.
SYMBOL_WORDS = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "/": "slash",
    "\\": "backslash",
    "°": "degrees",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "≠": "not equal to",
    "≈": "about",
    "√": "square root of",
    "∞": "infinity",
    "§": "section",
    **{sign: MONEY[sign][1] for sign in "$£€¥₹₩¢"},
}
# In addresses every sign is said.
ADDRESS_WORDS = {
    **SYMBOL_WORDS,
    ".": "dot",
    "-": "dash",
    "_": "underscore",
    ":": "colon",
    "?": "question mark",
    "#": "hash",
    "~": "tilde",
    ",": "comma",
    ";": "semicolon",
    "!": "exclamation mark",
}
TOP_DOMAINS = (
    "com org net edu gov info io co ac uk us de fr ca au eu jp in ai app dev me tv"
).split()

# Said as they are and not letter by letter, though short and in capitals.
CAPITAL_WORDS = set(
    "NO NOT YES ALL AN AND ANY ARE AS AT BE BIG BUT BY CAN DID DO DON FOR GET GO GOT "
    "HAD HAS HE HER "
    "HIM HIS HOW HI IF IN IS ITS LET ME MY NEW NOW OF OFF ON ONE OR OUR OUT OWN SHE SO "
    "TEN THE TO TOO TWO UP WAR WAS WAY WE WHO WHY WON YET YOU AIDS GIF RAM ROM SIM "
    "VAT PIN LED MAC".split()
)
# So only beside another word in capitals: `STOP IT` but `the IT department`.
SHOUTED_WORDS = set("AM IT".split())
# Spelled, though long and with vowels.
SPELLED = set("ASAP AAAI ACLU EULA IEEE ISBN NAACP NCAA UCLA YMCA".split())

NUMBERED_THINGS = set(
    "Act Apollo Appendix Article Book Bowl Chapter Class Episode Figure Grade Level "
    "Mark Page Part Phase Rocky Scene Season Section Stage Table Title Type Unit "
    "Volume War".split()
)
# After `Part I`, `Act I`; before other words it is somebody who speaks.
AFTER_NUMERALS = set(
    "and are as at began begins by ended ends for from had has in is of on or that the "
    "to was were which with".split()
)
RULERS = set(
    "Alexander Alfonso Benedict Catherine Charles Christian Clement Constantine Edward "
    "Elizabeth Ferdinand Francis Frederick George Gregory Gustav Henry Innocent James "
    "John Joseph Leo Leopold Louis Ludwig Mary Napoleon Nicholas Paul Peter Philip "
    "Pius Ramesses Richard Urban Victor Wilhelm William".split()
)

# Fixed expressions that the rules for numbers and strokes would miss.
IDIOMS = {
    "24/7": "twenty four seven",
    "9/11": "nine eleven",
    "50/50": "fifty fifty",
    "and/or": "and or",
    "w/o": "without",
    "w/": "with ",
    "c/o": "care of",
    "n/a": "not applicable",
    "N/A": "not applicable",
    "C#": "c sharp",
    "AT&T": "eh t and t",
    "WWI": "world war one",
    "WWII": "world war two",
}

# Words that start sentences, where a stop might be an abbreviation's only.
STARTERS = set(
    "A After All Although An And As At Because Before But By Even Every For From He "
    "Her Here His How However I If In It Its Many Most My No Not Now On Once One Or "
    "Our Perhaps She Since So Some Soon Such That The Their Then There These They This "
    "Those To Today Two Until We Well What When Where While Who Why With Yes Yet You "
    "Your".split()
)
