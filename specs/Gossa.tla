------------------------------- MODULE Gossa -------------------------------
(* The small gossip protocol of the posts on liveness properties, in three    *)
(* steps: Rule says what a peer does with news that differs from what it      *)
(* believes.                                                                  *)
(*                                                                            *)
(*   "contest"   takes it, whatever it is. Must fail: dead and alive chase    *)
(*               each other in circles for ever.                              *)
(*   "deadwins"  dead replaces alive, never the reverse. Must fail: one wrong *)
(*               accusation, and a living peer is dead for ever.              *)
(*   "refute"    the higher counter wins, dead wins between equals, and only  *)
(*               the peer itself raises its counter, past any claim that it   *)
(*               is dead. Must hold.                                          *)
(*                                                                            *)
(* Abstracted: time (anybody may be accused at any moment, at most            *)
(* Accusations times in all, which also bounds the counter), messages (one    *)
(* peer tells another everything in one step), loss (a step need not happen   *)
(* soon).                                                                     *)
EXTENDS Naturals

CONSTANTS Peers, Rule, Accusations, Deaths

VARIABLES
    running,  \* who runs
    view,     \* what each peer believes of each: [state, counter]
    accused,  \* how many wrong accusations there were
    died      \* how many deaths there were

vars == <<running, view, accused, died>>

Alive(c) == [state |-> "alive", counter |-> c]
Dead(c)  == [state |-> "dead",  counter |-> c]

TypeOK ==
    /\ running \subseteq Peers
    /\ view \in [Peers -> [Peers -> [state: {"alive", "dead"}, counter: 0..(Accusations + Deaths)]]]
    /\ accused \in 0..Accusations
    /\ died \in 0..Deaths

Init ==
    /\ running = Peers
    /\ view = [p \in Peers |-> [q \in Peers |-> Alive(0)]]
    /\ accused = 0
    /\ died = 0

(* Whether `news` replaces what is believed.                                  *)
Wins(news, belief) ==
    CASE Rule = "contest"  -> news # belief
      [] Rule = "deadwins" -> news.state = "dead" /\ belief.state = "alive"
      [] Rule = "refute"   -> \/ news.counter > belief.counter
                              \/ /\ news.counter = belief.counter
                                 /\ news.state = "dead"
                                 /\ belief.state = "alive"

(* What a peer makes of news about itself: only a counter lets it object.     *)
OfItself(news, belief) ==
    IF Rule = "refute" /\ news.state = "dead" /\ news.counter >= belief.counter
    THEN Alive(news.counter + 1)
    ELSE belief

-----------------------------------------------------------------------------
(* A peer stops, or comes back knowing nobody's state and no counter.         *)
Die(p) ==
    /\ p \in running
    /\ died < Deaths
    /\ running' = running \ {p}
    /\ died' = died + 1
    /\ UNCHANGED <<view, accused>>

Start(p) ==
    /\ p \notin running
    /\ running' = running \cup {p}
    /\ view' = [view EXCEPT ![p] = [q \in Peers |-> Alive(0)]]
    /\ UNCHANGED <<accused, died>>

(* `p` finds that `q` does not answer: rightly, or wrongly.                   *)
Detect(p, q) ==
    /\ p \in running /\ q \notin running
    /\ view[p][q].state = "alive"
    /\ view' = [view EXCEPT ![p][q] = Dead(@.counter)]
    /\ UNCHANGED <<running, accused, died>>

Accuse(p, q) ==
    /\ p \in running /\ q \in running /\ p # q
    /\ view[p][q].state = "alive"
    /\ accused < Accusations
    /\ accused' = accused + 1
    /\ view' = [view EXCEPT ![p][q] = Dead(@.counter)]
    /\ UNCHANGED <<running, died>>

(* `p` tells `q` all that it believes.                                        *)
Gossip(p, q) ==
    /\ p \in running /\ q \in running /\ p # q
    /\ view' = [view EXCEPT ![q] =
            [r \in Peers |->
                IF r = q THEN OfItself(view[p][r], @[r])
                ELSE IF Wins(view[p][r], @[r]) THEN view[p][r]
                ELSE @[r]]]
    /\ UNCHANGED <<running, accused, died>>

Next ==
    \E p \in Peers:
        \/ Die(p) \/ Start(p)
        \/ \E q \in Peers: Detect(p, q) \/ Accuse(p, q) \/ Gossip(p, q)

Spec ==
    /\ Init /\ [][Next]_vars
    /\ \A p, q \in Peers: WF_vars(Gossip(p, q)) /\ WF_vars(Detect(p, q))

-----------------------------------------------------------------------------
Agreed ==
    \A p \in running: \A q \in Peers: (view[p][q].state = "alive") = (q \in running)

(* Accusations and deaths are few, so they end; then all must come to know    *)
(* who runs, and keep knowing it.                                             *)
Converges == <>[]Agreed

(* Nobody but the peer itself raises its counter.                             *)
OnlyOneselfCounts ==
    [][\A p, q \in Peers:
        (p # q /\ view'[p][q].counter > view[p][q].counter)
            => \E r \in Peers: view[r][q].counter >= view'[p][q].counter]_vars
=============================================================================
