"""Word lists: function words, career synonyms, occupations. Data, no rules."""

FUNCTION_WORDS = frozenset(
    """
    a about above after again against all also am among an and any are aren't as at be because
    been before being below between both but by can can't cannot could couldn't did didn't do
    does doesn't doing don't done down during each either else etc even ever every few for
    from further get gets getting give given gives go goes going got had hadn't has hasn't
    have haven't having he hence her here here's hers herself him himself his how however i
    i'd i'll i'm i've if in into is isn't it it's its itself just know let let's like likely
    made make makes making many may me might mine more most much must my myself need needn't
    needs neither no nor not now of off often on once one only onto or other others ought our
    ours ourselves out over own per perhaps please quite rather really s same say says shall
    she should shouldn't since so some someone something such t tell than that that's the
    their theirs them themselves then there there's therefore these they they're this those
    though through thus to together too toward towards under until up upon us use used uses
    using usually very via want wants was wasn't way we we're well were weren't what what's
    whatever when where whether which while who who's whom whose why will with within without
    won't would wouldn't yes yet you you'd you'll you're you've your yours yourself explain
    describe list name mention mentioned according document documents text source sources
    section sections answer question kind kinds type types sort sorts thing things exactly
    actually currently generally typically normally anything everything besides anybody
    somebody everybody anyone someone everyone nobody stuff enough later actually really sure
    ask asks asked come comes came keep keeps happen happens happened exact precise quoted
    quote tell told talk number numbers figure figures long old lot lots bit kind good bad
    know known think find found look looks looking help helps getting able basically mean
    means meant stand stands call calls called
    """.split()
)

# Words of careers that people use for one another, a line each. For finding and abstaining only:
# whether a sentence is supported is never decided by them.
SYNONYMS = """
salary pay wage earn earning income remuneration compensation money paid payment cash paycheck
employer company firm organization organisation corporation enterprise
manager boss supervisor
university college
holiday vacation
raise increase rise growth grow grew growing bump jump hike uplift climb
remote home telework
skill ability competence competency capability expertise proficiency talent
task duty responsibility
challenge problem difficulty issue obstacle hurdle struggle
benefit perk advantage
hire recruit hiring recruitment
location city place region
requirement prerequisite qualification require need
sector industry
demand sought
colleague coworker teammate
software tool technology tech framework
forecast projection outlook projected predicted future
phd doctorate doctoral
bachelor bachelors undergraduate bsc
master masters msc
teach train training
signing sign-on sign
largest big bigger biggest large larger
start starting beginner entry entry-level begin early
dental teeth dentist
vision glasses eye
gym fitness
bias prejudice unfair
warning alert alarm
bug defect
boost improve enhance
job role position post occupation
career profession
ad advert advertisement posting listing vacancy
reproduce reproducibility repeat repeatable
conference conventions
path route progression ladder
essential key core main important
teamwork collaboration collaborate together
""".strip().splitlines()

PHRASES = {
    "machine learning": "ml",
    "artificial intelligence": "ai",
    "natural language processing": "nlp",
    "united states of america": "us",
    "united states": "us",
    "the states": "us",
    "u.s.a.": "us",
    "u.s.": "us",
    "usa": "us",
    "america": "us",
    "american": "us",
    "new york city": "new york",
    "nyc": "new york",
    "big apple": "new york",
    "san fran": "san francisco",
    "time off": "holiday",
    "days off": "holiday",
    "work from home": "remote work",
    "working from home": "remote work",
    "wage rise": "salary increase",
}

OCCUPATIONS = frozenset(
    """
    accountant actor actuary administrator advisor analyst anaesthetist architect artist
    assistant astronaut attorney auditor author baker banker barber barista biologist
    bookkeeper butcher carpenter cashier chef chemist cleaner clerk consultant counselor
    counsellor dancer dentist designer detective developer dietitian doctor economist editor
    electrician engineer ethicist farmer firefighter fisherman gardener geologist hairdresser
    historian inspector instructor interpreter investigator janitor journalist lawyer lecturer
    librarian linguist lifeguard marketer mathematician mechanic midwife miner musician nurse
    optician painter paramedic pharmacist philosopher photographer physician physicist
    physiotherapist pilot plumber policeman politician professor programmer psychologist
    psychiatrist realtor receptionist recruiter reporter researcher sailor salesperson
    scientist secretary singer soldier statistician strategist surgeon surveyor teacher
    technician technologist teller therapist toolmaker translator tutor vet veterinarian
    waiter waitress welder writer zoologist
    """.split()
)
