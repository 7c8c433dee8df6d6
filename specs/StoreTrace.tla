----------------------------- MODULE StoreTrace -----------------------------
(* Whether DeltaStore allows a recorded trace: each step of it is an input of *)
(* one node, with the vector, the live dots and the floor that the node shows *)
(* afterwards, and the origin that it writes under. The step must be reached  *)
(* by actions of DeltaStore of that name or by what was due anyway (Tick).    *)
(*                                                                            *)
(* What was on its way is not recorded: whatever anybody ever held may arrive *)
(* at any time, entry by entry or as a whole exchange. After a Crash or a     *)
(* Rollback a node holds what it held at some earlier time.                   *)
EXTENDS DeltaStore, Sequences

CONSTANT Trace

VARIABLES at, past

TraceInit == Init /\ at = 1 /\ past = [n \in Nodes |-> {Empty}]

Step == Trace[at]

Matches(n) ==
    /\ copy[n].vv = Step.vector
    /\ {[key |-> made[d].key, dot |-> d, del |-> made[d].del]: d \in copy[n].live} = Step.live
    /\ copy[n].floor = Step.floor
    /\ own[n] = Step.own

Heard(n) ==
    \E m \in Nodes \ {n}: \E from \in past[m]:
        Whole(n, from) \/ \E d \in from.live: Entry(n, from, d)

Back(n) ==
    /\ \E c \in past[n]: copy' = [copy EXCEPT ![n] = c]
    /\ UNCHANGED <<made, disk, own, unsure, twice, left>>

Acts(n) ==
    CASE Step.action = "Tick"      -> Tick(n)
      [] Step.action = "Received"  -> Heard(n) \/ Tick(n)
      [] Step.action = "Put"       -> (\E k \in Keys: Put(n, k)) \/ Tick(n)
      [] Step.action = "Delete"    -> (\E k \in Keys: Delete(n, k)) \/ Tick(n)
      [] Step.action = "Peers"     -> Tick(n)
      [] Step.action = "Persisted" -> Tick(n)
      [] Step.action = "Retire"    -> (\E o \in Origins: Retire(n, o)) \/ Tick(n)
      [] Step.action \in {"Crash", "Rollback"} -> Back(n)

Part ==
    LET n == Step.node
    IN  /\ ~Matches(n)
        /\ Acts(n)
        /\ ~twice'
        /\ \A o \in Origins: copy'[n].vv[o] <= Step.vector[o] /\ copy'[n].floor[o] <= Step.floor[o]
        /\ past' = [past EXCEPT ![n] = @ \cup {copy'[n]}]
        /\ UNCHANGED at

Consumed ==
    /\ Matches(Step.node)
    /\ PrintT(<<"consumed", at>>)
    /\ at' = at + 1
    /\ UNCHANGED <<vars, past>>

TraceNext == at <= Len(Trace) /\ (Part \/ Consumed)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at, past>>

(* Violated exactly if the whole trace can be taken.                          *)
Unfinished == at <= Len(Trace)
=============================================================================
