//go:build race

package conformance

// race reports whether the race detector runs.
const race = true
