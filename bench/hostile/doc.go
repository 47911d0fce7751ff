// Package hostile attacks a server while honest pairs talk, and judges what
// that did to the pairs and to the server.
//
// Its one idea is that everybody is a process of their own: whoever measures the
// honest pairs is not held up by whoever attacks, and neither shares the server's
// core. The leader starts a fresh server for each attack and then, in this
// order:
//
//	calm     the pairs talk undisturbed: the figures to compare with
//	before   the server's memory, descriptors and goroutines, with nobody there
//	attack   the pairs talk, the attackers do what they do, for a time
//	during   the same figures at the end of that time, the attackers still there
//	after    the same again once all have gone
//
// The pairs, and the members of a room that the attack is on, are runs of package
// load with its whole proof: a message that is lost, doubled or out of order fails
// the attack. An attacker is a script on package loop (mob has what they share):
// it decides what bytes its connections send and when, and counts what the server
// answered. Rules turn all of that into a verdict.
package hostile
