-------------------------------- MODULE Swim --------------------------------
(* Membership: who is in the cluster, and who has stopped answering.          *)
(* SWIM with suspicion: a claim about a member is (incarnation, state); the   *)
(* higher incarnation wins, then the worse state; only the member itself      *)
(* raises its incarnation, and it goes past every claim about itself that is  *)
(* not its own. The dead are remembered and asked again.                      *)
(*                                                                            *)
(* The actions are the inputs of crates/membership/src/input.rs: Tick,        *)
(* Received, Join, Leave, Describe, Moved, Forget; and the environment's:     *)
(* Crash, Restart, Good.                                                      *)
(*                                                                            *)
(* The network loses, delays and repeats anything until Good. From then on    *)
(* nobody who runs is newly suspected and what is said again and again is     *)
(* heard. Crashes, leaves and restarts may come before or after.              *)
(*                                                                            *)
(* Abstracted: time (suspicion may begin and end at any moment), probes,      *)
(* acks and helpers (their only result is a suspicion), Lifeguard (it only    *)
(* chooses when), packets (a message is one claim, or a whole table at once), *)
(* descriptions (Describe and Moved raise the incarnation; what they say      *)
(* travels with it), names, the day after which the dead are forgotten.       *)
EXTENDS Naturals, FiniteSets

CONSTANTS
    Nodes,
    Suspicions,   \* wrong suspicions at most
    Crashes,      \* crashes at most
    Leaves,       \* leaves at most
    Changes,      \* Describe and Moved together at most
    Boots,        \* incarnations that a restarted node may begin with
    Single,       \* TRUE: single claims travel too, not only whole tables
    Founding,     \* TRUE: at first nobody knows anybody
    Stale,        \* TRUE: before Good, anything ever said may arrive
    Forgets,      \* how often an operator may Forget one that stopped
    Recontact,    \* FALSE: variant, the dead are never asked again
    Answers,      \* "past"; variants "equal" (only claims at the own incarnation), "none"
    Joining       \* "all"; variant "first" (content with the first that answers)

VARIABLES
    up,       \* the running processes
    table,    \* what each believes of each
    seeking,  \* those whom a node still calls because it was told to join them
    good,     \* the network is good
    said,     \* with Stale: every claim ever held
    budget    \* what may still happen

vars == <<up, table, seeking, good, said, budget>>

States == {"alive", "suspect", "dead", "left", "forgotten"}
Rank(s) == CASE s = "alive" -> 0 [] s = "suspect" -> 1 [] s = "dead" -> 2 [] s = "left" -> 3
             [] s = "forgotten" -> 4
None == [state |-> "none", inc |-> 0]
Entry(s, i) == [state |-> s, inc |-> i]
Known(e) == e.state # "none"

(* Whether claim `a` replaces belief `b`.                                     *)
Beats(a, b) ==
    /\ Known(a)
    /\ \/ ~Known(b)
       \/ a.inc > b.inc
       \/ a.inc = b.inc /\ Rank(a.state) > Rank(b.state)

(* Those who run and have not said farewell.                                  *)
Members == {n \in up: table[n][n].state = "alive"}

Blank(n, i) == [m \in Nodes |-> IF m = n THEN Entry("alive", i) ELSE None]

Init ==
    /\ up = Nodes
    /\ table = [n \in Nodes |-> IF Founding THEN Blank(n, 0)
                                ELSE [m \in Nodes |-> Entry("alive", 0)]]
    /\ seeking = [n \in Nodes |-> IF Founding THEN Nodes \ {n} ELSE {}]
    /\ good = FALSE
    /\ said = IF Stale THEN {<<m, Entry("alive", 0)>>: m \in Nodes} ELSE {}
    /\ budget = [suspicions |-> Suspicions, crashes |-> Crashes, leaves |-> Leaves, changes |-> Changes,
                 forgets |-> Forgets]

Spend(what) == budget[what] > 0 /\ budget' = [budget EXCEPT ![what] = @ - 1]

(* Everything in a table may have been sent.                                  *)
Say == said' = IF Stale /\ ~good
               THEN said \cup {c \in {<<m, table'[n][m]>>: n \in up', m \in Nodes}: Known(c[2])}
               ELSE {}

(* What `n` makes of a claim about itself. Whoever leaves argues no more.     *)
Answer(claim, own) ==
    IF ~Beats(claim, own) \/ own.state # "alive" THEN own
    ELSE CASE Answers = "past"  -> Entry(own.state, claim.inc + 1)
           [] Answers = "equal" -> IF claim.inc = own.inc THEN Entry(own.state, claim.inc + 1) ELSE own
           [] Answers = "none"  -> own

Merged(n, m, claim, belief) ==
    IF n = m THEN Answer(claim, belief)
    ELSE IF Beats(claim, belief) THEN claim
    ELSE belief

(* In a whole table a death may be old, or a partition's: whoever lives here  *)
(* is only suspected on such word.                                            *)
Softened(claim, belief) ==
    IF claim.state = "dead" /\ belief.state \in {"alive", "suspect"}
    THEN Entry("suspect", claim.inc)
    ELSE claim

-----------------------------------------------------------------------------
(* Tick: nobody answers, so a suspicion begins ...                            *)
Suspect(n, m) ==
    /\ n \in up /\ n # m
    /\ table[n][n].state = "alive"
    /\ table[n][m].state = "alive"
    /\ table' = [table EXCEPT ![n][m].state = "suspect"]
    /\ IF m \in up THEN ~good /\ Spend("suspicions") ELSE UNCHANGED budget
    /\ UNCHANGED <<up, seeking, good>>
    /\ Say

(* ... or a suspicion ends without an objection.                              *)
Declare(n, m) ==
    /\ n \in up /\ n # m
    /\ table[n][m].state = "suspect"
    /\ table' = [table EXCEPT ![n][m].state = "dead"]
    /\ UNCHANGED <<up, seeking, good, budget>>
    /\ Say

Tick(n) == \E m \in Nodes: Suspect(n, m) \/ Declare(n, m)

(* Whom `n` calls of its own accord; the called one answers.                  *)
Calls(n) ==
    LET asked == {"alive", "suspect"} \cup IF Recontact THEN {"dead"} ELSE {}
    IN  seeking[n] \cup {m \in Nodes \ {n}: table[n][m].state \in asked}

Talk(n, m) == n # m /\ n \in up /\ m \in up /\ (m \in Calls(n) \/ n \in Calls(m))

(* Whoever is known need not be sought.                                       *)
Found(n) ==
    seeking' = [seeking EXCEPT ![n] =
        IF Joining = "first" THEN {} ELSE {x \in @: ~Known(table'[n][x])}]

(* Received: `n` hears one claim from `m`, or all that `m` believes.          *)
Hear(n, m, x) ==
    /\ Single
    /\ Talk(n, m)
    /\ Known(table[m][x])
    /\ Merged(n, x, table[m][x], table[n][x]) # table[n][x]
    /\ table' = [table EXCEPT ![n][x] = Merged(n, x, table[m][x], @)]
    /\ IF Joining = "first" THEN UNCHANGED seeking ELSE Found(n)
    /\ UNCHANGED <<up, good, budget>>
    /\ Say

HearAll(n, m) ==
    /\ Talk(n, m)
    /\ table' = [table EXCEPT ![n] = [x \in Nodes |->
            Merged(n, x, IF x = n THEN table[m][x] ELSE Softened(table[m][x], @[x]), @[x])]]
    /\ Found(n)
    /\ UNCHANGED <<up, good, budget>>
    /\ Say

HearStale(n, c) ==
    /\ n \in up
    /\ ~good
    /\ table' = [table EXCEPT ![n][c[1]] = Merged(n, c[1], c[2], @)]
    /\ UNCHANGED <<up, seeking, good, budget>>
    /\ Say

Received(n) ==
    \/ \E m, x \in Nodes: Hear(n, m, x)
    \/ \E m \in Nodes: HearAll(n, m)
    \/ \E c \in said: HearStale(n, c)

(* Part of Restart here. Whoever left may come back so.                       *)
Join(n) ==
    /\ n \in up
    /\ table' = [table EXCEPT ![n][n] = IF @.state = "left" THEN Entry("alive", @.inc + 1) ELSE @]
    /\ seeking' = [seeking EXCEPT ![n] = {m \in Nodes \ {n}: ~Known(table[n][m])}]
    /\ UNCHANGED <<up, good, budget>>
    /\ Say

Leave(n) ==
    /\ n \in Members
    /\ Spend("leaves")
    /\ table' = [table EXCEPT ![n][n] = Entry("left", @.inc + 1)]
    /\ UNCHANGED <<up, seeking, good>>
    /\ Say

Change(n) ==
    /\ n \in Members
    /\ Spend("changes")
    /\ table' = [table EXCEPT ![n][n].inc = @ + 1]
    /\ UNCHANGED <<up, seeking, good>>
    /\ Say

Describe(n) == Change(n)
Moved(n) == Change(n)

(* An operator takes out one that stopped; that travels like other news.      *)
Forget(n, m) ==
    /\ Spend("forgets")
    /\ n \in Members /\ m \notin up
    /\ table[n][m].state \in {"dead", "left"}
    /\ table' = [table EXCEPT ![n][m].state = "forgotten"]
    /\ UNCHANGED <<up, seeking, good>>
    /\ Say

-----------------------------------------------------------------------------
(* The process ends: suddenly, or after its farewell.                         *)
Crash(n) ==
    /\ n \in up
    /\ IF n \in Members THEN Spend("crashes") ELSE UNCHANGED budget
    /\ up' = up \ {n}
    /\ table' = [table EXCEPT ![n] = [m \in Nodes |-> None]]
    /\ seeking' = [seeking EXCEPT ![n] = {}]
    /\ UNCHANGED <<good, said>>

(* It comes back knowing nothing, its incarnation perhaps behind its earlier  *)
(* life's, and is told to join the others.                                    *)
Restart(n, i) ==
    /\ n \notin up
    /\ up' = up \cup {n}
    /\ table' = [table EXCEPT ![n] = Blank(n, i)]
    /\ seeking' = [seeking EXCEPT ![n] = Nodes \ {n}]
    /\ UNCHANGED <<good, budget>>
    /\ Say

Good ==
    /\ ~good
    /\ good' = TRUE
    /\ said' = {}
    /\ UNCHANGED <<up, table, seeking, budget>>

Next ==
    \/ Good
    \/ \E n \in Nodes:
        \/ Tick(n) \/ Received(n) \/ Join(n) \/ Leave(n) \/ Describe(n) \/ Moved(n) \/ Crash(n)
        \/ \E m \in Nodes: Forget(n, m)
        \/ \E i \in Boots: Restart(n, i)

Spec ==
    /\ Init /\ [][Next]_vars
    /\ WF_vars(Good)
    /\ \A n, m \in Nodes:
        /\ WF_vars(good /\ HearAll(n, m))
        /\ WF_vars(good /\ m \notin up /\ (Suspect(n, m) \/ Declare(n, m)))

-----------------------------------------------------------------------------
TypeOK ==
    /\ up \subseteq Nodes
    /\ \A n, m \in Nodes: table[n][m] = None \/ table[n][m].state \in States
    /\ \A n \in up: table[n][n].state \in {"alive", "left"}
    /\ \A n \in Nodes \ up: \A m \in Nodes: table[n][m] = None
    /\ \A n \in Nodes: seeking[n] \subseteq Nodes \ {n}

(* Everybody alive is seen alive by everybody alive; whoever stopped or left  *)
(* is seen dead or left (or forgotten).                                       *)
Right ==
    \A n \in Members, m \in Nodes:
        IF m \in Members THEN table[n][m].state = "alive"
        ELSE table[n][m].state \in {"dead", "left", "forgotten", "none"}

(* No permanent false death once the network is good.                         *)
Converges == <>[]Right

(* Those who run are one cluster: no part of them that nobody calls from       *)
(* outside, and that calls nobody there.                                      *)
Connected ==
    \A part \in (SUBSET up) \ {{}, up}: \E n \in part, m \in up \ part: Talk(n, m)

(* All believe the same at last.                                              *)
Agrees == <>[](\A n, m \in Members: table[n] = table[m])

(* Beliefs only rise within one life.                                         *)
Rises ==
    [][\A n, m \in Nodes:
        (n \in up /\ n \in up' /\ Known(table[n][m]) /\ table'[n][m] # table[n][m])
            => Beats(table'[n][m], table[n][m])]_vars

(* Nobody else raises an incarnation: others only repeat what they heard.     *)
OnlyOneselfRaises ==
    [][\A n, m \in Nodes:
        (n # m /\ n \in up' /\ Known(table'[n][m]) /\ table'[n][m].inc > table[n][m].inc)
            => \/ \E o \in Nodes: table[o][m].inc >= table'[n][m].inc
               \/ \E c \in said: c[1] = m /\ c[2].inc >= table'[n][m].inc]_vars

(* Who left stays left, until a new life of its own says otherwise.           *)
LeftStays ==
    [][\A n, m \in Nodes:
        (n \in up /\ n \in up' /\ table[n][m].state = "left" /\ Known(table'[n][m]))
            => \/ table'[n][m].state \in {"left", "forgotten"}
               \/ table'[n][m].inc > table[n][m].inc]_vars
=============================================================================
