"""Whether the name of a place lies in the cerebellar cortex."""

from __future__ import annotations

import re

from nwb_celltype.quality.words import plain

# Words that place an electrode in the cerebellum, most likely in its cortex.
_CEREBELLUM = re.compile(
    r"cerebel|flocc|purkinje|\b(vermis|vermal|vermian|paravermis|paravermal)\b|\bcrus ?(i{1,2}[ab]?|[12][ab]?)?\b|"
    r"\blob(ul(e|es|us|i|ar))?\.? ?(h?[ivx]+[ab]?|\d+[ab]?)?\b|"
    r"\b(ansiform|simplex|uvula|nodulus|declive|pyramus|pyramis|culmen|lingula|copula pyramidis)\b"
)
# Places in the cerebellum that are not its cortex.
_CEREBELLAR_OTHER = re.compile(
    r"nucle(us|i|ar)\b|fastigial|dentate|interpos|white matter|arbor vitae|peduncle|fib(er|re) tract|"
    r"\b(dcn|cbn|dn|ipn?|fn|arb)\b"
)
_NUCLEI = re.compile(r"cerebel\w* (?:\w+ )?nucle|fastigial|interpos|dentate nucle|\bdeep nuclei\b|\b(dcn|cbn)\b")
_WHITE_MATTER = re.compile(r"arbor vitae|cerebel\w* white matter|cerebel\w* peduncle|\barb\b")
# Places elsewhere whose names share a word with the cerebellum's, or are named together with it.
_ELSEWHERE = re.compile(
    r"hippocamp|\bca[1-4]\b|\bdg\b|gyrus|subicul|thalam|striat|caudate|putamen|pallid|amygdal|accumbens|sept(um|al)|"
    r"collicul|\bpon(s|tine)\b|medull|\bolive|\bolivary|brain ?stem|midbrain|\bspinal|olfactor|retina|cochlea|"
    r"insula|parietal|paracentral|frontal|temporal|occipital|cingul|entorhinal|piriform|precuneus|quadrate|orbital|"
    r"(motor|visual|auditory|somatosensory|sensory|association) (cortex|area)|neocort|isocort|cerebr(al|i|um)\b|fornix|"
    r"habenul|zona incerta|substantia|tegment|reticular|ventricle|\bnerve|recipient|\b(alm|mop|mos|visp)\b|"
    r"purkinje fib(er|re)|(outside|out of|above) (the )?(brain|cerebell)"
)
# Acronyms of the Allen and Paxinos atlases, with the suffix of a layer; they count only where nothing else is said.
_ACRONYM = re.compile(
    r"(cb|cbx|cbl|cblm|crbl|verm|an|ancr[12]|crus[12]|sim|prm|copy|cop|pfl|[dv]pfl|fl|omv|"
    r"ling|cent[23]?|cul[45]?|dec|fotu|pyr|uvu|nod|hem)(mo|pu|gr)?|\d{1,2}[ab]?cb"
)
# Acronyms that are also words or cell types count only in the atlas's capitals.
_CAPITALS_ONLY = frozenset({"an", "hem", "pyr"})
_BESIDE_ACRONYM = re.compile(
    r"left|right|[lr]h?|side|bilateral|ipsi|contra|hemispheres?|medial|lateral|dorsal|ventral|anterior|posterior|rostral|"
    r"caudal|central|superficial|deep|layer|molecular|granul(ar|e)|cell|cortex|area|region|part|the|of|in|and|or|[a-d]|"
    r"mol|pkc|purkinje|ml|[gp]cl|[ivx]+|\d{0,2}[ab]?(mo|pu|gr)?"
)
# A text of these words alone names no place: it says nothing, or an electrode, a side, a layer found in several places.
_PLACELESS = re.compile(
    r"unknown|none|nan|na|n|null|void|root|whole|brain|head|gr[ae]y|matter|tb[ad]|todo|to|be|determined|undefined|"
    r"unlabel+ed|unassigned|unspecified|not?|specified|recorded|known|available|location|region|area|left|right|[lr]h|"
    r"hemisphere|side|anterior|posterior|lobe|molecular|granul(ar|e)|grc|cell|layer|ml|[gp]cl|[ivx]+|[a-f]|\d+|"
    r"(shank|probe|electrode|tetrode|channel|chan|ch|group|site|imec|unit)s?\d*[a-f]?"
)
# The cerebellum counts its lobules; areas and layers with numbers are the neocortex's.
_NUMBERED_NEOCORTEX = re.compile(r"(left |right )?(area|layer)s? ?(\d.*|[ivx]+)")


def is_cerebellar_cortex(region: str) -> bool | None:
    """Whether a region's text places it in the cerebellar cortex; `None` where it names no place.

    Examples
    --------
    >>> is_cerebellar_cortex("Flocculus"), is_cerebellar_cortex("CA1"), is_cerebellar_cortex("unknown")
    (True, False, None)
    >>> is_cerebellar_cortex("deep cerebellar nuclei")
    False
    """
    text = plain(region)
    if _NUMBERED_NEOCORTEX.fullmatch(text):
        return False
    if all(_PLACELESS.fullmatch(word) for word in re.findall(r"[^\W_]+", text)):
        return None
    if _CEREBELLAR_OTHER.search(text) or _ELSEWHERE.search(text):
        return False
    return bool(_CEREBELLUM.search(text)) or _is_acronym(region)


def cerebellar_part(region: str) -> str:
    """Part of the cerebellum, outside its cortex, that a text names; empty where it names none.

    Examples
    --------
    >>> cerebellar_part("deep cerebellar nuclei"), cerebellar_part("arbor vitae"), cerebellar_part("CA1")
    ('cerebellar nuclei', 'cerebellar white matter', '')
    """
    text = plain(region)
    if _ELSEWHERE.search(text):
        return ""
    if _NUCLEI.search(text):
        return "cerebellar nuclei"
    return "cerebellar white matter" if _WHITE_MATTER.search(text) else ""


def _is_acronym(region: str) -> bool:
    """Whether a text is an atlas's acronym of the cerebellar cortex and says nothing else but side, part or layer."""
    words = re.findall(r"[A-Za-z0-9]+", region)
    acronyms = [
        word
        for word in words
        if _ACRONYM.fullmatch(word.lower()) and (word.lower() not in _CAPITALS_ONLY or word.isupper())
    ]
    rest = [word.lower() for word in words if word not in acronyms]
    return bool(acronyms) and all(_BESIDE_ACRONYM.fullmatch(word) for word in rest)
