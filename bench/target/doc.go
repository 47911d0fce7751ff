// Package target is the server under test as a process: it starts and stops
// it, and reads from /proc what it uses. Measuring must not disturb: a sample is
// a few small files, read between two turns of the load.
package target
