----------------------------- MODULE DeltaStore -----------------------------
(* The replicated map: dots per origin over one shared map, live dots only.   *)
(*                                                                            *)
(* A write is a dot: origin (a writer's life: <<node, life>>) and sequence    *)
(* number. Each node has a vector (all dots up to it are held or superseded), *)
(* the dots seen beyond it, the live dots, and a floor (up to which it has    *)
(* acted on "everybody has seen this": cleared a context, dropped a           *)
(* tombstone). The vector rises only at the end of a complete exchange, or    *)
(* when the dots beyond it close up to it.                                    *)
(*                                                                            *)
(* The actions are the inputs of crates/store/src/input.rs: Tick, Received,   *)
(* Put, Delete, Peers, Persisted, Retire; and the environment's: Crash,       *)
(* Rollback (a crash after which the disk is an old copy).                    *)
(*                                                                            *)
(* Abstracted: an exchange is one step (its broken beginnings are the steps   *)
(* that bring one entry); what others have seen is read from them (the core's *)
(* knowledge is older, so it acts later); up to Absent nodes may be missing   *)
(* from the frontier whenever it matters, so Peers changes nothing here;      *)
(* values, bytes, ways, hashes, bounds of the ranges beyond the vector.       *)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS
    Nodes, Keys,
    Lives,        \* lives of origins: 0..Lives
    Writes,       \* writes at most
    Deletes,      \* TRUE: a write may be a delete
    Absent,       \* nodes that may be missing from the frontier
    Disk,         \* TRUE: volatile state and disk differ, and crashes lose the former
    Rollbacks,    \* rollbacks at most
    Retirement,   \* TRUE: an origin whose node took another one may be retired
    (* The rules; the first value is the core's, the others are variants.     *)
    Exchange,     \* "complete"; "truncated": part of the entries, vector to the last one sent
    Reset,        \* "all": below the floor, all origins are compared; "origin": that one; "none"
    Late,         \* "wait": whose vector is below the sender's floor takes nothing but a whole exchange; "open": the
                  \* floors of closed origins are left out; "take": whoever gets an entry takes it
    FloorSpreads, \* TRUE; FALSE: everybody keeps the floor to himself
    Clear,        \* "stable"; "early": contexts go at once
    Prefix,       \* TRUE: a context goes only when the own vector has all that it names; FALSE
    Boot,         \* "fresh": a new origin at each doubtful boot; "one": kept when one peer knows no more; "same"
    Sends,        \* "disk": what goes out is on disk; "memory"
    Inherit       \* TRUE: a write takes over the contexts of all that it replaces; FALSE: of others' only

Origins == Nodes \X (0..Lives)
Dots == Origins \X (1..Writes)
Zero == [o \in Origins |-> 0]
NoWrite == [key |-> "none", del |-> FALSE, ctx |-> Zero, past |-> {}]

VARIABLES
    made,     \* every write ever made
    copy,     \* what each node holds
    disk,     \* what its disk holds
    own,      \* the origin that it writes under
    unsure,   \* has booted, and its origin's counter is not confirmed
    twice,    \* a dot was given to two writes
    left      \* rollbacks left

vars == <<made, copy, disk, own, unsure, twice, left>>

Written == {d \in Dots: made[d].key # "none"}

Empty == [vv |-> Zero, cloud |-> {}, live |-> {}, cleared |-> {}, floor |-> Zero, closed |-> Zero]

Init ==
    /\ made = [d \in Dots |-> NoWrite]
    /\ copy = [n \in Nodes |-> Empty]
    /\ disk = [n \in Nodes |-> Empty]
    /\ own = [n \in Nodes |-> <<n, 0>>]
    /\ unsure = {}
    /\ twice = FALSE
    /\ left = Rollbacks

Max(a, b) == IF a > b THEN a ELSE b
Join(v, w) == [o \in Origins |-> Max(v[o], w[o])]

Seen(c, d) == d[2] <= c.vv[d[1]] \/ d \in c.cloud

(* What a copy still says that a live entry replaces.                         *)
Context(c, d) == IF d \in c.cleared THEN Zero ELSE made[d].ctx

CoversBy(ctx, e, d) ==
    /\ made[e].key = made[d].key
    /\ (e[1] = d[1] /\ e[2] > d[2]) \/ ctx[d[1]] >= d[2]

(* Whether write `e` replaced write `d`, at once or by way of others,         *)
(* whatever anybody remembers.                                                *)
Covers(e, d) == CoversBy(made[e].ctx, e, d) \/ d \in made[e].past

(* The vector, after the dots beyond it that close up to it.                  *)
Closed(vv, cloud) ==
    IF cloud = {} THEN vv ELSE
    [o \in Origins |->
        LET reach == {s \in vv[o]..Writes: \A t \in (vv[o] + 1)..s: <<o, t>> \in cloud}
        IN  CHOOSE s \in reach: \A t \in reach: t <= s]

Tidy(c) ==
    LET vv == Closed(c.vv, c.cloud)
    IN  [c EXCEPT !.vv = vv,
                  !.cloud = {d \in @: d[2] > vv[d[1]]},
                  !.cleared = @ \cap c.live]

(* What `c` holds after taking in the entries `new` of `from`.                *)
Taking(c, from, new) ==
    LET all == c.live \cup new
        ctx(e) == IF e \in new THEN Context(from, e) ELSE Context(c, e)
    IN  [c EXCEPT
            !.live = {d \in all: \A e \in all: ~CoversBy(ctx(e), e, d)},
            !.cloud = @ \cup new,
            !.cleared = @ \cup (from.cleared \cap new)]

(* Whether `c` has all that `from` says everybody has.                        *)
Reaches(c, from) ==
    \A o \in Origins: from.floor[o] <= c.vv[o] \/ (Late = "open" /\ from.closed[o] > 0)

Sent(m) == IF Disk /\ Sends = "disk" THEN disk[m] ELSE copy[m]

Keep(n, c) == IF Disk THEN UNCHANGED disk ELSE disk' = [disk EXCEPT ![n] = IF Rollbacks > 0 THEN @ ELSE c]

-----------------------------------------------------------------------------
(* Received: one entry, pushed or from an exchange that broke off.            *)
Entry(n, from, d) ==
    LET taken == Taking(copy[n], from, {d})
        c == Tidy([taken EXCEPT
                !.floor = IF FloorSpreads /\ Late # "take" THEN Join(@, from.floor) ELSE @])
    IN  /\ d \in from.live
        /\ ~Seen(copy[n], d)
        /\ Late # "take" => Reaches(copy[n], from)
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

(* Received: the end of a complete exchange, and all that it brought.         *)
Whole(n, from) ==
    LET mine == copy[n]
        behind == {o \in Origins: mine.vv[o] < from.floor[o]}
        compared == CASE Reset = "all" -> IF behind = {} THEN {} ELSE Origins
                      [] Reset = "origin" -> behind
                      [] Reset = "none" -> {}
        shut == {o \in Origins: from.closed[o] > mine.closed[o]}
        dropped == {d \in mine.live:
                        /\ d \notin from.live
                        /\ \/ d[1] \in compared /\ d[2] <= from.vv[d[1]]
                           \/ d[1] \in shut /\ d[2] < from.closed[d[1]]}
        kept == [mine EXCEPT !.live = @ \ dropped]
        taken == Taking(kept, from, {d \in from.live: ~Seen(mine, d)})
        c == Tidy([taken EXCEPT
                !.vv = Join(@, from.vv),
                !.floor = IF FloorSpreads THEN Join(@, from.floor) ELSE @,
                !.closed = Join(@, from.closed)])
    IN  /\ c # mine
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

(* The trap: entries of one origin in order, cut anywhere, and the vector     *)
(* goes to the last one sent.                                                 *)
Cut(n, m, o, s) ==
    LET from == Sent(m)
        new == {d \in from.live: d[1] = o /\ d[2] <= s /\ ~Seen(copy[n], d)}
        taken == Taking(copy[n], from, new)
        c == Tidy([taken EXCEPT !.vv[o] = Max(@, s)])
    IN  /\ Exchange = "truncated"
        /\ <<o, s>> \in from.live
        /\ s > copy[n].vv[o]
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

(* Received: a peer says what it has seen of this node's origin.              *)
Highest(c, o) ==
    LET seen == {c.vv[o]} \cup {d[2]: d \in {x \in c.cloud: x[1] = o}}
    IN  CHOOSE s \in seen: \A t \in seen: t <= s

FreshOf(n) == {l \in 1..Lives: \A d \in Written: d[1] # <<n, l>>}

Confirmed(n, m) ==
    /\ n \in unsure
    /\ Boot = "one"
    /\ Highest(Sent(m), own[n]) <= copy[n].vv[own[n]]
    /\ unsure' = unsure \ {n}
    /\ UNCHANGED <<made, copy, disk, own, twice, left>>

Received(n) ==
    \E m \in Nodes \ {n}:
        \/ \E d \in Sent(m).live: Entry(n, Sent(m), d)
        \/ Whole(n, Sent(m))
        \/ \E o \in Origins, s \in 1..Writes: Cut(n, m, o, s)
        \/ Confirmed(n, m)

(* A new dot for `key` that replaces `old`.                                   *)
Write(n, key, del, old) ==
    LET o == own[n]
        d == <<o, copy[n].vv[o] + 1>>
        heard == {x \in old: Inherit \/ x[1] # o}
        ctx == [p \in Origins |->
                    LET said == {0} \cup {x[2]: x \in {y \in old: y[1] = p /\ p # o}}
                                    \cup {Context(copy[n], x)[p]: x \in heard}
                    IN  CHOOSE s \in said: \A t \in said: t <= s]
        past == old \cup UNION {made[x].past: x \in old}
        c == Tidy([copy[n] EXCEPT
                    !.vv[o] = d[2],
                    !.live = (@ \ old) \cup {d}])
    IN  /\ n \notin unsure
        /\ Cardinality(Written) < Writes
        /\ d[2] <= Writes
        /\ made' = [made EXCEPT ![d] = [key |-> key, del |-> del, ctx |-> ctx, past |-> past]]
        /\ twice' = (twice \/ \E m \in Nodes: d \in Written /\ (Seen(copy[m], d) \/ Seen(disk[m], d)))
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<own, unsure, left>>

Under(n, key) == {d \in copy[n].live: made[d].key = key}

Put(n, key) == Write(n, key, FALSE, Under(n, key))

Delete(n, key) ==
    /\ Deletes
    /\ \E d \in Under(n, key): ~made[d].del
    /\ Write(n, key, TRUE, Under(n, key))

(* Whether all but at most Absent others have seen `d` in their vector.       *)
Stable(n, d) ==
    Cardinality({m \in Nodes: copy[m].vv[d[1]] < d[2] \/ (Disk /\ disk[m].vv[d[1]] < d[2])}) <= Absent
    /\ d[2] <= copy[n].vv[d[1]]

(* Whoever asks after us must learn from our vector what the context said.    *)
Redundant(n, d) ==
    Prefix => \A o \in Origins: made[d].ctx[o] <= copy[n].vv[o]

Raised(c, d) ==
    [c EXCEPT !.floor = [o \in Origins |->
        IF o = d[1] THEN Max(@[o], d[2]) ELSE Max(@[o], made[d].ctx[o])]]

(* Tick: what everybody has seen needs no context any more ...                *)
ClearContext(n, d) ==
    LET c == Raised([copy[n] EXCEPT !.cleared = @ \cup {d}], d)
    IN  /\ d \in copy[n].live \ copy[n].cleared
        /\ made[d].ctx # Zero
        /\ Clear = "early" \/ (Stable(n, d) /\ Redundant(n, d))
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

(* ... nor, if it is a delete without siblings, any trace.                    *)
Collect(n, d) ==
    LET c == Tidy(Raised([copy[n] EXCEPT !.live = @ \ {d}], d))
    IN  /\ d \in copy[n].live
        /\ made[d].del
        /\ Under(n, made[d].key) = {d}
        /\ Stable(n, d)
        /\ Redundant(n, d)
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

(* Tick: a doubtful origin is given up for a fresh one. With Retirement any   *)
(* may be, which stands for a node that went and another that came.           *)
Rename(n) ==
    /\ n \in unsure \/ Retirement
    /\ \E l \in FreshOf(n): own' = [own EXCEPT ![n] = <<n, l>>]
    /\ unsure' = unsure \ {n}
    /\ UNCHANGED <<made, copy, disk, twice, left>>

(* Tick: an entry of an origin that nobody writes under any more is written   *)
(* again.                                                                     *)
Ended(o) == \A n \in Nodes: own[n] # o

Rehome(n, d) ==
    /\ Retirement
    /\ d \in copy[n].live
    /\ Ended(d[1])
    /\ Write(n, made[d].key, made[d].del, Under(n, made[d].key))

Tick(n) ==
    \/ \E d \in copy[n].live: ClearContext(n, d) \/ Collect(n, d) \/ Rehome(n, d)
    \/ Rename(n)

(* Retire: nothing lives under it any more, and all (but the absent) have     *)
(* seen all of it. Its last number is kept (here plus one, so that 0 says     *)
(* open); a write above it, held by one who was away, opens it again.         *)
Retire(n, o) ==
    LET c == [copy[n] EXCEPT !.closed[o] = copy[n].vv[o] + 1]
    IN  /\ Retirement
        /\ Ended(o)
        /\ copy[n].closed[o] = 0
        /\ copy[n].vv[o] > 0
        /\ \A d \in copy[n].live: d[1] # o
        /\ Stable(n, <<o, copy[n].vv[o]>>)
        /\ copy' = [copy EXCEPT ![n] = c]
        /\ Keep(n, c)
        /\ UNCHANGED <<made, own, unsure, twice, left>>

Peers(n) == UNCHANGED vars

Persisted(n) ==
    /\ Disk \/ Rollbacks > 0
    /\ disk[n] # copy[n]
    /\ disk' = [disk EXCEPT ![n] = copy[n]]
    /\ UNCHANGED <<made, copy, own, unsure, twice, left>>

-----------------------------------------------------------------------------
(* The process dies and comes back with what its disk holds.                  *)
Crash(n) ==
    /\ Disk
    /\ copy[n] # disk[n]
    /\ copy' = [copy EXCEPT ![n] = disk[n]]
    /\ UNCHANGED <<made, disk, own, unsure, twice, left>>

(* The disk turns out to be an older copy than what others were told.         *)
Rollback(n) ==
    /\ left > 0
    /\ copy[n] # disk[n]
    /\ left' = left - 1
    /\ copy' = [copy EXCEPT ![n] = disk[n]]
    /\ unsure' = IF Boot = "same" THEN unsure ELSE unsure \cup {n}
    /\ UNCHANGED <<made, disk, own, twice>>

Next ==
    \E n \in Nodes:
        \/ Tick(n) \/ Received(n) \/ Persisted(n) \/ Crash(n) \/ Rollback(n)
        \/ \E k \in Keys: Put(n, k) \/ Delete(n, k)
        \/ \E o \in Origins: Retire(n, o)

Fair ==
    /\ \A n \in Nodes:
        /\ WF_vars(Persisted(n))
        /\ WF_vars(n \in unsure /\ Rename(n))
        /\ WF_vars(\E d \in copy[n].live: copy[n].closed[d[1]] > 0 /\ Rehome(n, d))
        /\ \A m \in Nodes \ {n}: WF_vars(Whole(n, Sent(m)))

Spec == Init /\ [][Next]_vars /\ Fair

Symmetry == Permutations(Nodes) \cup Permutations(Keys)

-----------------------------------------------------------------------------
TypeOK ==
    /\ \A n \in Nodes: copy[n].live \subseteq Written /\ copy[n].cloud \subseteq Written
    /\ \A n \in Nodes: \A d \in copy[n].live: Seen(copy[n], d)

(* No dot that anybody has heard of is used twice.                            *)
NoDotTwice == ~twice

(* Prefix honesty, and no lost write: what a node claims to have seen it      *)
(* holds, or it has seen what replaced it, or it was a delete and is done.    *)
Honest ==
    \A n \in Nodes: \A d \in Written:
        Seen(copy[n], d) =>
            \/ d \in copy[n].live
            \/ made[d].del
            \/ \E e \in Written: Covers(e, d) /\ Seen(copy[n], e)

(* No resurrection: what a node has seen replaced it does not hold.           *)
Clean ==
    \A n \in Nodes: \A d \in copy[n].live: \A e \in Written:
        Covers(e, d) => ~Seen(copy[n], e)

(* Nor does anything dropped come back, but by a rollback.                    *)
NoReturn ==
    [][\A n \in Nodes: \A d \in Written:
        (Seen(copy[n], d) /\ d \notin copy[n].live /\ d \in copy'[n].live)
            => copy'[n] = disk[n]]_vars

Shown(n) == {d \in copy[n].live: ~made[d].del}

(* When the writing is over, all come to show the same, and keep to it.       *)
Converges == <>[](\A n, m \in Nodes: Shown(n) = Shown(m))
=============================================================================
