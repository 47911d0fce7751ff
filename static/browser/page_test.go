package browser_test

import "testing"

func TestTwoPeopleTalk(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, bob := w.come("ann", "#kitchen"), w.come("bob", "#kitchen")
	ann.say("hello")
	bob.shows("hello")
	bob.say("hi")
	ann.shows("hi")
}
