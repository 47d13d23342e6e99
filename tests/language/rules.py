"""The phrases that are refused, with the plain wording for each, and the exceptions.

A rule that refuses good English is wrong: narrow its pattern, or add the phrase to KEPT with a
reason.
"""

WORDS = {
    r"told|tells": "log, report, notify, show or say",
    r"stands(?! for\b| in for\b)|stood|stand (?:in(?! for\b)|on|beside|still)": (
        "is, is listed, is stored"
    ),
    r"asks|(?<!frequently )asked|asking": "request, query, probe or check",
    r"anew|once more": "again, or restart",
    r"figures?(?! out\b| \d|\.\w)": "value, sample, measurement or number",
    r"answer(?:s|ed|ing)?": "response or respond (HTTP), result (of a probe), reply or say",
    r"(?<!there )(?:is|are|was|were) no "
    r"(?!longer\b|(?:{comparison}) than\b|and\b|or\b|(?:{idioms})\b)[\w…¶]\w*": (
        "“is not a …”, or “there is no …”"
    ),
    r"(?:is|are|was|were) none of": "“must be one of …”",
    r"lends?|lent|lending": "acquire or borrow",
    r"(?:gives|takes) (?:a|the|one|its) connections?": "returns, accepts or acquires",
    r"foreign(?!.(?:keys?|currency|currencies|exchange|tables?|data)\b)": (
        "third-party, other or untrusted"
    ),
    r"strangers?": "an anonymous caller, or other people",
    r"end(?:s|ed|ing)? by (?:itself|themselves)": "expires, or completes",
    r"bad nights?|3 a\.m": "incident, or on call",
    r"belong(?:s|ed|ing)? into": "belongs in, or “run it in”",
    r"fits? to": "fits, or matches",
    r"(?:of|by|as|to) whom|by which": "a sentence of its own, with the subject first",
    r"_*(?:most|least|longest)_\w+": "a name with max_ or min_",
}
"""Phrases in text, and what to write instead. A space matches the end of a line too."""

COMPARISON = "more|less|fewer|later|earlier|greater|larger|smaller|higher|lower|older|newer|longer|better|worse"
IDIOMS = "accident|different|good|matter|need|problem|surprise|use|wonder"
"""Words after “is no” that make a common expression, such as “it is no surprise that …”."""

KEPT = {
    "data_answer": "a public function of aliaport.apps",
    "metrics-foreign": "a file of deploy/ that operators mount",
    "SELECT answer ->": "the column of a table",
    "status, answer": "the column of a table",
    "answer = $": "the column of a table",
    "answer json": "the column of a table",
    "the answer is to be the same one": "the text of a migration, fixed by its checksum",
    'row["answer"]': "the column of a table",
    "first_asked": "the column of a table",
    "last_asked": "the column of a table",
    "currency_sync.asked": "the name of an event in the log",
    "request.answered": "the name of an event in the log",
    "StandIn": "a name: a stand-in is a common word",
    "stand_in": "a name: a stand-in is a common word",
    "most_common": "a method of the standard library's Counter",
    "most_waiting": "the old name of a setting, accepted until 3.3",
    "most_hashing": "the old name of a setting, accepted until 3.3",
    "MOST_WAITING": "the old name of a setting, accepted until 3.3",
    "MOST_HASHING": "the old name of a setting, accepted until 3.3",
}
"""Names and phrases that no rule applies to, with the reason."""

OPENINGS = {"What", "Whether", "Who", "Whose", "As", "Of", "By"}
"""Words that no docstring begins with."""

LOOP_VARIABLES = {"each"}
"""Names that say nothing of the thing that they hold."""

UNCHECKED = {
    "LICENSE": "a legal text",
    "requirements/*.txt": "lock files",
    "*/package-lock.json": "lock files",
    "tests/data/*": "a third-party schema",
    "plugins/currency-sync/tests/samples/*": "bulletins of a central bank",
    "tests/language/rules.py": "the rules",
    "tests/language/test_search.py": "samples of what the rules refuse",
}
