// Package load runs the scenarios: it opens connections, sends messages at
// the times at which they ought to be sent, feeds what arrives to the proof, and
// makes a Result of it.
//
// A Run is the Handler of one event loop and belongs to its goroutine. It goes
// through phases, always forwards:
//
//	opening ──► warm-up ──► measuring ──► draining ──► done
//
// Everything that distinguishes the scenarios is in their Config and in an
// Act: what it does with its connections besides listening and sending.
package load
