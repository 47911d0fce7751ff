package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"throng/client"
)

// Limits of the line mode.
const (
	maxLine = 1 << 20 // bytes of an input line: more than any server takes
	maxOpen = 64      // lines said and not confirmed, then no more are read
)

// Lines is the chat for pipes: lines in, lines out. The zero values of In and Out are none.
type Lines struct {
	Client Chatter
	In     io.Reader // each line is said in Room
	Out    io.Writer // what is heard
	Err    io.Writer // what went wrong
	Room   string
	// Several shows the room in each line.
	Several bool
	// JSON prints the objects of throng.v1, one in a line.
	JSON bool
	// Follow goes on listening when In has ended.
	Follow bool
	// Timeout is how long what was said may stay without any confirmation.
	Timeout time.Duration

	open     int // lines that are not confirmed
	problems int // lines that were not said
	inEnded  bool
}

var errTooLong = fmt.Errorf("a line of the input has more than %d bytes", maxLine)

// Run says and prints until the input has ended and everything is confirmed; or, when there is no
// input, or with Follow, until the context ends. An error says what was not confirmed or not printed.
func (l *Lines) Run(ctx context.Context) error {
	if l.Timeout <= 0 {
		l.Timeout = 30 * time.Second
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Client.Run(running) }()

	err := l.talk(ctx, running)
	cancel()
	for range l.Client.Events() { // until it has said goodbye
		continue
	}
	if gaveUp := <-ended; !errors.Is(gaveUp, context.Canceled) {
		return gaveUp
	}
	if err == nil && l.problems > 0 {
		err = fmt.Errorf("%d of the lines were not said", l.problems)
	}
	return err
}

// talk is Run without beginning and end.
func (l *Lines) talk(ctx, running context.Context) error {
	input := make(chan string)
	failed := make(chan error, 1)
	l.inEnded = l.In == nil
	if l.In != nil {
		go l.read(running, input, failed)
	}
	var late <-chan time.Time
	for waited := 0; ; {
		if l.done() {
			return nil
		}
		// The time begins anew with each line that is confirmed.
		if l.open == 0 {
			late = nil
		} else if late == nil || l.open != waited {
			late = time.After(l.Timeout)
		}
		waited = l.open
		lines := input
		if l.open >= maxOpen || l.inEnded {
			lines = nil
		}
		select {
		case text, ok := <-lines:
			if !ok {
				l.inEnded = true
				if err := <-failed; err != nil {
					return err
				}
				continue
			}
			if _, err := l.Client.Say(l.Room, text); err != nil {
				return err
			}
			l.open++
		case e, ok := <-l.Client.Events():
			if !ok {
				return nil
			}
			if err := l.event(e); err != nil {
				return err
			}
		case <-late:
			return fmt.Errorf("%s not confirmed within %v", count(l.open), l.Timeout)
		case <-ctx.Done():
			if l.open > 0 {
				return fmt.Errorf("interrupted with %s not confirmed", count(l.open))
			}
			return nil
		}
	}
}

// done says whether there is nothing left to do.
func (l *Lines) done() bool { return l.In != nil && l.inEnded && l.open == 0 && !l.Follow }

func count(lines int) string {
	if lines == 1 {
		return "one line"
	}
	return fmt.Sprintf("%d lines", lines)
}

// read reads the input to its end.
func (l *Lines) read(ctx context.Context, lines chan<- string, failed chan<- error) {
	defer close(lines)
	s := bufio.NewScanner(l.In)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		select {
		case lines <- s.Text():
		case <-ctx.Done():
			failed <- nil
			return
		}
	}
	err := s.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = errTooLong
	}
	failed <- err
}

// event takes in what has happened.
func (l *Lines) event(e client.Event) error {
	switch e := e.(type) {
	case client.Confirmed:
		l.open--
	case client.Failed:
		l.open--
		l.problems++
		l.complain("not said: %v: %s", e.Err, cut(Clean(e.Text), 60))
	case client.Away:
		if e.Bye != "" {
			l.complain("away: %s", e.Bye)
		} else {
			l.complain("away: %v", e.Err)
		}
	case client.Left:
		if e.Err != nil {
			return fmt.Errorf("room %s: %w", e.Room, e.Err)
		}
	case client.Notice:
		l.complain("%v", e.Err)
	case client.Gap:
		if !l.JSON {
			l.complain("room %s: %s", e.Room, missed(e))
		}
	case client.Joined:
		if e.Renumbered {
			l.complain("room %s: the server has been restarted, or the room was empty for long: what was said meanwhile is not known", e.Room)
		}
	}
	return l.print(e)
}

// complain says what a person should know and a pipe should not.
func (l *Lines) complain(format string, args ...any) {
	fmt.Fprintf(l.Err, "throng: %s\n", Clean(fmt.Sprintf(format, args...)))
}

// print prints what is for the pipe.
func (l *Lines) print(e client.Event) error {
	if l.Out == nil {
		return nil
	}
	if l.JSON {
		return l.printJSON(e)
	}
	m, ok := e.(client.Message)
	if !ok {
		return nil
	}
	room := ""
	if l.Several {
		room = "#" + m.Room + " "
	}
	_, err := fmt.Fprintf(l.Out, "%s %s%s: %s\n", m.Time().Format("15:04"), room, Clean(m.From.Nick), Clean(m.Text))
	return err
}

// printJSON prints the objects that tell what goes on in the rooms.
func (l *Lines) printJSON(e client.Event) error {
	var v any
	switch e := e.(type) {
	case client.Message:
		v = struct {
			T string `json:"t"`
			client.Message
		}{"msg", e}
	case client.Gap:
		v = struct {
			T string `json:"t"`
			client.Gap
		}{"gap", e}
	case client.Joined:
		v = struct {
			T string `json:"t"`
			client.Joined
		}{"joined", e}
	case client.Presence:
		v = struct {
			T string `json:"t"`
			client.Presence
		}{"presence", e}
	default:
		return nil
	}
	b, err := marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(l.Out, "%s\n", b)
	}
	return err
}
