"""What an answer says without claiming anything: openers, courtesies, refusals."""

import re

# A refusal speaks of its sources, or of the one who answers. "The employer does not provide meals"
# and "No information may leave the ward" do neither.
_STRONG = r"(?:documents?|contexts?|texts?|passages?|sources?|excerpts?|extracts?|snippets?)"
_ANY = rf"(?:{_STRONG}|articles?|materials?|information|data|content)"
_GIVEN = r"(?:provided|given|retrieved|supplied|available)"
_SOURCE = (
    r"(?:(?:the|this|that|these|those|any|either|neither|my|your) "
    rf"(?:of (?:the|these|those|your) )?(?:\w+ ){{0,2}}?{_STRONG}\b|"
    rf"(?:the|this) article\b|{_GIVEN} (?:\w+ )?{_ANY}\b|{_ANY} (?:{_GIVEN}|above)\b)"
)
_SHOWN = rf"(?:,? (?:{_GIVEN}|above|itself|here|i have|you (?:gave|shared|provided)(?: me)?))?"
_THANKED = r"(?: for [^,.!:]{1,40})?"
OPENER = re.compile(
    r"(?:(?:(?:hi|hello|hey|greetings)(?: there)?|sure(?: thing)?|certainly|of course|absolutely|"
    r"yes|no|(?:great|good|excellent) question|no problem|you're welcome|"
    rf"(?:thanks|thank you|i apologi[sz]e){_THANKED}|(?:i'm |i am )?(?:very |so )?sorry|"
    rf"(?:based on|according to|as per)(?:(?: the)? {_SOURCE}{_SHOWN}(?: in {_SOURCE})?)?)"
    r"\s{0,3}(?:[,.!:;–—-]+(?:\s+|$)|$)(?:but\s+)?)+",  # noqa: RUF001 a typed dash
    re.IGNORECASE,
)
COURTESY = re.compile(
    r"(?:hi|hello|hey|greetings|welcome|dear)(?: \w+){0,2}[,.!]*$|"
    r"thank(?:s| you)\b(?! to\b)|(?:i |we )?hope (?:this|that|it|you)\b|sorry to hear\b|"
    r"(?:please )?(?:let me know|feel free|don't hesitate|do not hesitate)\b|"
    r"please ask (?:me|if|away)\b|(?:good luck|best wishes|(?:best|kind) regards)\b|"
    r"have a (?:good|great|nice) day|"
    r"if you (?:have|need|want|would like)\b.*"
    r"\b(?:let me know|feel free|hesitate|(?:just|please) ask|ask me|to help)\b|"
    r"i(?:'m| am|'d be| would be|'ll be| will be) (?:always )?(?:happy|glad|here) to "
    r"(?:help|assist|answer)|"
    r"here(?:'s| is| are) (?:what i\b|(?:(?:a|an|the|my|some|your) )?(?:\w+ )?"
    r"(?:summary|overview|answer|list|breakdown|information|details)\b)\D*$",
    re.IGNORECASE,
)
_NOT = (
    r"(?:(?:do|does|did|could|can|would|am|'m|is|are|was|were) not|"
    r"(?:do|does|did|could|ca|would|is|are|was|were)n't|cannot|unable to)"
)
_TELL = (
    r"(?:mention|say|state|specify|discuss|address|indicate|answer|describe|explain|tell|detail|"
    r"list|clarify|disclose|reveal|refer|reference)"
)
_TOLD = (
    r"(?:mentioned|stated|specified|discussed|addressed|indicated|answered|described|explained|"
    r"detailed|listed|disclosed|provided|given|found|covered|included|contained|available|known|"
    r"present|clear)"
)
_NEWS = r"(?:information|mention|details?|data|answers?|reference)"
_FEW = r"(?: \w+){0,2}"
_IS_NOT = r"(?:is|are|was|were)(?: not|n't)(?: \w+ly)?"
_ABOUT = r"(?:about|on|of|for|to|in|by|from|here|regarding|concerning)"
_ENOUGH = r"(?:information|context|data|details?)"
_CANNOT_BE = r"(?:cannot|can not|can't|could not|couldn't) be"
_TELLS_NOTHING = (  # what a refusal says of the sources
    rf"\b{_SOURCE}[^.]{{0,40}}?\b{_NOT}{_FEW} {_TELL}\b",
    rf"\b{_SOURCE}{_SHOWN} {_NOT}{_FEW} (?:contain|provide|include|give|cover|offer|have)\b",
    rf"\b{_SOURCE}{_SHOWN} (?:lacks?|\w+ (?:no|insufficient)){_FEW} {_NEWS}\b",
    rf"\b{_SOURCE}{_SHOWN} (?:is|are) silent\b",
    rf"\bnothing{_FEW} in {_SOURCE}",
    rf"\b(?:none of|neither)(?: the| these)?{_FEW}? {_STRONG}\b[^.]{{0,30}}? {_TELL}s?\b",
)
_IS_NOT_THERE = (  # of what was asked for
    rf"(?:\bnot|n't)(?: \w+ly)? {_TOLD}\b[^.]{{0,20}}?\b(?:in|by|from|within) {_SOURCE}",
    rf"(?:\bnot|n't) (?:in|within|part of) {_SOURCE}",
    rf"\b(?:outside|beyond)(?: the scope of)? {_SOURCE}",
    rf"\b{_IS_NOT} (?:mentioned|stated|specified|disclosed)[.!]?$",
    rf"^(?:\w+,? ){{0,3}}{_NEWS}\b[^.]{{0,60}} {_IS_NOT} {_TOLD}(?: here)?[.!]?$",
    (
        rf"\b(?:there (?:is|are|was|were)|i (?:have|found|see)|we found) no{_FEW}? {_NEWS}"
        rf"(?=[,.;!]|$| (?:{_ABOUT}|that|which|available|given)\b)"
    ),
    (
        rf"^(?:unfortunately, )?no{_FEW}? {_NEWS}(?: \w+){{0,5}}? "
        rf"(?:available|found|provided|given|mentioned)(?=[.!]?$| {_ABOUT}\b)"
    ),
    rf"(?:^|\bthere (?:is|was) )(?:not enough|insufficient) {_ENOUGH}",
    rf"\bthere (?:is|was)(?:n't| not)(?: \w+)? enough {_ENOUGH}",
    (
        r"^(?:n/?a|unknown|unanswerable|no (?:answer|idea|information)|"
        rf"not (?:{_TOLD}|applicable))[.!]?$"
    ),
)
_CANNOT_TELL = (  # of the question, or of who answers
    rf"\b(?:question|this|that|it)\b[^.]{{0,20}}{_CANNOT_BE} (?:answered|determined|inferred)",
    (
        rf"{_CANNOT_BE} (?:answered|determined|inferred|found)\b"
        rf"(?:[.!]?$|[^.]{{0,30}}\b(?:in|by|from|with|on) {_SOURCE})"
    ),
    r"\b(?:not possible|impossible) to (?:determine|answer|say|tell)\b",
    rf"\b(?:unclear|not clear) from {_SOURCE}",
    (
        rf"\b(?:i|we)(?: \w+)? ?{_NOT}{_FEW} (?:know|answer|find|tell|say|determine|locate|"
        r"(?:help|assist)(?: you)? with (?:that|this|your))\b"
    ),
    r"\b(?:i|we)(?: am|'m| are|'re| was| were) not(?: \w+)? (?:sure|certain|able to|aware)\b",
    (
        rf"\b(?:i|we) ?{_NOT}{_FEW} (?:have|provide|give)(?: \w+){{0,3}} "
        rf"(?:answers?|knowledge|access|{_ENOUGH})\b"
    ),
    r"\bas an ai(?: language model| model| assistant| chatbot)?, i\b",
)
REFUSAL = re.compile("|".join(_TELLS_NOTHING + _IS_NOT_THERE + _CANNOT_TELL), re.IGNORECASE)
