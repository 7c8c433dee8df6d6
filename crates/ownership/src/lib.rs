//! Which member checks which target: members and targets in, owners in priority order out.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and
//! Schomaker 2005). Pure: no clock, no sockets. Does not know what a target is or how a member
//! was found.
