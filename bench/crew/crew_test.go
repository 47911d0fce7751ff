package crew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"throng/bench/latency"
	"throng/bench/load"
	"throng/bench/report"
)

// TestMain makes the test binary be a member where a test has started it as one.
func TestMain(m *testing.M) {
	if role := os.Getenv(Environ); role != "" {
		roles[role]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// roles are how members of these tests behave.
var roles = map[string]func(){
	"good":      func() { act(true) },
	"silent":    func() { select {} },
	"deaf":      func() { speak(message{Kind: isReady}); sampling(nil) },
	"obedient":  func() { act(false) },
	"dies":      func() { speak(message{Kind: isReady}); os.Exit(3) },
	"complains": func() { speak(message{Kind: isError, Text: "no ports are left"}) },
	"rubbish":   func() { fmt.Println("hello"); sampling(nil) },
	"unknown":   func() { speak(message{Kind: "song"}); sampling(nil) },
	"empty":     func() { speak(message{Kind: isSample}); sampling(nil) },
}

// speak says something to the leader.
func speak(m message) { (&sender{w: os.Stdout}).send(m) }

// sampling is a member at work, until it is told otherwise.
func sampling(until <-chan message) message {
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-tick.C:
			speak(message{Kind: isSample, Sample: &report.Sample{Sent: 1}})
		case m := <-until:
			return m
		}
	}
}

// act goes through a run; one that does not end by itself waits for a cut.
func act(ends bool) {
	heard := make(chan message)
	go receive(os.Stdin, func(m message) { heard <- m })
	speak(message{Kind: isReady})
	speak(message{Kind: isSample, Sample: &report.Sample{Sent: 1}})
	for {
		m := sampling(heard)
		switch {
		case m.Kind == isBegin && ends:
			speak(message{Kind: isLimit})
		case m.Kind == isLimit:
			speak(message{Kind: isSent, Counts: map[int]int64{os.Getpid(): 7}})
		case m.Kind == isTotals || m.Kind == isCut:
			speak(message{Kind: isPart, Part: &load.Part{SentInAll: int64(len(m.Counts)), CutShort: m.Text,
				Handshake: latency.Histogram{Histogram: latency.NewHistogram()}}})
			return
		}
	}
}

// impatient shortens the limits for a test. A good member has said something
// within the first, also on a busy machine; nothing depends on who meets the second.
func impatient(t *testing.T) {
	oldSilence, oldFarewell := silence, farewell
	silence, farewell = 3*time.Second, 100*time.Millisecond
	t.Cleanup(func() { silence, farewell = oldSilence, oldFarewell })
}

func TestMembersGoThroughARunTogether(t *testing.T) {
	var shown int64
	parts, err := Lead(t.Context(), []string{"good", "good", "good"}, func(s report.Sample) { shown = s.Sent })
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range parts {
		if part.SentInAll != 3 || part.CutShort != "" {
			t.Errorf("part %d: %d senders in the totals, cut short %q", i, part.SentInAll, part.CutShort)
		}
	}
	if shown != 3 {
		t.Errorf("a sample shows %d, want the sum of 3", shown)
	}
}

func TestABadMemberEndsTheCrew(t *testing.T) {
	for role, want := range map[string]string{
		"dies":      "client process 1 ended without a report",
		"silent":    "client process 1 is stuck: it has said nothing for 3s",
		"rubbish":   "a message from another process is not understood",
		"unknown":   `client process 1 sent a message of the unknown kind "song"`,
		"empty":     "client process 1 sent an empty sample",
		"complains": "no ports are left",
	} {
		t.Run(role, func(t *testing.T) {
			impatient(t)
			if role != "silent" {
				silence = time.Minute // in which also the others of a busy machine have begun
			}
			if _, err := Lead(t.Context(), []string{"obedient", role}, nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestAnInterruptCutsAllShort(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	parts, err := Lead(ctx, []string{"obedient", "obedient"}, func(report.Sample) { interrupt(errors.New("interrupted")) })
	if err != nil || parts[0].CutShort != "interrupted" || parts[1].CutShort != "interrupted" {
		t.Fatalf("%v, %+v", err, parts)
	}
}

// One that goes on and on after it was told to end is not waited for.
func TestAMemberThatDoesNotEndIsEnded(t *testing.T) {
	impatient(t)
	ctx, interrupt := context.WithCancel(t.Context())
	_, err := Lead(ctx, []string{"obedient", "deaf"}, func(report.Sample) { interrupt() })
	if err == nil || !strings.Contains(err.Error(), "did not end within 100ms") {
		t.Errorf("got %v", err)
	}
}

// A member that does not read must not keep the leader from the others.
func TestTellingDoesNotWait(t *testing.T) {
	l := &leader{to: []chan message{make(chan message, unheard), make(chan message, 2*unheard)}}
	for range 2 * unheard {
		l.tell(message{Kind: isCut})
	}
	if len(l.to[0]) != unheard || len(l.to[1]) != 2*unheard {
		t.Errorf("%d and %d messages wait", len(l.to[0]), len(l.to[1]))
	}
}

func TestReceiveSaysWhatItDidNotUnderstand(t *testing.T) {
	var kinds []string
	err := receive(strings.NewReader("{\"kind\":\"ready\"}\n{\"kind\":7}\n"), func(m message) { kinds = append(kinds, m.Kind) })
	if err == nil || errors.Unwrap(err) == nil || len(kinds) != 1 {
		t.Errorf("%v after %v", err, kinds)
	}
}
