"""Numbers above nine in words of other languages than English: "mille neuf cent quatre-vingt-quinze", "zweitausenddreißig"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from neuralgate.judge.letters import fold

#: One to nine, ten to nineteen, and the tens from twenty on, a language a line. Where two words say the same, a slash parts them.
_TABLE = {
    "french": (
        "un/une deux trois quatre cinq six sept huit neuf",
        "dix onze douze treize quatorze quinze seize - - -",
        "vingt/vingts trente quarante cinquante soixante septante huitante/octante nonante",
    ),
    "spanish": (
        "un/uno/una dos tres cuatro cinco seis siete ocho nueve",
        "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve",
        "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    ),
    "portuguese": (
        "um/uma dois/duas três quatro cinco seis sete oito nove",
        "dez onze doze treze catorze/quatorze quinze dezesseis/dezasseis dezessete/dezassete dezoito dezenove/dezanove",
        "vinte trinta quarenta cinquenta/cinqüenta sessenta setenta oitenta noventa",
    ),
    "italian": (
        "uno/un due tre quattro cinque sei sette otto nove",
        "dieci undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove",
        "venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    ),
    "german": (
        "ein/eins zwei/zwo drei vier fünf/fuenf sechs sieben acht neun",
        "zehn elf zwölf/zwoelf dreizehn vierzehn fünfzehn/fuenfzehn sechzehn siebzehn achtzehn neunzehn",
        "zwanzig dreißig vierzig fünfzig/fuenfzig sechzig siebzig achtzig neunzig",
    ),
    "dutch": (
        "een twee drie vier vijf zes zeven acht negen",
        "tien elf twaalf dertien veertien vijftien zestien zeventien achttien negentien",
        "twintig dertig veertig vijftig zestig zeventig tachtig negentig",
    ),
    "russian": (
        "один/одна/первого/первое два/две/второго/второе три/третьего/третье четыре/четвёртого/четвёртое пять/пятого/пятое "
        "шесть/шестого/шестое семь/седьмого/седьмое восемь/восьмого/восьмое девять/девятого/девятое",
        "десять/десятого/десятое одиннадцать/одиннадцатого двенадцать/двенадцатого тринадцать/тринадцатого четырнадцать/четырнадцатого "
        "пятнадцать/пятнадцатого шестнадцать/шестнадцатого семнадцать/семнадцатого восемнадцать/восемнадцатого девятнадцать/девятнадцатого",
        "двадцать/двадцатого тридцать/тридцатого сорок/сорокового пятьдесят/пятидесятого шестьдесят/шестидесятого "
        "семьдесят/семидесятого восемьдесят/восьмидесятого девяносто/девяностого",
    ),
    "polish": (
        "jeden dwa/dwie trzy cztery pięć sześć siedem osiem dziewięć",
        "dziesięć jedenaście dwanaście trzynaście czternaście piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście",
        "dwadzieścia trzydzieści czterdzieści pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt dziewięćdziesiąt",
    ),
    "turkish": ("bir iki üç dört beş altı yedi sekiz dokuz", "on - - - - - - - - -", "yirmi otuz kırk elli altmış yetmiş seksen doksan"),
    "arabic": (
        "واحد/واحدة/أحد/إحدى اثنان/اثنين/اثنا/اثني/اثنتا ثلاثة/ثلاث أربعة/أربع خمسة/خمس ستة/ست سبعة/سبع ثمانية/ثماني/ثمان تسعة/تسع",
        "عشرة/عشر - - - - - - - - -",
        "عشرون/عشرين ثلاثون/ثلاثين أربعون/أربعين خمسون/خمسين ستون/ستين سبعون/سبعين ثمانون/ثمانين تسعون/تسعين",
    ),
}
_HINDI = """
एक दो तीन चार पांच/पाँच छह/छः/छे सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह/पन्द्रह सोलह सत्रह अठारह/अट्ठारह उन्नीस बीस इक्कीस बाईस तेईस चौबीस
पच्चीस छब्बीस सत्ताईस अट्ठाईस/अठाईस उनतीस/उन्तीस तीस इकतीस/इकत्तीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस चालीस इकतालीस बयालीस
तैंतालीस चौवालीस/चवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन/अठावन उनसठ साठ इकसठ
बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी/उनासी अस्सी इक्यासी
बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी/अठासी नवासी नब्बे इक्यानवे/इक्यानबे बानवे/बानबे तिरानवे/तिरानबे चौरानवे/चौरानबे पचानवे/पंचानवे/पचानबे
छियानवे/छियानबे सत्तानवे/सत्तानबे अट्ठानवे/अठानवे/अट्ठानबे निन्यानवे/निन्यानबे
"""
_HUNDREDS = {
    "spanish": "ciento/cien doscientos/doscientas trescientos/trescientas cuatrocientos/cuatrocientas quinientos/quinientas "
    "seiscientos/seiscientas setecientos/setecientas ochocientos/ochocientas novecientos/novecientas",
    "portuguese": "cem/cento duzentos/duzentas trezentos/trezentas quatrocentos/quatrocentas quinhentos/quinhentas seiscentos/seiscentas "
    "setecentos/setecentas oitocentos/oitocentas novecentos/novecentas",
    "russian": "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот",
    "polish": "sto dwieście trzysta czterysta pięćset sześćset siedemset osiemset dziewięćset",
    "arabic": "مئة/مائة مئتان/مئتين/مائتان/مائتين ثلاثمئة/ثلاثمائة أربعمئة/أربعمائة خمسمئة/خمسمائة ستمئة/ستمائة سبعمئة/سبعمائة "
    "ثمانمئة/ثمانمائة/ثمانيمائة تسعمئة/تسعمائة",
}
_ARABIC_ORDINALS = "الأول الثاني الثالث الرابع الخامس السادس السابع الثامن التاسع العاشر"
_SPANISH_TWENTIES = "veintiuno veintidos veintitres veinticuatro veinticinco veintiseis veintisiete veintiocho veintinueve"
_POWERS = {
    "french": {"cent": 100, "cents": 100, "mille": 1000, "mil": 1000},
    "spanish": {"mil": 1000},
    "portuguese": {"mil": 1000},
    "italian": {"cento": 100, "mille": 1000, "mila": 1000},
    "german": {"hundert": 100, "tausend": 1000},
    "dutch": {"honderd": 100, "duizend": 1000},
    "russian": {"тысяча": 1000, "тысячи": 1000, "тысяч": 1000},
    "polish": {"tysiąc": 1000, "tysiące": 1000, "tysięcy": 1000},
    "turkish": {"yüz": 100, "bin": 1000},
    "arabic": {"ألف": 1000, "آلاف": 1000},
    "hindi": {"सौ": 100, "हज़ार": 1000, "हजार": 1000, "लाख": 10**5},
}
_AND = {"french": "et", "spanish": "y", "portuguese": "e", "german": "und", "dutch": "en", "italian": "e"}
#: Words of other things, which say a number only beside other ones.
_OTHERWISE = frozenset(
    ["once", "cent", "cents", "on", "bin", "mil", "mila", "elf", "elli", "ein", "eins", "sei", "mille", "sto", "cem", "cien"]
)
_COMPOUND = {  # hundreds and thousands within one word
    "german": re.compile(r"(?:(?P<thousands>[a-z]*?)tausend)?(?:(?:und)?(?P<hundreds>[a-z]*?)hundert)?(?:und)?(?P<rest>[a-z]*)"),
    "dutch": re.compile(r"(?:(?P<thousands>[a-z]*?)duizend)?(?:(?P<hundreds>[a-z]*?)honderd)?(?:en)?(?P<rest>[a-z]*)"),
    "italian": re.compile(r"(?:(?P<thousands>[a-z]*?)mil(?:le|a))?(?:(?P<hundreds>[a-z]*?)cento?)?(?P<rest>[a-z]*)"),
}
_STEM = re.compile("hundert|tausend|honderd|duizend|cent[ou]|mil[la]")


@cache
def _values() -> dict[str, dict[str, int]]:
    """Language to word to what it says."""
    found: dict[str, dict[str, int]] = {}
    for language, (units, teens, tens) in _TABLE.items():
        words = found[language] = {}
        for first, step, line in ((1, 1, units), (10, 1, teens), (20, 10, tens), (100, 100, _HUNDREDS.get(language, ""))):
            for value, names in enumerate(line.split()):
                words |= {fold(name).text: first + step * value for name in names.split("/") if name != "-"}
    found["hindi"] = {fold(name).text: value for value, names in enumerate(_HINDI.split(), 1) for name in names.split("/")}
    for language, between in (("german", "und"), ("dutch", "en"), ("italian", "")):
        words = found[language]
        ones, many_tens = ({name: value for name, value in words.items() if low <= value < high} for low, high in ((1, 10), (20, 100)))
        for ten, many in many_tens.items():
            for unit, one in ones.items():
                if language == "italian":
                    words[(ten[:-1] if one in (1, 8) else ten) + unit] = many + one
                elif unit != "eins":
                    words[unit + between + ten] = many + one
    german = found["german"]
    german |= {f"{name}{'ste' if value > 19 else 'te'}{ending}": value for name, value in german.items() if value > 12 for ending in "nrms"}
    german |= {ordinal[:-1]: value for ordinal, value in german.items() if ordinal.endswith("ten")}
    for value, name in enumerate(_ARABIC_ORDINALS.split(), 1):
        found["arabic"][fold(name).text] = value
    for value, name in enumerate(_SPANISH_TWENTIES.split(), 21):
        found["spanish"][name] = value
    found["spanish"] |= {"veintiun": 21, "veintiuna": 21, "primero": 1}
    found["french"] |= {"premier": 1}
    found["arabic"] |= {fold(name).text: 2000 for name in ("ألفان", "ألفين")}
    found["russian"] |= {"тысячного": 1000, fold("двухтысячного").text: 2000}
    return found


@lru_cache(maxsize=16384)
def _meanings(word: str) -> dict[str, int]:
    """Language to the value of the word there, below zero where it multiplies what is in front of it."""
    found = {language: words[word] for language, words in _values().items() if word in words}
    for language, powers in _powers().items():
        if word in powers:
            found[language] = -powers[word]
    if not found and len(word) > 6 and _STEM.search(word):
        found = {language: value for language in _COMPOUND if (value := _compound(word, language))}
    if not found and word.startswith("و") and len(word) > 3:
        return {language: value for language, value in _meanings(word[1:]).items() if language == "arabic"}
    return found


@cache
def _powers() -> dict[str, dict[str, int]]:
    return {language: {fold(name).text: value for name, value in powers.items()} for language, powers in _POWERS.items()}


def _compound(word: str, language: str) -> int | None:
    match = _COMPOUND[language].fullmatch(word)
    if match is None:
        return None
    values = _values()[language]
    total = 0
    for name, factor in (("thousands", 1000), ("hundreds", 100), ("rest", 1)):
        said = match[name]
        if said is None or (said == "" and factor == 1):
            continue
        value = 1 if said == "" else values.get(said) or (_compound(said, language) if factor == 1000 and _STEM.search(said) else None)
        if value is None:
            return None
        total += value * factor
    return total or None


def compound_numbers(text: str, words: Sequence[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """Begin, end and digits of every number of two and more digits that the ``words`` of the folded ``text`` say."""
    pieces = []
    place = 0
    while place < len(words):
        languages = _meanings(text[slice(*words[place])])
        found = max((_runs(text, words, place, language) for language in languages), key=lambda run: run[0], default=(place, []))
        after, numbers = found
        pieces += numbers
        place = max(after, place + 1)
    return pieces


def _runs(text: str, words: Sequence[tuple[int, int]], place: int, language: str) -> tuple[int, list[tuple[int, int, str]]]:
    """The word after the numbers of one language from ``place`` on, and these numbers; none where all are single digits."""
    first = place
    numbers: list[tuple[int, int, str]] = []
    said: list[int] = []
    while place < len(words):
        start, end = words[place]
        value = _meanings(text[start:end]).get(language)
        if value is None or (said and text[words[place - 1][1] : start].strip(" -,.'")):
            break
        number, place, several = _one(text, words, place, language)
        said += [number]
        numbers.append((start, words[place - 1][1], str(number)))
        if not several and number > 9 and text[start:end] in _OTHERWISE:
            said[-1] = 0
    spelled = {text[slice(*word)] for word in words[first:place]}
    if not any(number > 9 for number in said) or spelled <= {"six", "cent", "cents"}:  # "six cents" is English, too
        return first, []
    return place, numbers


def _one(text: str, words: Sequence[tuple[int, int]], place: int, language: str) -> tuple[int, int, bool]:
    """The number that begins at ``place``, the word after it, and whether it has more words than one."""
    first, total, group, last = place, 0, 0, 0
    while place < len(words):
        start, end = words[place]
        word = text[start:end]
        if place > first:
            gap = text[words[place - 1][1] : start]
            linked = word == _AND.get(language) and not gap.strip(" -") and place + 1 < len(words)
            if linked and not text[end : words[place + 1][0]].strip(" -") and (group or total) and last >= 20:
                following = _meanings(text[slice(*words[place + 1])]).get(language)
                if following and 0 < following < last and (group or total) % 10 == 0:
                    place += 1
                    continue
            if gap.strip(" -"):
                break
        value = _meanings(word).get(language)
        if value is None:
            break
        if value < 0:
            power = -value
            if (power == 100 and not 0 <= group < 100) or (power == 1000 and total >= 1000 and power * (group or 1) >= total):
                break
            if power == 100:
                group = (group or 1) * 100
            else:
                total, group = total + (group or 1) * power, 0
        elif language == "french" and value == 20 and group % 100 == 4 and last == 4:
            group += 76
        elif (group == 0 and (total == 0 or total > value)) or _adds(value, group, last, language, word):
            group += value
        else:
            break
        last = abs(value)
        place += 1
    return total + group, place, place - first > 1


def _adds(value: int, group: int, last: int, language: str, word: str) -> bool:
    """Whether a number goes on with ``value`` behind a word that said ``last``: 40 with 8, 900 with 95, in French 60 with 15."""
    if language == "french" and last == 10:
        return value in (7, 8, 9)
    if language == "french" and group % 100 in (60, 80):
        return value < 20
    if language == "arabic" and 0 < last < 10:  # five and ninety
        return value == 10 or (20 <= value < 100 and word.startswith("و"))
    return (value < last and group % 10 ** len(str(value)) == 0) or (last == 100 and group % 100 == 0 and value < 100)
