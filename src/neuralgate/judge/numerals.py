"""Numbers and months in words, as the digits that they say: "four eight one seven", "nineteen eighty-four", "7 de marzo"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from neuralgate.judge.foreign_numbers import compound_numbers
from neuralgate.judge.letters import Folded, fold

#: A month stands in a text as one of twelve characters from here on, whose use is private and which no answer holds.
JANUARY = 0xE101

#: Zero to nine in one language a line; - where a line above has the word.
_DIGITS = """
zero one two three four five six seven eight nine
oh - - - - - - - - niner
null eins zwei drei vier fünf sechs sieben acht neun
nul ein zwo - - fuenf - - - -
zéro un deux trois quatre cinq six sept huit neuf
cero uno dos tres cuatro cinco seis siete ocho nueve
zero um dois três quatro cinco seis sete oito nove
zero uno due tre quattro cinque sei sette otto nove
nul een twee drie vier vijf zes zeven acht negen
zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć
sıfır bir iki üç dört beş altı yedi sekiz dokuz
ноль один два три четыре пять шесть семь восемь девять
صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة
- واحدة اثنين ثلاث أربع خمس ست سبع ثماني تسع
शून्य एक दो तीन चार पांच छह सात आठ नौ
ज़ीरो - - - - पाँच छः - - -
ゼロ いち に さん よん ご ろく なな はち きゅう
れい - - - - - - しち - -
공 하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉
"""
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth"
)
_GERMAN_ORDINALS = "ersten zweiten dritten vierten fünften sechsten siebten achten neunten zehnten elften zwölften"
#: Letters as they are spelled on the telephone; November is a month.
_SPELLED = (
    "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike oscar papa quebec romeo sierra tango "
    "uniform victor whiskey whisky xray yankee zulu "
    "anton berta casar dora emil friedrich gustav heinrich ida julius kaufmann ludwig martha nordpol paula quelle richard samuel "
    "siegfried theodor ulrich viktor wilhelm xanthippe ypsilon zacharias zeppelin"
)
_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6}
_REPEATS = {"double": 2, "triple": 3}
#: One character a digit, in scripts that put no blanks between them.
_SYLLABLES = {
    **{digit: str(value) for value, digit in enumerate("零一二三四五六七八九")},
    **{digit: str(value) for value, digit in enumerate("영일이삼사오육칠팔구")},
    **{digit: str(value) for value, digit in enumerate("零壹贰叁肆伍陆柒捌玖")},
    **{"〇": "0", "两": "2", "兩": "2", "幺": "1", "貳": "2", "參": "3", "陸": "6"},
}
_HAN_POWERS = {
    "十": 10,
    "百": 100,
    "千": 1000,
    "拾": 10,
    "佰": 100,
    "仟": 1000,
    "십": 10,
    "백": 100,
    "천": 1000,
    "万": 10000,
    "萬": 10000,
    "만": 10000,
}
_KANA_DIGITS = {
    "ぜろ": "0",
    "れい": "0",
    "いち": "1",
    "さん": "3",
    "よん": "4",
    "ろく": "6",
    "なな": "7",
    "しち": "7",
    "はち": "8",
    "きゅう": "9",
    "ご": "5",
    "に": "2",
}
_KANA_DIGITS = {fold(name).text: digit for name, digit in _KANA_DIGITS.items()}
_KANA = re.compile(rf"(?:(?:{'|'.join(_KANA_DIGITS)})[・、 -]?){{3,}}")
#: The first year of an emperor, and of the Republic of China, less one.
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "民国": 1911, "民國": 1911, "r": 2018, "h": 1988, "s": 1925}
_ERA = re.compile(
    r"(?P<era>令和|平成|昭和|大正|民国|民國) ?(?P<year>元|\d{1,3}|[一二三四五六七八九十]{1,3}) ?年"
    r"|(?<![a-z])(?P<initial>[rhs])(?P<short>\d{1,2})(?=[./]\d{1,2}[./]\d{1,2})"
)
#: "k as in kilo", "k wie kaufmann": the letter.
_AS_IN = re.compile(
    r"(?<![^\W_])([a-z])\W{1,2}(?:as in|wie|for|like|comme|como|come|de|is for)\W{1,2}['\"]?\1[\w-]*['\"]?(?: ray\b)?|(?<![^\W_])x[ -]ray\b"
)
#: January to December, a month a line; a word with ~ is the beginning of one.
_MONTHS = """
jan janu~ jän~ janv~ enero ene genn~ gen jane~ stycz~ oca~ янв~ січ~ يناير جانفي जनवरी
feb febr~ fév~ fev~ febb~ lut~ şub~ фев~ лют~ فبراير شباط फरवरी फ़रवरी ii
mar march mars mart märz maerz marz~ março mrt maart marc~ mär мар март~ бер~ берез~ مارس آذار मार्च iii
apr april~ avr~ abr~ kwie~ nisan апр~ квіт~ أبريل إبريل نيسان अप्रैल iv
may mai mayo maggio mag maio mei maj~ mayıs май мая трав~ مايو أيار मई
jun june juni~ juin giu~ junh~ czerw~ haziran июн~ черв~ يونيو حزيران जून vi
jul july juli~ juil~ lug~ julh~ lipc~ lipiec temmuz июл~ лип~ يوليو تموز जुलाई vii
aug augus~ août aout ago agosto sierp~ ağustos авг~ серп~ أغسطس آب अगस्त viii
sep sept septe~ settem~ setem~ set wrze~ eylül сен~ верес~ سبتمبر أيلول सितंबर सितम्बर ix
oct octo~ okt okto~ ott~ outub~ out paźdz~ ekim окт~ жовт~ أكتوبر अक्टूबर अक्तूबर
nov nove~ novi~ listop~ kasım ноя~ листоп~ نوفمبر नवंबर नवम्बर xi
dec dece~ dez deze~ déc~ dic dici~ dicem~ grud~ aralık дек~ груд~ ديسمبر दिसंबर दिसम्बर xii
"""
#: Months of two words; of Vietnam by number.
_NAMES_OF_MONTHS = {
    **{fold(name).text: month for name, month in (("كانون الثاني", 1), ("تشرين الأول", 10), ("تشرين الثاني", 11), ("كانون الأول", 12))},
    **{fold(f"tháng {month}").text: month for month in range(1, 13)},
}
_OTHER_MONTHS = re.compile("|".join(rf"{re.escape(name)}(?!\d)" for name in _NAMES_OF_MONTHS))
_INITIAL = re.compile(r"[rhs]\d{1,2}[./]|thang")
_LETTER = r"(?:[^\W\d_]|[\u0900-\u0963\u0970-\u0dff])"
_WORD = re.compile(_LETTER + "+")
_STUCK = re.compile(f"(?<![0-9])[{''.join(_SYLLABLES)}{''.join(_HAN_POWERS)}]+")


@dataclass(frozen=True)
class Word:
    """What one word says: the ``value`` of a number (a digit below 10), 1 to 12 of a month, the code of a letter; or how it changes the
    numbers beside it."""

    kind: str  # digit | teen | ten | ordinal | power | repeat | month | letter | and
    value: int


@cache
def _words() -> tuple[dict[str, Word], dict[str, Word]]:
    """What whole words say, and what words that begin so do."""
    whole: dict[str, Word] = {"and": Word("and", 0)}
    begun: dict[str, Word] = {}
    for value, line in enumerate(_MONTHS.strip().splitlines(), start=1):
        for name in line.split():
            (begun if name.endswith("~") else whole)[fold(name.rstrip("~")).text] = Word("month", value)
    for line in _DIGITS.strip().splitlines():
        for value, name in enumerate(line.split()):
            if name != "-":
                whole.setdefault(fold(name).text, Word("digit", value))
    for value, name in enumerate(_TEENS.split(), start=10):
        whole[name] = Word("teen", value)
    for value, name in enumerate(_TENS.split(), start=2):
        whole[name] = Word("ten", 10 * value)
    for value, name in enumerate(_ORDINALS.split(), start=1):
        whole[name] = Word("ordinal", value)
    for value, name in enumerate(_GERMAN_ORDINALS.split(), start=1):
        whole |= {fold(name[:-1] + ending).text: Word("ordinal", value) for ending in ("n", "r", "s", "")}
    whole |= {name: Word("ordinal", 1) for name in ("premier", "primero", "primeiro", "primo")}
    whole |= {name: Word("letter", ord(name[0])) for name in _SPELLED.split()}
    whole |= {name: Word("power", value) for name, value in _POWERS.items()}
    whole |= {name: Word("repeat", value) for name, value in _REPEATS.items()}
    return whole, begun


def _meaning(word: str) -> Word | None:
    whole, begun = _words()
    if found := whole.get(word):
        return found
    for length in range(3, min(len(word), 6) + 1):
        if (found := begun.get(word[:length])) and len(word) <= length + 6:
            return found
    return None


def spoken(folded: Folded) -> Folded | None:
    """``folded`` with its numbers and months in words as digits and as the characters from :data:`JANUARY` on; None without any."""
    pieces = _all_numbers(folded.text)
    if not pieces:
        return None
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    place = 0
    for start, end, said in sorted(pieces):
        text += [*folded.text[place:start], *said]
        starts += [*folded.starts[place:start], *[folded.starts[start]] * len(said)]
        ends += [*folded.ends[place:start], *[folded.ends[end - 1]] * len(said)]
        place = end
    return Folded("".join([*text, folded.text[place:]]), (*starts, *folded.starts[place:]), (*ends, *folded.ends[place:]))


Piece = tuple[int, int, str]


def _all_numbers(text: str) -> list[Piece]:
    words = [match.span() for match in _WORD.finditer(text)]
    first = [*_spelled(text), *compound_numbers(text, words), *_dated(text)]
    covered = {place for start, end, _ in first for place in range(start, end)}
    words_of_digits = [piece for piece in _latin_numbers(text) if piece[0] not in covered]
    covered.update(place for start, end, _ in words_of_digits for place in range(start, end))
    return [*first, *words_of_digits, *(piece for piece in _stuck_numbers(text) if piece[0] not in covered)]


def _spelled(text: str) -> list[Piece]:
    return [(match.start(), match.end(), match[1] or "x") for match in _AS_IN.finditer(text)]


def _dated(text: str) -> list[Piece]:
    """Years of an era, months by other names, digits in Kana."""
    if text.isascii() and not _INITIAL.search(text):
        return []
    pieces = []
    for match in _ERA.finditer(text):
        year = match["year"] or match["short"]
        years = 1 if year == "元" else int(year) if year.isdecimal() else int(_stuck(year))
        pieces.append((match.start(), match.end(), str(_ERAS[match["era"] or match["initial"]] + years) + ("年" if match["era"] else "")))
    for match in _OTHER_MONTHS.finditer(text):
        pieces.append((match.start(), match.end(), chr(JANUARY + _NAMES_OF_MONTHS[match.group()] - 1)))
    for match in _KANA.finditer(text):
        digits = re.findall("|".join(_KANA_DIGITS), match.group())
        pieces.append((match.start(), match.end(), "".join(_KANA_DIGITS[digit] for digit in digits)))
    return pieces


def _latin_numbers(text: str) -> list[Piece]:
    """Begin, end and digits of every number and month in words."""
    found = [(match.start(), match.end(), meaning) for match in _WORD.finditer(text) if (meaning := _meaning(match.group()))]
    pieces: list[Piece] = []
    place = 0
    while place < len(found):
        start, end, word = found[place]
        following = found[place + 1][2].kind if place + 1 < len(found) else ""
        if text[start:end] == "sept" and (following == "month" or _beside_digits(found, place, text)):  # seven in French
            word = Word("digit", 7)
            found[place] = (start, end, word)
        if word.kind == "month":
            pieces.append((start, end, chr(JANUARY + word.value - 1)))
            place += 1
        elif word.kind == "letter":
            pieces.append((start, end, chr(word.value)))
            place += 1
        elif word.kind == "ordinal":
            pieces.append((start, end, f"{word.value}th"))
            place += 1
        elif word.kind == "repeat" and place + 1 < len(found) and found[place + 1][2].kind == "digit":
            pieces.append((start, found[place + 1][1], str(found[place + 1][2].value) * word.value))
            place += 2
        elif word.kind in ("digit", "teen", "ten"):
            said, after = _number(found, place, text)
            pieces.append((start, found[after - 1][1], said))
            place = after
        else:
            place += 1
    return pieces


def _beside_digits(found: list[tuple[int, int, Word]], place: int, text: str) -> bool:
    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(found)]
    return any(
        found[other][2].kind == "digit" and len(text[min(found[other][1], found[place][1]) : max(found[other][0], found[place][0])]) <= 3
        for other in beside
    )


def _number(found: list[tuple[int, int, Word]], place: int, text: str) -> tuple[str, int]:
    """The number that begins at word ``place``, in digits, and the word after it: "forty-eight seventeen" are two."""

    def joined(other: int, ands: bool = False) -> Word | None:
        """The word ``other``, where only a blank or a hyphen (``ands``: or an "and") is in front of it."""
        if other >= len(found) or text[found[other - 1][1] : found[other][0]].strip(" -" + ("," if ands else "")):
            return None
        return found[other][2]

    def small(other: int) -> tuple[int, int, str]:
        word = found[other][2]
        if word.kind == "ten" and (unit := joined(other + 1)):
            if unit.kind == "digit" and unit.value:
                return word.value + unit.value, other + 2, ""
            if unit.kind == "ordinal" and unit.value < 10:
                return word.value + unit.value, other + 2, "th"
        return word.value, other + 1, ""

    value, place, ending = small(place)
    total = 0
    while (word := joined(place)) and word.kind == "power" and not ending:
        power, place = word.value, place + 1
        if power == 100:
            value *= 100
        else:
            total, value = total + value * power, 0
        following = place + 1 if (word := joined(place)) and word.kind == "and" else place
        if (word := joined(following, ands=True)) and word.kind in ("digit", "teen", "ten"):
            more, after, ending = small(following)
            further = joined(after)
            if power == 100 or value == 0:
                if power == 100 and further and further.kind == "power" and further.value == 100:
                    break
                value, place = value + more, after
    return f"{total + value}{ending}", place


def _stuck_numbers(text: str) -> list[Piece]:
    if text.isascii():
        return []
    return [(match.start(), match.end(), said) for match in _STUCK.finditer(text) if (said := _stuck(match.group()))]


def _stuck(run: str) -> str:
    """The digits of a number in Han or Hangul: one after the other, or with tens, hundreds and thousands between."""
    if not any(character in _HAN_POWERS for character in run):
        return "".join(_SYLLABLES[character] for character in run)
    total, value = 0, 0
    for character in run:
        if _HAN_POWERS.get(character) == 10000:
            total, value = ((total + value) or 1) * 10000, 0
        elif character in _HAN_POWERS:
            total, value = total + (value or 1) * _HAN_POWERS[character], 0
        else:
            value = int(_SYLLABLES[character])
    return str(total + value)
