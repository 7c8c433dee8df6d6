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

VARIABLE at

TraceInit ==
    /\ up = {}
    /\ table = [n \in Nodes |-> [m \in Nodes |-> None]]
    /\ seeking = [n \in Nodes |-> {}]
    /\ good = FALSE
    /\ said = {}
    /\ budget = [suspicions |-> Suspicions, crashes |-> Crashes, leaves |-> Leaves, changes |-> Changes,
                 forgets |-> Forgets]
    /\ at = 1

Step == Trace[at]

(* What the core shows of an entry: one forgotten for good is not there.      *)
Shown(e) == IF e.state = "forgotten" THEN None ELSE e

Matches(n) ==
    /\ \A m \in Nodes: Shown(table[n][m]) = Step.row[m]
    /\ (n \in up) = (Step.action # "Crash")

(* The entry that is made right next; the own one last.                       *)
Wrong(n) ==
    LET all == {m \in Nodes: Shown(table[n][m]) # Step.row[m]}
    IN  IF all \ {n} = {} THEN n ELSE CHOOSE m \in all \ {n}: TRUE

(* Every claim that a table may bring is among those ever said.               *)
Heard(n) == \E c \in said: c[1] = Wrong(n) /\ HearStale(n, c)

Acts(n) ==
    CASE Step.action = "Tick"     -> Tick(n)
      [] Step.action = "Received" -> Heard(n) \/ Tick(n)
      [] Step.action = "Join"     -> Join(n) \/ Tick(n)
      [] Step.action = "Leave"    -> Leave(n) \/ Tick(n)
      [] Step.action = "Describe" -> Describe(n) \/ Tick(n)
      [] Step.action = "Moved"    -> Moved(n) \/ Tick(n)
      [] Step.action = "Forget"   -> (\E m \in Nodes: Forget(n, m)) \/ Tick(n)
      [] Step.action = "Crash"    -> Crash(n)
      [] Step.action = "Restart"  -> Restart(n, Step.row[n].inc)

Part ==
    /\ ~Matches(Step.node)
    /\ Acts(Step.node)
    /\ \A m \in Nodes:
        IF Step.action \in {"Crash", "Restart"} \/ m = Wrong(Step.node)
        THEN Shown(table'[Step.node][m]) = Step.row[m]
        ELSE table'[Step.node][m] = table[Step.node][m]
    /\ UNCHANGED at

Consumed ==
    /\ Matches(Step.node)
    /\ PrintT(<<"consumed", at>>)
    /\ at' = at + 1
    /\ UNCHANGED vars

TraceNext == at <= Len(Trace) /\ (Part \/ Consumed)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at>>

(* What tells two states apart here: nobody is short of anything, and whoever *)
(* is sought is among those that are heard anyway.                            *)
View == <<up, table, said, at>>

(* Violated exactly if the whole trace can be taken.                          *)
Unfinished == at <= Len(Trace)
=============================================================================
