"""Sentences for a corpus of our own: templates over common English words.

`small` keeps to about 120 words, so that a little training on a little
speech can reach intelligible sentences that were never heard; `open` draws
from several hundred.
"""

import random
import re
from typing import Dict, Iterator, List, Sequence, Set

from espnet_fsqdiff.errors import InputError

_SMALL: Dict[str, str] = {
    "person": "farmer doctor teacher captain soldier sister student woman uncle lawyer "
    "mother brother driver neighbor king",
    "animal": "elephant rabbit monkey chicken tiger horse lion",
    "adj": "happy young hungry clever famous gentle strong angry tired lonely",
    "thing": "bottle picture blanket window table candle hammer mirror pencil jacket "
    "basket letter ladder paper cup",
    "color": "yellow purple silver green black white orange brown",
    "place": "river garden village market mountain forest kitchen station island "
    "bridge office valley school house",
    "prep": "behind under across beside near",
    "moving": "walking waiting listening dancing sleeping laughing",
    "did": "carried painted followed remembered discovered opened washed",
    "when": "yesterday tomorrow sometimes tonight today",
    "next": "wants needs promised decided hopes",
    "act": "carry paint follow remember discover open wash",
    "how": "slowly quietly suddenly together again",
}
_SMALL_TEMPLATES = (
    "the {adj} {person} {did} the {color} {thing}",
    "the {person} and the {animal} were {moving} {prep} the {place}",
    "the {person} {next} to {act} the {color} {thing}",
    "{when} the {animal} was {moving} {how} {prep} the {place}",
    "the {color} {thing} is {prep} the {place}",
    "the {adj} {animal} {did} the {person} {how}",
    "{when} the {adj} {person} {did} the {thing}",
)

_OPEN: Dict[str, str] = {
    "person": "farmer doctor teacher captain soldier mother sister brother student "
    "woman father daughter uncle neighbor painter singer writer driver baker sailor "
    "lawyer butcher hunter dancer tailor carpenter engineer visitor stranger prisoner "
    "traveler musician shepherd gardener merchant miner boxer pilot judge nurse queen "
    "king prince giant pirate wizard reporter manager president officer",
    "animal": "horse rabbit monkey chicken tiger elephant lion donkey turkey spider "
    "turtle squirrel beaver camel lizard parrot pigeon sparrow eagle falcon dolphin "
    "whale shark salmon lobster butterfly mosquito cricket puppy kitten goat sheep "
    "wolf bear fox deer mouse frog snake duck goose cow pig",
    "adj": "happy young hungry clever famous lonely gentle strong angry brave calm "
    "careful cheerful curious eager faithful foolish friendly graceful honest humble "
    "jealous lazy lucky nervous noble patient polite proud quick quiet rude serious "
    "shy silly sleepy stubborn thirsty weary wicked wild wise ancient bitter crooked "
    "dusty empty frozen heavy narrow",
    "thing": "basket bottle letter picture ladder blanket window table candle hammer "
    "mirror pencil pillow ribbon saddle scissors trumpet violin guitar whistle wagon "
    "barrel bucket button camera carpet compass cradle curtain diamond engine feather "
    "helmet jacket jewel kettle lantern magazine medal necklace needle newspaper oven "
    "package paper pocket purse puzzle rocket sandwich sculpture shovel statue "
    "suitcase sword telescope ticket towel umbrella wallet wheel",
    "color": "yellow purple silver green black white orange golden crimson brown pink "
    "gray blue scarlet violet bronze",
    "place": "river garden village market mountain forest kitchen station island "
    "bridge airport bakery balcony beach canyon castle cathedral cave cellar church "
    "cottage desert factory farm field fountain harbor hospital hotel jungle lake "
    "library meadow museum ocean office palace prison railroad restaurant school "
    "stadium street swamp temple theater tower tunnel valley waterfall warehouse",
    "prep": "behind under across beside around near inside beyond",
    "moved": "walked waited listened danced laughed rested shouted whispered wandered "
    "hurried arrived slept worked trembled stumbled played sat stood lived vanished",
    "did": "carried painted followed remembered discovered admired borrowed bought "
    "broke collected covered delivered described destroyed examined found ignored "
    "invented kept lifted noticed offered polished protected pushed received repaired "
    "rescued sold stole studied threw touched trusted wanted washed",
    "when": "yesterday tonight sometimes today again later finally usually "
    "eventually meanwhile",
    "next": "wants needs promised decided hopes tried refused learned agreed began",
    "act": "carry paint follow remember discover admire borrow buy collect cover "
    "deliver describe destroy examine find ignore invent keep lift offer polish "
    "protect push receive repair rescue sell steal study throw touch wash",
    "how": "slowly quietly suddenly together carefully bravely gladly proudly sadly "
    "secretly softly quickly gently loudly patiently early alone outside",
    "why": "because although while until before after",
    "whose": "another his her their your that",
}
_OPEN_TEMPLATES = (
    "the {adj} {person} {did} the {color} {thing}",
    "the {person} and the {animal} {moved} {prep} the {place}",
    "the {person} {next} to {act} the {color} {thing}",
    "{when} the {animal} {moved} {how} {prep} the {place}",
    "the {color} {thing} is {prep} the {place}",
    "the {adj} {animal} {did} the {person} {how}",
    "{when} the {adj} {person} {did} {whose} {thing}",
    "{why} the {person} {moved} the {animal} {did} the {thing}",
    "my {person} {did} {whose} {color} {thing} {prep} the {place}",
    "there was one {adj} {animal} {prep} the {adj} {place}",
    "every {person} in this {place} {did} our {color} {thing}",
    "did the {adj} {person} {act} the {thing} {how}",
)

DOMAINS = ("small", "open")


def _tables(domain: str):
    if domain not in DOMAINS:
        raise InputError(f"{domain}: no such domain; choose one of {DOMAINS}")
    words, templates = (
        (_SMALL, _SMALL_TEMPLATES) if domain == "small" else (_OPEN, _OPEN_TEMPLATES)
    )
    return {k: v.split() for k, v in words.items()}, templates


def vocabulary(domain: str = "small") -> Set[str]:
    """Return every word that sentences of `domain` are made of."""
    words, templates = _tables(domain)
    fixed = " ".join(re.sub(r"{\w+}|,", " ", t) for t in templates).split()
    return set(fixed).union(*words.values())


def _sentences(domain: str, seed: int) -> Iterator[str]:
    """Draw sentences without end, equal ones among them."""
    words, templates = _tables(domain)
    rng = random.Random(seed)
    while True:
        template = rng.choice(templates)
        yield re.sub(r"{(\w+)}", lambda m: rng.choice(words[m[1]]), template)


def _capacity(domain: str) -> int:
    words, templates = _tables(domain)
    total = 0
    for template in templates:
        n = 1
        for slot in re.findall(r"{(\w+)}", template):
            n *= len(words[slot])
        total += n
    return total


def draw_sentences(num: int, seed: int = 0, domain: str = "small") -> List[str]:
    """Draw `num` different sentences.

    The first sentences do not depend on `num`: whoever takes the test set first
    keeps it when the training set grows.

    Args:
        num: How many.
        seed: Seed of the draw; the same seed gives the same sentences.
        domain: `small` or `open`.

    Raises:
        InputError: Unknown domain, or more sentences than the templates hold.
    """
    # Close to the limit a draw without repetition would take for ever.
    limit = _capacity(domain) // 2
    if num > limit:
        raise InputError(
            f"{num} sentences are too many for domain {domain}; ask for at most "
            f"{limit}" + (" or use --domain open" if domain == "small" else "")
        )
    drawn: Dict[str, None] = {}
    for sentence in _sentences(domain, seed):
        if len(drawn) == num:
            break
        drawn.setdefault(sentence)
    return list(drawn)


def sentences_from_lines(lines: Sequence[str], num: int, seed: int = 0) -> List[str]:
    """Draw `num` different non-empty lines in an order given by `seed`.

    Raises:
        InputError: There are fewer than `num`.
    """
    distinct = list(dict.fromkeys(s for s in (" ".join(x.split()) for x in lines) if s))
    if len(distinct) < num:
        raise InputError(
            f"the text file has {len(distinct)} different sentences, {num} are asked "
            "for; give more text or lower --num_train"
        )
    random.Random(seed).shuffle(distinct)
    return distinct[:num]
