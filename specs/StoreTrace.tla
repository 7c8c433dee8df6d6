----------------------------- MODULE StoreTrace -----------------------------
(* Whether DeltaStore allows a recorded trace: each step of it is an input of *)
(* one node, with all that the node shows afterwards: the vector, the live    *)
(* dots and whether they still carry a context, the floor, what is closed,    *)
(* and the origin that it writes under. The step must be reached by actions   *)
(* of DeltaStore of that name or by what was due anyway (Tick, Retire).       *)
(*                                                                            *)
(* What was on its way is not recorded: whatever anybody ever showed may      *)
(* arrive at any time, entry by entry or as a whole exchange. After a Crash   *)
(* or a Rollback a node holds what it held at some earlier time.              *)
(*                                                                            *)
(* Finer than DeltaStore: a write that is asked for (Put or Delete that       *)
(* `asks` a key) takes part when the disk has it (Persisted, or a boot after  *)
(* a Crash), in the order of asking, and replaces what was held when it was   *)
(* asked for. A Put or Delete that asks nothing shows at once. A new life     *)
(* has its origin from the Crash on, though the core draws it at its first    *)
(* write. What awaits the disk is not held; Absent is all but one, so that    *)
(* what is forgotten when is not judged, only whether it may be.              *)
EXTENDS DeltaStore, Sequences

CONSTANT Trace

VARIABLES at, step, past, asked

(* The step that is next: kept, for to look it up in the trace is slow.       *)
Kept(next) == IF next <= Len(Trace) THEN Trace[next] ELSE Trace[1]

TraceInit ==
    /\ Init
    /\ at = 1
    /\ step = Kept(1)
    /\ past = [n \in Nodes |-> {Empty}]
    /\ asked = [n \in Nodes |-> <<>>]

(* What of others an entry still says that it replaced.                       *)
Carries(n, d) == \E o \in Origins \ {d[1]}: Context(copy[n], d)[o] > 0

Matches(n) ==
    /\ copy[n].vv = step.vector
    /\ {[key |-> made[d].key, dot |-> d, del |-> made[d].del, ctx |-> Carries(n, d)]: d \in copy[n].live}
        = step.live
    /\ copy[n].floor = step.floor
    /\ copy[n].closed = step.closed
    /\ own[n] = step.own

Above(v, w) == \E o \in Origins: v[o] > w[o]

(* Of all that may arrive, what says something new and not too much.          *)
Heard(n) ==
    LET mine == copy[n]
        news(c) == Above(c.vv, mine.vv) \/ Above(c.floor, mine.floor) \/ Above(c.closed, mine.closed)
        fits(c) == ~(Above(c.vv, step.vector) \/ Above(c.floor, step.floor) \/ Above(c.closed, step.closed))
    IN  \E m \in Nodes \ {n}: \E from \in past[m]:
            \/ news(from) /\ fits(from) /\ Whole(n, from)
            \/ /\ ~Above(Told(from), step.floor)
               /\ \E d \in from.live:
                    /\ ~Seen(mine, d) \/ Above(Told(from), mine.floor)
                    /\ Entry(n, from, d)

Due(n) == Tick(n) \/ \E o \in Origins: Retire(n, o)

(* The disk has the oldest write that was asked for.                          *)
Land(n) ==
    /\ asked[n] # <<>>
    /\ LET asks == Head(asked[n])
           before == {d \in Under(n, asks.key): d[1] = own[n]}
       IN  Write(n, asks.key, asks.del, asks.old \cup before)
    /\ asked' = [asked EXCEPT ![n] = Tail(@)]

Back(n) ==
    /\ \E c \in past[n]: copy' = [copy EXCEPT ![n] = c]
    /\ UNCHANGED <<made, disk, own, unsure, twice, left>>

Acts(n) ==
    \/ /\ CASE step.action = "Received" -> Heard(n) \/ Due(n)
            [] step.action = "Put"      -> (step.asks = "" /\ \E k \in Keys: Put(n, k)) \/ Due(n)
            [] step.action = "Delete"   -> (step.asks = "" /\ \E k \in Keys: Delete(n, k)) \/ Due(n)
            [] step.action \in {"Tick", "Peers", "Persisted", "Retire"} -> Due(n)
            [] step.action \in {"Crash", "Rollback"} -> Back(n) \/ Rename(n)
       /\ UNCHANGED asked
    \/ step.action \in {"Persisted", "Crash"} /\ Land(n)

Part ==
    LET n == step.node
    IN  /\ ~Matches(n)
        /\ Acts(n)
        /\ ~twice'
        /\ own'[n] \in {own[n], step.own}
        /\ \A o \in Origins:
            /\ copy'[n].vv[o] <= step.vector[o]
            /\ copy'[n].floor[o] <= step.floor[o]
            /\ copy'[n].closed[o] <= step.closed[o]
        /\ UNCHANGED <<at, step, past>>

Asking(n) ==
    CASE step.action \in {"Crash", "Rollback"} -> <<>>
      [] step.action \in {"Put", "Delete"} /\ step.asks # "" ->
            Append(asked[n], [key |-> step.asks, del |-> step.action = "Delete", old |-> Under(n, step.asks)])
      [] OTHER -> asked[n]

Consumed ==
    LET n == step.node
    IN  /\ Matches(n)
        /\ PrintT(<<"consumed", at>>)
        /\ at' = at + 1
        /\ step' = Kept(at + 1)
        /\ past' = [past EXCEPT ![n] = @ \cup {copy[n]}]
        /\ asked' = [asked EXCEPT ![n] = Asking(n)]
        /\ UNCHANGED vars

TraceNext == at <= Len(Trace) /\ (Part \/ Consumed)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at, step, past, asked>>

(* Violated exactly if the whole trace can be taken.                          *)
Unfinished == at <= Len(Trace)
=============================================================================
