----------------------------- MODULE SwimTrace ------------------------------
(* Whether Swim allows a recorded trace: each step of it is an input of one   *)
(* node, with what that node's table shows afterwards. The step must be       *)
(* reached by actions of Swim of that name (one for each entry that changes)  *)
(* or by what was due anyway (Tick), and nothing else may have changed.       *)
(*                                                                            *)
(* What was on its way is not recorded: any claim that anybody ever held may  *)
(* arrive at any time. Incarnations are the recorded ones minus the least of  *)
(* that member. Every node begins with a Restart.                             *)
EXTENDS Swim, Sequences, TLC

CONSTANT Trace

VARIABLES at, step

(* The step that is next: kept, for to look it up in the trace is slow.       *)
Kept(next) == IF next <= Len(Trace) THEN Trace[next] ELSE Trace[1]

TraceInit ==
    /\ up = {}
    /\ table = [n \in Nodes |-> [m \in Nodes |-> None]]
    /\ seeking = [n \in Nodes |-> {}]
    /\ good = FALSE
    /\ said = {}
    /\ budget = [suspicions |-> Suspicions, crashes |-> Crashes, leaves |-> Leaves, changes |-> Changes,
                 forgets |-> Forgets]
    /\ at = 1
    /\ step = Kept(1)

(* What the core shows of an entry: one forgotten for good is not there.      *)
Shown(e) == IF e.state = "forgotten" THEN None ELSE e

Matches(n) ==
    /\ \A m \in Nodes: Shown(table[n][m]) = step.row[m]
    /\ (n \in up) = (step.action # "Crash")

(* The entry that is made right next; the own one last.                       *)
Wrong(n) ==
    LET all == {m \in Nodes: Shown(table[n][m]) # step.row[m]}
    IN  IF all \ {n} = {} THEN n ELSE CHOOSE m \in all \ {n}: TRUE

(* Every claim that a table may bring is among those ever said.               *)
Heard(n) == \E c \in said: c[1] = Wrong(n) /\ HearStale(n, c)

Acts(n) ==
    CASE step.action = "Tick"     -> Tick(n)
      [] step.action = "Received" -> Heard(n) \/ Tick(n)
      [] step.action = "Join"     -> Join(n) \/ Tick(n)
      [] step.action = "Leave"    -> Leave(n) \/ Tick(n)
      [] step.action = "Describe" -> Describe(n) \/ Tick(n)
      [] step.action = "Moved"    -> Moved(n) \/ Tick(n)
      [] step.action = "Forget"   -> (\E m \in Nodes: Forget(n, m)) \/ Tick(n)
      [] step.action = "Crash"    -> Crash(n)
      [] step.action = "Restart"  -> Restart(n, step.row[n].inc)

Part ==
    /\ ~Matches(step.node)
    /\ Acts(step.node)
    /\ \A m \in Nodes:
        IF step.action \in {"Crash", "Restart"} \/ m = Wrong(step.node)
        THEN Shown(table'[step.node][m]) = step.row[m]
        ELSE table'[step.node][m] = table[step.node][m]
    /\ UNCHANGED <<at, step>>

Consumed ==
    /\ Matches(step.node)
    /\ PrintT(<<"consumed", at>>)
    /\ at' = at + 1
    /\ step' = Kept(at + 1)
    /\ UNCHANGED vars

TraceNext == at <= Len(Trace) /\ (Part \/ Consumed)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at, step>>

(* What tells two states apart here: nobody is short of anything, and whoever *)
(* is sought is among those that are heard anyway.                            *)
View == <<up, table, said, at>>

(* Violated exactly if the whole trace can be taken.                          *)
Unfinished == at <= Len(Trace)
=============================================================================
