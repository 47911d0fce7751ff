// Package crew lets several client processes act as one, because a process may
// hold no more than some thousands of descriptors and use no more than a core.
//
// The leader starts the members as copies of its own program and talks to them
// in JSON lines over their standard input and output. It waits for all at two
// points only: before the load begins, so that it begins everywhere at the same
// time, and after the last message was sent, when everybody learns how many
// each sender sent and can tell what is missing.
//
//	member                      leader
//	Ready          ──────►      (all are) ──────►  Begin, at a time to come
//	Sample …       ──────►      one line a second, which also is the sign of life
//	Limit          ──────►      (the first) ─────►  Limit: a ramp is over for all
//	Sent           ──────►      (all are) ──────►  Totals
//	Part, or Error ──────►      Combine
//	               ◄──────      Cut: end now
//
// A member that says nothing for long, or something that is not understood, ends
// the crew; the leader waits for none without a limit, not even to be heard.
package crew
