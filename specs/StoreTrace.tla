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

VARIABLES at, past, asked

TraceInit ==
    /\ Init
    /\ at = 1
    /\ past = [n \in Nodes |-> {Empty}]
    /\ asked = [n \in Nodes |-> <<>>]

Step == Trace[at]

(* What of others an entry still says that it replaced.                       *)
Carries(n, d) == \E o \in Origins \ {d[1]}: Context(copy[n], d)[o] > 0

Matches(n) ==
    /\ copy[n].vv = Step.vector
    /\ {[key |-> made[d].key, dot |-> d, del |-> made[d].del, ctx |-> Carries(n, d)]: d \in copy[n].live}
        = Step.live
    /\ copy[n].floor = Step.floor
    /\ copy[n].closed = Step.closed
    /\ own[n] = Step.own

Heard(n) ==
    \E m \in Nodes \ {n}: \E from \in past[m]:
        Whole(n, from) \/ \E d \in from.live: Entry(n, from, d)

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
    \/ /\ CASE Step.action = "Received" -> Heard(n) \/ Due(n)
            [] Step.action = "Put"      -> (Step.asks = "" /\ \E k \in Keys: Put(n, k)) \/ Due(n)
            [] Step.action = "Delete"   -> (Step.asks = "" /\ \E k \in Keys: Delete(n, k)) \/ Due(n)
            [] Step.action \in {"Tick", "Peers", "Persisted", "Retire"} -> Due(n)
            [] Step.action \in {"Crash", "Rollback"} -> Back(n) \/ Rename(n)
       /\ UNCHANGED asked
    \/ Step.action \in {"Persisted", "Crash"} /\ Land(n)

Part ==
    LET n == Step.node
    IN  /\ ~Matches(n)
        /\ Acts(n)
        /\ ~twice'
        /\ own'[n] \in {own[n], Step.own}
        /\ \A o \in Origins:
            /\ copy'[n].vv[o] <= Step.vector[o]
            /\ copy'[n].floor[o] <= Step.floor[o]
            /\ copy'[n].closed[o] <= Step.closed[o]
        /\ UNCHANGED <<at, past>>

Asking(n) ==
    CASE Step.action \in {"Crash", "Rollback"} -> <<>>
      [] Step.action \in {"Put", "Delete"} /\ Step.asks # "" ->
            Append(asked[n], [key |-> Step.asks, del |-> Step.action = "Delete", old |-> Under(n, Step.asks)])
      [] OTHER -> asked[n]

Consumed ==
    LET n == Step.node
    IN  /\ Matches(n)
        /\ PrintT(<<"consumed", at>>)
        /\ at' = at + 1
        /\ past' = [past EXCEPT ![n] = @ \cup {copy[n]}]
        /\ asked' = [asked EXCEPT ![n] = Asking(n)]
        /\ UNCHANGED vars

TraceNext == at <= Len(Trace) /\ (Part \/ Consumed)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at, past, asked>>

(* Violated exactly if the whole trace can be taken.                          *)
Unfinished == at <= Len(Trace)
=============================================================================
